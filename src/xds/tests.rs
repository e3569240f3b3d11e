//! The session, rule by rule, as a scripted client sees it. What holds over all schedules is tested against a model
//! client in `tests/it/sessions.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ResourceType::{Cluster, Endpoint, Listener, Route, Runtime, Secret};
use super::Variant::{Delta, Sotw};
use super::*;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A session with its clock, and a snapshot in words: `(type, name, content)`.
struct Script {
    session: Session,
    now: Duration,
}

fn resource(ty: ResourceType, name: &str, content: &str) -> Arc<Resource> {
    let mut resource = Resource::new(name, Bytes::from(content.to_owned()));
    if ty == Cluster {
        resource.endpoints = content.starts_with("eds").then(|| name.into());
    }
    if let Some(clusters) = content.strip_prefix("to ") {
        resource.clusters = clusters.split(' ').map(Arc::from).collect();
    }
    Arc::new(resource)
}

fn snapshot(resources: &[(ResourceType, &str, &str)]) -> Arc<Snapshot> {
    let of =
        |ty| resources.iter().filter(move |(t, ..)| *t == ty).map(|(t, name, content)| resource(*t, name, content));
    Arc::new(Snapshot::new(ResourceType::ALL.map(|ty| (ty, Arc::new(TypeSet::new(of(ty)))))))
}

fn settings(variant: Variant, client: ClientKind) -> Settings {
    Settings { variant, client, ack_timeout: TIMEOUT, aggregated: true, ordered: true }
}

impl Script {
    fn new(variant: Variant, resources: &[(ResourceType, &str, &str)]) -> Self {
        Self::with(settings(variant, ClientKind::Envoy), Vec::new(), resources)
    }

    fn with(settings: Settings, rejections: Vec<Rejection>, resources: &[(ResourceType, &str, &str)]) -> Self {
        let mut script = Self { session: Session::new(settings, rejections, Vec::new()), now: Duration::ZERO };
        script.publish(resources);
        script
    }

    fn publish(&mut self, resources: &[(ResourceType, &str, &str)]) {
        self.session.handle_snapshot(self.now, snapshot(resources));
    }

    fn send(&mut self, ty: ResourceType, nonce: &str, error: Option<&str>, body: RequestBody) {
        let request = Request { ty, nonce: nonce.into(), error: error.map(str::to_owned), body };
        self.session.handle_request(self.now, request);
    }

    fn sotw(&mut self, ty: ResourceType, version: &str, nonce: &str, names: &[&str]) {
        let names = names.iter().map(ToString::to_string).collect();
        self.send(ty, nonce, None, RequestBody::Sotw { version: version.into(), names });
    }

    fn delta(&mut self, ty: ResourceType, nonce: &str, subscribe: &[&str], unsubscribe: &[&str]) {
        self.came_back(ty, nonce, subscribe, unsubscribe, &[]);
    }

    fn came_back(&mut self, ty: ResourceType, nonce: &str, sub: &[&str], unsub: &[&str], initial: &[(&str, String)]) {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let initial = initial.iter().map(|(name, version)| ((*name).to_owned(), version.clone())).collect();
        let body = RequestBody::Delta { subscribe: list(sub), unsubscribe: list(unsub), initial };
        self.send(ty, nonce, None, body);
    }

    /// Everything that is due, in words: `CDS +a +b -c`.
    fn due(&mut self) -> Vec<String> {
        self.responses().iter().map(words).collect()
    }

    fn responses(&mut self) -> Vec<Response> {
        std::iter::from_fn(|| self.session.poll_response(self.now)).collect()
    }

    /// Takes what is due and acknowledges it, until nothing is; what was sent, in order.
    fn settle(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(response) = self.session.poll_response(self.now) {
            sent.push(words(&response));
            self.ack(&response, None);
        }
        sent
    }

    fn ack(&mut self, response: &Response, error: Option<&str>) {
        let body = match self.session.settings().variant {
            Sotw => {
                let names = self.session.channel(response.ty).subscription.names();
                let names = names.iter().map(ToString::to_string).collect();
                let version = if error.is_some() { String::from("old") } else { response.version.to_string() };
                RequestBody::Sotw { version, names }
            }
            Delta => RequestBody::Delta { subscribe: vec![], unsubscribe: vec![], initial: BTreeMap::new() },
        };
        self.send(response.ty, &response.nonce.to_string(), error, body);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// An Envoy that has started and has everything of `resources`.
    fn started(variant: Variant, resources: &[(ResourceType, &str, &str)]) -> Self {
        let mut script = Self::new(variant, resources);
        let names =
            |ty| -> Vec<&str> { resources.iter().filter(|(t, ..)| *t == ty).map(|(_, name, _)| *name).collect() };
        for (ty, names) in [(Cluster, vec![]), (Endpoint, names(Endpoint)), (Listener, vec![]), (Route, names(Route))] {
            match variant {
                Sotw => script.sotw(ty, "", "", &names),
                Delta => script.delta(ty, "", &names, &[]),
            }
            script.settle();
        }
        script.now += Duration::from_secs(60);
        script.events();
        script
    }
}

fn words(response: &Response) -> String {
    let mut words = response.ty.to_string();
    words.extend(response.resources.iter().map(|r| format!(" +{}", r.name)));
    words.extend(response.removed.iter().map(|name| format!(" -{name}")));
    words
}

fn version_of(content: &str) -> String {
    Version::of(content.as_bytes()).to_string()
}

const BLUE: &[(ResourceType, &str, &str)] =
    &[(Cluster, "blue", "eds"), (Endpoint, "blue", "1"), (Listener, "l", ""), (Route, "r", "to blue")];

#[test]
fn a_wildcard_is_answered_even_when_there_is_nothing() {
    for variant in [Sotw, Delta] {
        let mut script = Script::new(variant, &[]);
        match variant {
            Sotw => script.sotw(Cluster, "", "", &[]),
            Delta => script.delta(Cluster, "", &[], &[]),
        }
        assert_eq!(script.due(), ["CDS"]);
        assert_eq!(script.due(), [""; 0], "once");
    }
}

#[test]
fn nonces_are_unique_and_versions_are_those_of_the_content() {
    let mut script = Script::new(Sotw, BLUE);
    script.sotw(Cluster, "", "", &[]);
    script.sotw(Endpoint, "", "", &["blue"]);
    let responses = script.responses();
    assert_eq!(responses.iter().map(|r| r.nonce).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(responses[0].version, snapshot(BLUE).set(Cluster).version());
}

#[test]
fn types_are_independent() {
    let mut script = Script::started(Delta, BLUE);
    script.publish(&[BLUE[0], (Endpoint, "blue", "2"), BLUE[2], (Route, "r", "to blue 2")]);
    let responses = script.responses();
    assert_eq!(responses.iter().map(words).collect::<Vec<_>>(), ["EDS +blue"], "routes wait for endpoints");
    script.ack(&responses[0], None);
    let routes = script.responses();
    script.ack(&routes[0], Some("no"));
    script.publish(&[BLUE[0], (Endpoint, "blue", "3"), BLUE[2], (Route, "r", "to blue 2")]);
    assert_eq!(script.due(), ["EDS +blue"], "a rejected route does not hold up endpoints");
}

#[test]
fn a_stale_nonce_is_not_answered_and_its_names_are_not_lost() {
    let mut script = Script::new(Sotw, &[(Cluster, "a", "x"), (Cluster, "b", "x")]);
    script.sotw(Cluster, "", "", &["a"]);
    let first = script.responses();
    script.sotw(Cluster, "", "", &["a", "b"]);
    assert_eq!(script.due(), [""; 0], "one response is unanswered");
    script.sotw(Cluster, "", "99", &["a", "b"]);
    assert_eq!(script.due(), [""; 0]);
    script.sotw(Cluster, &first[0].version.to_string(), "1", &["a", "b"]);
    assert_eq!(script.due(), ["CDS +a +b"], "the name that came with a stale nonce");
}

#[test]
fn subscribing_again_is_answered_again() {
    let mut script = Script::started(Delta, BLUE);
    script.delta(Route, "", &["r"], &[]);
    assert_eq!(script.settle(), ["RDS +r"], "delta: asked for though held");
    let mut script = Script::started(Sotw, BLUE);
    script.sotw(Endpoint, "", "2", &[]);
    script.sotw(Endpoint, "", "2", &["blue"]);
    assert_eq!(script.settle(), ["EDS +blue"], "sotw: unsubscribed and subscribed again at the same version");
}

#[test]
fn what_does_not_exist_is_said_and_pushed_when_it_does() {
    let mut script = Script::started(Delta, BLUE);
    script.delta(Route, "", &["later"], &[]);
    assert_eq!(script.settle(), ["RDS -later"]);
    let mut resources = BLUE.to_vec();
    resources.push((Route, "later", ""));
    script.publish(&resources);
    assert_eq!(script.settle(), ["RDS +later"]);
}

#[test]
fn endpoints_that_nobody_defines_are_empty_and_not_missing() {
    for variant in [Sotw, Delta] {
        let mut script = Script::new(variant, BLUE);
        match variant {
            Sotw => script.sotw(Endpoint, "", "", &["ghost"]),
            Delta => script.delta(Endpoint, "", &["ghost"], &[]),
        }
        let responses = script.responses();
        assert_eq!(words(&responses[0]), "EDS +ghost");
        assert_eq!(&responses[0].resources[0].body[..], b"\n\x05ghost", "a ClusterLoadAssignment of that name");
    }
}

#[test]
fn endpoints_that_a_client_comes_back_with_are_not_emptied() {
    let mut script = Script::new(Sotw, BLUE);
    script.sotw(Cluster, "x", "", &[]);
    script.sotw(Endpoint, "x", "", &["blue", "old"]);
    assert_eq!(script.settle(), ["CDS +blue", "EDS +blue"], "old is still in use, and nothing is known of it");
}

#[test]
fn only_what_changed_is_sent() {
    let mut script = Script::started(Delta, BLUE);
    script.publish(BLUE);
    assert_eq!(script.due(), [""; 0], "equal content");
    let mut resources = BLUE.to_vec();
    resources[3].2 = "to blue more";
    script.publish(&resources);
    assert_eq!(script.settle(), ["RDS +r"]);
}

#[test]
fn a_changed_cluster_is_followed_by_its_endpoints() {
    for variant in [Sotw, Delta] {
        let mut script = Script::started(variant, BLUE);
        script.publish(&[(Cluster, "blue", "eds changed"), BLUE[1], BLUE[2], BLUE[3]]);
        assert_eq!(script.due(), ["CDS +blue", "EDS +blue"], "though the endpoints are the same");
    }
}

#[test]
fn a_switch_makes_before_it_breaks() {
    let green = [(Cluster, "green", "eds"), (Endpoint, "green", "2"), BLUE[2], (Route, "r", "to green")];
    let mut script = Script::started(Delta, BLUE);
    script.publish(&green);
    let union = script.responses();
    assert_eq!(union.iter().map(words).collect::<Vec<_>>(), ["CDS +green"], "blue stays, routes wait");
    script.delta(Endpoint, "", &["green"], &[]);
    let endpoints = script.responses();
    assert_eq!(words(&endpoints[0]), "EDS +green");
    script.ack(&endpoints[0], None);
    assert_eq!(script.due(), [""; 0], "endpoints prove nothing for Envoy");
    script.ack(&union[0], None);
    let routes = script.responses();
    assert_eq!(routes.iter().map(words).collect::<Vec<_>>(), ["RDS +r"], "warm: the CDS ACK came");
    script.ack(&routes[0], None);
    assert_eq!(script.settle(), ["CDS -blue", "EDS -blue"], "the route without it is acknowledged");
}

#[test]
fn a_client_that_never_answers_is_not_waited_for_for_ever() {
    let mut script = Script::started(Delta, BLUE);
    script.publish(&[BLUE[0], (Cluster, "green", "static"), BLUE[1], BLUE[2], (Route, "r", "to green")]);
    assert_eq!(script.due(), ["CDS +green"]);
    assert_eq!(script.session.next_deadline(script.now), Some(script.now + TIMEOUT));
    script.now += TIMEOUT;
    assert_eq!(script.due(), ["RDS +r"]);
    script.publish(&[BLUE[0], (Cluster, "red", "static"), BLUE[1], BLUE[2], (Route, "r", "to red")]);
    assert_eq!(script.due(), ["CDS +red"], "an unanswered CDS response is replaced after its deadline");
}

#[test]
fn an_answer_speaks_for_the_responses_it_supersedes() {
    let mut script = Script::started(Sotw, BLUE);
    let mut resources = BLUE.to_vec();
    resources.extend([(Cluster, "red", "static"), (Cluster, "slow", "static")]);
    script.publish(&resources);
    assert_eq!(script.due(), ["CDS +blue +red +slow"]);
    script.now += TIMEOUT;
    resources[5].2 = "static and mended";
    script.publish(&resources);
    let newest = script.responses().remove(0);
    assert_eq!(words(&newest), "CDS +blue +red +slow", "slow does not warm: its replacement is not waited for");
    resources[3].2 = "to red";
    script.publish(&resources);
    assert_eq!(script.due(), [""; 0]);
    script.ack(&newest, None);
    assert_eq!(script.due(), ["RDS +r"], "red came with the older response");
}

#[test]
fn a_rejected_cluster_is_not_sent_again_and_holds_back_its_routes_alone() {
    for variant in [Sotw, Delta] {
        let mut script = Script::started(variant, BLUE);
        let mut resources = BLUE.to_vec();
        resources.push((Cluster, "bad", "static"));
        resources[3].2 = "to bad";
        script.publish(&resources);
        let responses = script.responses();
        script.ack(&responses[0], Some("Error adding/updating cluster(s) bad: no"));
        assert_eq!(script.due(), [""; 0], "nothing, until the content changes");
        let events = script.events();
        let nacked = events.iter().find_map(|event| match event {
            Event::Nacked { rejection, .. } => Some(rejection),
            _ => None,
        });
        assert_eq!(nacked.map(|r| r.suspects.keys().map(|n| &**n).collect()), Some(vec!["bad"]));

        resources.push((Cluster, "other", "static"));
        script.publish(&resources);
        let sent = script.settle();
        let expected = if variant == Delta { "CDS +other -bad" } else { "CDS +blue +other" };
        assert_eq!(sent, [expected], "the others go on");

        resources[4].2 = "static mended";
        script.publish(&resources);
        let sent = script.settle();
        let expected = if variant == Delta { "CDS +bad" } else { "CDS +bad +blue +other" };
        assert_eq!(sent, [expected, "RDS +r"], "the corrected file heals");
    }
}

#[test]
fn a_rejection_outlives_its_stream() {
    let suspects = [(Arc::from("bad"), Version::of(b"static"))].into();
    let rejection =
        Rejection { ty: Cluster, suspects, named: true, fresh: [Arc::from("bad")].into(), error: String::new() };
    let mut resources = BLUE.to_vec();
    resources.push((Cluster, "bad", "static"));
    let mut script = Script::with(settings(Delta, ClientKind::Envoy), vec![rejection], &resources);
    script.came_back(Cluster, "", &[], &[], &[("blue", version_of("eds"))]);
    assert_eq!(script.settle(), ["CDS -bad"], "not sent, and taken away where Envoy may keep it warming");
    resources[4].2 = "static mended";
    script.publish(&resources);
    assert_eq!(script.settle(), ["CDS +bad"]);
}

#[test]
fn a_delta_client_that_comes_back_is_sent_what_it_lacks_and_told_what_is_gone() {
    let mut script = Script::new(Delta, BLUE);
    script.came_back(Cluster, "", &[], &[], &[("blue", version_of("eds")), ("old", "x".into())]);
    assert_eq!(script.due(), [""; 0], "what is gone may still be in use");
    script.came_back(Endpoint, "", &["blue"], &[], &[("blue", version_of("1"))]);
    script.came_back(Listener, "", &[], &[], &[("l", version_of(""))]);
    script.came_back(Route, "", &["r"], &[], &[("r", version_of("to old"))]);
    assert_eq!(script.settle(), ["RDS +r"], "nothing it has is sent again");
    script.now += Duration::from_secs(2);
    assert_eq!(script.settle(), ["CDS -old"]);
}

#[test]
fn an_envoy_that_comes_back_while_warming_gets_its_endpoints_first() {
    let mut script = Script::new(Delta, BLUE);
    script.came_back(Endpoint, "", &["blue"], &[], &[("blue", version_of("1"))]);
    assert_eq!(script.settle(), ["EDS +blue"], "though it has them: it is warming and needs them again");
    script.came_back(Route, "", &["r"], &[], &[("r", version_of("to old"))]);
    assert_eq!(script.due(), [""; 0], "routes wait until it asks for clusters");
    script.came_back(Cluster, "", &[], &[], &[("blue", version_of("eds"))]);
    assert_eq!(script.settle(), ["RDS +r"]);
}

#[test]
fn a_sotw_client_that_comes_back_with_an_older_version_keeps_what_it_uses() {
    let before = snapshot(&[(Cluster, "old", "static"), BLUE[2], (Route, "r", "to old")]);
    let mut script = Script::new(Sotw, BLUE);
    script.session = Session::new(settings(Sotw, ClientKind::Envoy), Vec::new(), vec![Arc::clone(&before)]);
    script.publish(BLUE);
    script.sotw(Cluster, &before.set(Cluster).version().to_string(), "", &[]);
    script.sotw(Endpoint, "x", "", &["blue"]);
    script.sotw(Listener, &before.set(Listener).version().to_string(), "", &[]);
    script.sotw(Route, "x", "", &["r"]);
    assert_eq!(script.settle(), ["CDS +blue +old", "EDS +blue", "LDS +l", "RDS +r"]);
    script.now += Duration::from_secs(2);
    assert_eq!(script.settle(), ["CDS +blue"], "old goes once the route without it is acknowledged");
}

#[test]
fn a_grpc_client_asks_by_name_and_is_not_made_to_wait() {
    let mut script = Script::with(settings(Sotw, ClientKind::Other), Vec::new(), BLUE);
    for (ty, name) in [(Listener, "l"), (Route, "r"), (Cluster, "blue"), (Endpoint, "blue")] {
        script.sotw(ty, "", "", &[name]);
        assert_eq!(script.settle(), [format!("{ty} +{name}")], "{ty}");
    }
    script.sotw(Cluster, "", "3", &[]);
    assert_eq!(script.due(), [""; 0], "an empty list after a name means nothing, not everything");
}

#[test]
fn secrets_and_runtimes_are_answered_by_name() {
    let mut script = Script::new(Delta, &[(Secret, "s", "1"), (Runtime, "rtds", "1")]);
    script.delta(Secret, "", &["s"], &[]);
    script.delta(Runtime, "", &["rtds"], &[]);
    assert_eq!(script.settle(), ["SDS +s", "RTDS +rtds"]);
    script.publish(&[(Secret, "s", "2"), (Runtime, "rtds", "1")]);
    assert_eq!(script.settle(), ["SDS +s"]);
}

#[test]
fn an_error_beside_the_version_that_was_sent_is_a_warning_of_envoys() {
    let mut script = Script::started(Sotw, BLUE);
    let mut resources = BLUE.to_vec();
    resources.push((Cluster, "green", "static"));
    script.publish(&resources);
    let response = script.responses().remove(0);
    let body = RequestBody::Sotw { version: response.version.to_string(), names: Vec::new() };
    script.send(Cluster, &response.nonce.to_string(), Some("of an older response"), body);
    script.settle();
    assert!(script.events().iter().any(|event| matches!(event, Event::Settled { ty: Cluster, .. })));
}

#[test]
fn events_tell_what_the_fleet_needs() {
    let mut script = Script::new(Delta, BLUE);
    script.delta(Cluster, "", &[], &[]);
    let response = script.responses().remove(0);
    let took = Duration::from_millis(7);
    script.now += took;
    script.ack(&response, None);
    script.settle();
    let version = snapshot(BLUE).set(Cluster).version();
    let expected = [
        Event::Subscribed { ty: Cluster },
        Event::Sent { ty: Cluster, nonce: 1, version },
        Event::Acked { ty: Cluster, nonce: 1, version, took },
        Event::Settled { ty: Cluster, version },
    ];
    assert_eq!(script.events(), expected);
    script.publish(&[(Cluster, "blue", "other"), BLUE[1], BLUE[2], BLUE[3]]);
    script.responses();
    assert_eq!(script.events().first(), Some(&Event::Unsettled { ty: Cluster }));
}
