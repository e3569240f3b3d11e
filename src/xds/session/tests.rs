//! What fuzzing found, one test for each.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ResourceType::{Cluster, Endpoint, Listener};
use super::*;
use crate::xds::{Resource, TypeSet};

const TIMEOUT: Duration = Duration::from_secs(20);

fn set(ty: ResourceType, resources: impl IntoIterator<Item = Resource>) -> (ResourceType, Arc<TypeSet>) {
    (ty, Arc::new(TypeSet::new(resources.into_iter().map(Arc::new))))
}

fn named(name: &str) -> Resource {
    Resource::new(name, Bytes::from(format!("content of {name}")))
}

fn listener_to(cluster: &str) -> Resource {
    Resource { clusters: [Arc::from(cluster)].into(), ..named("l") }
}

fn snapshot(sets: impl IntoIterator<Item = (ResourceType, Arc<TypeSet>)>) -> Arc<Snapshot> {
    Arc::new(Snapshot::new(sets))
}

/// A session of an Envoy, and the time.
struct Stream(Session, Duration);

impl Stream {
    fn new(variant: Variant, snapshot: Arc<Snapshot>) -> Self {
        let client = ClientKind::Envoy;
        let settings = Settings { variant, client, ack_timeout: TIMEOUT, aggregated: true, ordered: true };
        let mut session = Session::new(settings, Vec::new(), Vec::new());
        session.handle_snapshot(Duration::ZERO, snapshot);
        Self(session, Duration::ZERO)
    }

    fn publish(&mut self, sets: impl IntoIterator<Item = (ResourceType, Arc<TypeSet>)>) {
        self.0.handle_snapshot(self.1, snapshot(sets));
    }

    fn request(&mut self, ty: ResourceType, nonce: u64, error: Option<&str>, names: &[&str], unsubscribe: &[&str]) {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let body = match self.0.settings.variant {
            Variant::Sotw => RequestBody::Sotw { version: String::new(), names: list(names) },
            Variant::Delta => {
                RequestBody::Delta { subscribe: list(names), unsubscribe: list(unsubscribe), initial: BTreeMap::new() }
            }
        };
        let nonce = if nonce == 0 { String::new() } else { nonce.to_string() };
        self.0.handle_request(self.1, Request { ty, nonce, error: error.map(str::to_owned), body });
    }

    fn ask(&mut self, ty: ResourceType, names: &[&str]) {
        self.request(ty, 0, None, names, &[]);
    }

    /// What it is sent next, as the nonce, the names set and the names removed.
    fn next(&mut self) -> Option<(u64, Vec<String>, Vec<String>)> {
        let response = self.0.poll_response(self.1)?;
        let set = response.resources.iter().map(|resource| resource.name.to_string()).collect();
        Some((response.nonce, set, response.removed.iter().map(ToString::to_string).collect()))
    }

    /// Takes the next response, which must set these names, and returns its nonce.
    fn sends(&mut self, names: &[&str]) -> u64 {
        let (nonce, set, removed) = self.next().expect("a response");
        assert_eq!((set, removed), (names.iter().map(ToString::to_string).collect(), Vec::new()));
        nonce
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.0.poll_event()).collect()
    }
}

/// Envoy collapses the answers it withheld while clusters were warming into the newest.
#[test]
fn the_answer_to_a_newer_response_is_one_to_those_before_it() {
    for error in [None, Some("refused: b")] {
        let mut stream = Stream::new(Variant::Sotw, snapshot([set(Cluster, [named("a")])]));
        stream.ask(Cluster, &[]);
        let _withheld = stream.sends(&["a"]);
        stream.publish([set(Cluster, [named("a"), named("b")]), set(Listener, [listener_to("a")])]);
        stream.1 = TIMEOUT;
        let newest = stream.sends(&["a", "b"]);
        stream.request(Cluster, newest, error, &[], &[]);
        if error.is_some() {
            stream.publish([set(Cluster, [named("a")]), set(Listener, [listener_to("a")])]);
            let nonce = stream.sends(&["a"]);
            stream.request(Cluster, nonce, None, &[], &[]);
        }
        stream.ask(Listener, &[]);
        stream.sends(&["l"]);
    }
}

#[test]
fn who_wants_everything_again_is_sent_it_again() {
    for variant in [Variant::Sotw, Variant::Delta] {
        let mut stream = Stream::new(variant, snapshot([set(Cluster, [named("a"), named("b")])]));
        stream.ask(Cluster, &["*"]);
        let nonce = stream.sends(&["a", "b"]);
        stream.request(Cluster, nonce, None, &["a"], &["*"]);
        let nonce = stream.sends(&["a"]);
        let (repeated, rest): (&[_], &[_]) = match variant {
            Variant::Sotw => (&["a"], &["a", "b"]),
            Variant::Delta => (&[], &["b"]),
        };
        stream.request(Cluster, nonce, None, repeated, &[]);
        assert_eq!(stream.next(), None);
        stream.ask(Cluster, &["*"]);
        stream.sends(rest);
    }
}

#[test]
fn who_no_longer_wants_everything_is_not_told_of_the_rest() {
    let mut stream = Stream::new(Variant::Sotw, snapshot([set(Listener, [named("a"), named("b")])]));
    stream.ask(Listener, &["*"]);
    let nonce = stream.sends(&["a", "b"]);
    stream.request(Listener, nonce, None, &["a"], &[]);
    let nonce = stream.sends(&["a"]);
    stream.request(Listener, nonce, None, &["a"], &[]);
    stream.publish([set(Listener, [named("a")])]);
    assert_eq!(stream.next(), None);
}

#[test]
fn a_name_is_not_both_set_and_removed() {
    for (ty, answer) in [(Listener, (vec![], vec!["a".to_owned()])), (Endpoint, (vec!["a".to_owned()], vec![]))] {
        let mut stream = Stream::new(Variant::Delta, snapshot([set(ty, [named("a")])]));
        stream.ask(ty, &["a"]);
        let nonce = stream.sends(&["a"]);
        stream.request(ty, nonce, None, &[], &[]);
        stream.1 = REMOVAL_GRACE;
        stream.publish([]);
        stream.ask(ty, &["a"]);
        let (_, set, removed) = stream.next().expect("an answer");
        assert_eq!((set, removed), answer, "{ty}");
    }
}

#[test]
fn the_rejection_of_a_removal_stands_until_something_changes() {
    let mut stream = Stream::new(Variant::Delta, snapshot([set(Listener, [named("a")])]));
    stream.ask(Listener, &[]);
    let nonce = stream.sends(&["a"]);
    stream.request(Listener, nonce, None, &[], &[]);
    stream.publish([]);
    let (nonce, _, removed) = stream.next().expect("the removal");
    assert_eq!(removed, ["a"]);
    stream.events();
    stream.request(Listener, nonce, Some("no"), &[], &[]);
    assert!(matches!(stream.events()[..], [Event::Nacked { .. }]));
    assert_eq!(stream.next(), None);
    stream.publish([set(Listener, [named("b")])]);
    assert!(matches!(stream.events()[..], [Event::Forgiven { ty: Listener }]));
}

#[test]
fn a_removal_that_is_taken_back_at_once_is_forgotten() {
    let both = || [set(Listener, [named("a"), named("b")])];
    let mut stream = Stream::new(Variant::Delta, snapshot(both()));
    stream.ask(Listener, &["*"]);
    let nonce = stream.sends(&["a", "b"]);
    stream.request(Listener, nonce, None, &[], &[]);
    assert_eq!(stream.next(), None);
    stream.publish([set(Listener, [named("a")])]);
    stream.publish(both());
    stream.ask(Listener, &["a"]);
    stream.sends(&["a"]);
}
