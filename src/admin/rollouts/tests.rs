use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::*;
use crate::rollout::{
    Actor, Command, ConvergenceStatus, Entry, Figures, Phase, Refusal, Standing, Status, StepStatus, Verb,
};
use crate::spec::Split;

/// 2026-01-02T03:04:05Z
const NOW: Duration = Duration::from_secs(1_767_323_045);

fn split(green: u32) -> Split {
    Split(vec![("blue".into(), 10_000 - green), ("green".into(), green)])
}

fn status(name: &str) -> Status {
    Status {
        seen: None,
        analysis: Vec::new(),
        name: name.into(),
        strategy: "canary",
        phase: Phase::Paused,
        message: "paused until promoted".to_owned(),
        since: NOW.saturating_sub(Duration::from_millis(1_500)),
        stable: Some("blue".into()),
        target: Some("green".into()),
        undone: false,
        revision: 2,
        sequence: 7,
        step: Some(StepStatus { index: 3, of: 5, words: "pause until promoted".to_owned() }),
        weights: split(2_529),
        ahead: None,
        convergence: Some(ConvergenceStatus {
            converged: 47,
            nodes: 48,
            slowest: Some("edge-17".to_owned()),
            waited: Duration::from_millis(1_800),
        }),
    }
}

fn entry(sequence: u64) -> Entry {
    let standing = |phase, at: &str, green| Standing { phase, at: at.to_owned(), weights: split(green) };
    Entry {
        at: NOW,
        rollout: "checkout".into(),
        sequence,
        revision: 2,
        from: standing(Phase::Progressing, "green step 2/5 setWeight 25.29", 2_529),
        to: standing(Phase::Paused, "green step 3/5 pause until promoted", 2_529),
        stable: "blue".into(),
        target: Some("green".into()),
        actor: Actor::Operator("ann".into()),
        why: "48/48 nodes have it after 1.8s".to_owned(),
        figures: Some(Figures { converged: 48, nodes: 48, waited: Duration::from_millis(1_800) }),
    }
}

/// Knows two rollouts; of `checkout` two users, and that nobody has seen more than transition 7.
fn answer(message: Message, commands: &mpsc::Sender<Command>) {
    let known = |name: &str| ["a/b ü", "checkout"].contains(&name);
    match message {
        Message::List(reply) => reply(vec![status("a/b ü"), status("checkout")]),
        Message::Get(name, reply) => reply(known(&name).then(|| status(&name))),
        Message::Gauges(_, reply) => reply(Vec::new()),
        Message::User(name, user, reply) => reply(known(&name).then(|| match user.as_str() {
            "ann & bob" => Ok("green".into()),
            _ => Err("no sessionAffinity".to_owned()),
        })),
        Message::Command(name, command, reply) => {
            commands.try_send(command.clone()).unwrap();
            reply(known(&name).then(|| match command.seen {
                Some(seen) if seen != 7 => Err(Refusal::Stale { seen, now: 7 }),
                _ => Ok(status(&name)),
            }));
        }
        Message::History(name, limit, reply) => reply(match &*name {
            "checkout" => Some(Ok((1..=20_000).take(limit).map(entry).collect())),
            _ => known(&name).then(|| Err("cannot read the journal".to_owned())),
        }),
    }
}

struct Server {
    sources: Sources,
    commands: mpsc::Receiver<Command>,
}

fn server() -> Server {
    let (rollouts, mut questions) = mpsc::channel(1);
    let (sender, commands) = mpsc::channel(10);
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            answer(question, &sender);
        }
    });
    let sources = Sources {
        fleet: mpsc::channel(1).0,
        rollouts,
        serving: Arc::new(|| true),
        snapshot: Arc::new(|_| None),
        report: watch::channel(Arc::default()).1,
        reload: Arc::default(),
        registry: Arc::default(),
        now: Arc::new(|| Duration::ZERO),
        started: SystemTime::UNIX_EPOCH + NOW,
    };
    Server { sources, commands }
}

impl Server {
    async fn send(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:18001");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = super::super::router(self.sources.clone(), true).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, &format!("/api/v1/rollouts{path}"), "").await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.send(Method::POST, &format!("/api/v1/rollouts{path}"), body).await
    }

    /// The command that an order comes to.
    async fn command(&mut self, path: &str, body: &str) -> Command {
        let (status, answer) = self.post(path, body).await;
        assert_eq!((status, &answer["sequence"]), (200, &json!(7)), "{answer}");
        self.commands.try_recv().unwrap()
    }
}

fn failure(words: &str) -> Value {
    json!({"error": words})
}

#[tokio::test]
async fn a_rollout_reads_as_people_write() {
    let (code, report) = server().get("/checkout").await;
    assert_eq!(code, 200);
    assert_eq!(
        report,
        json!({
            "at": "2026-01-02T03:04:05.000Z",
            "name": "checkout",
            "strategy": "canary",
            "phase": "Paused",
            "since": "2026-01-02T03:04:03.500Z",
            "message": "paused until promoted",
            "stable": "blue",
            "target": "green",
            "undone": false,
            "revision": 2,
            "sequence": 7,
            "step": {"index": 3, "of": 5, "words": "pause until promoted"},
            "weights": [{"version": "blue", "weight": 74.71}, {"version": "green", "weight": 25.29}],
            "convergence": {"converged": 47, "nodes": 48, "slowest": "edge-17", "waitedMs": 1_800},
            "seen": null,
            "analysis": [],
        })
    );
    serde_json::from_value::<RolloutReport>(report).unwrap();
}

#[tokio::test]
async fn all_are_listed_and_odd_names_are_found() {
    let server = server();
    let (_, list) = server.get("").await;
    let list: RolloutList = serde_json::from_value(list).unwrap();
    let names: Vec<_> = list.rollouts.iter().map(|rollout| rollout.name.as_str()).collect();
    assert_eq!(names, ["a/b ü", "checkout"]);
    assert_eq!(server.get("/a%2Fb%20%C3%BC").await.1["name"], "a/b ü");
}

#[tokio::test]
async fn who_is_not_there_is_told_with_the_nearest_name() {
    let server = server();
    let words = failure(r#"no rollout "chekout"; did you mean "checkout"?"#);
    for path in ["/chekout", "/chekout?user=x", "/chekout/history"] {
        assert_eq!(server.get(path).await, (404, words.clone()), "{path}");
    }
    assert_eq!(server.post("/chekout/abort", "").await, (404, words));
    assert_eq!(server.get("/zzz").await, (404, failure(r#"no rollout "zzz"; there are a/b ü, checkout"#)));
}

#[tokio::test]
async fn a_user_gets_a_version_or_a_reason() {
    let server = server();
    let (_, user) = server.get("/checkout?user=ann%20%26%20bob").await;
    assert_eq!(user, json!({"rollout": "checkout", "user": "ann & bob", "version": "green", "reason": null}));
    let (code, user) = server.get("/checkout?user=x").await;
    assert_eq!((code, &user["version"], &user["reason"]), (200, &Value::Null, &json!("no sessionAffinity")));
    for query in ["?users=x", "?user=", "?user=x&user=y", "?user=x&a=b"] {
        assert_eq!(server.get(&format!("/checkout{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn the_journal_is_cut_to_what_is_asked_for() {
    let server = server();
    let count = async |query: &str| {
        let (code, report) = server.get(&format!("/checkout/history{query}")).await;
        (code, report["entries"].as_array().map(Vec::len))
    };
    assert_eq!(count("").await, (200, Some(100)));
    assert_eq!(count("?limit=1").await, (200, Some(1)));
    assert_eq!(count("?limit=10000").await, (200, Some(10_000)));
    for query in ["?limit=0", "?limit=10001", "?limit=x", "?limit=", "?last=3", "?limit=1&limit=1"] {
        assert_eq!(count(query).await, (400, None), "{query}");
    }
    let (_, report) = server.get("/checkout/history?limit=1").await;
    let weights = json!([{"version": "blue", "weight": 74.71}, {"version": "green", "weight": 25.29}]);
    assert_eq!(
        report["entries"][0],
        json!({
            "at": "2026-01-02T03:04:05.000Z",
            "sequence": 1,
            "revision": 2,
            "from": {"phase": "Progressing", "at": "green step 2/5 setWeight 25.29", "weights": weights},
            "to": {"phase": "Paused", "at": "green step 3/5 pause until promoted", "weights": weights},
            "actor": "ann",
            "why": "48/48 nodes have it after 1.8s",
            "figures": {"converged": 48, "nodes": 48, "waitedMs": 1_800},
        })
    );
    serde_json::from_value::<HistoryReport>(report).unwrap();
    assert_eq!(server.get("/a%2Fb%20%C3%BC/history").await, (500, failure("cannot read the journal")));
}

#[tokio::test]
async fn every_verb_has_its_command() {
    let mut server = server();
    let verbs = [
        ("promote", "", Verb::Promote),
        ("promote", r#"{"full": true}"#, Verb::PromoteFull),
        ("promote", r#"{"full": false}"#, Verb::Promote),
        ("pause", "{}", Verb::Pause),
        ("resume", " \n", Verb::Resume),
        ("abort", "", Verb::Abort),
        ("abort", r#"{"emergency": true}"#, Verb::AbortEmergency),
        ("abort", r#"{"emergency": false}"#, Verb::Abort),
        ("retry", "", Verb::Retry),
        ("undo", r#"{"toRevision": null}"#, Verb::Undo(None)),
        ("undo", r#"{"toRevision": 3}"#, Verb::Undo(Some(3))),
    ];
    for (verb, body, expected) in verbs {
        let command = server.command(&format!("/checkout/{verb}"), body).await;
        assert_eq!(command, Command { verb: expected, actor: "unknown".into(), reason: None, seen: None }, "{verb}");
    }
    let command = server.command("/a%2Fb%20%C3%BC/pause", r#"{"actor": "ann", "reason": "lunch", "seen": 7}"#).await;
    let expected = Command { verb: Verb::Pause, actor: "ann".into(), reason: Some("lunch".to_owned()), seen: Some(7) };
    assert_eq!(command, expected);
}

#[tokio::test]
async fn what_makes_no_sense_is_a_conflict_in_the_words_of_the_engine() {
    let refusal = Refusal::Stale { seen: 6, now: 7 }.to_string();
    assert_eq!(server().post("/checkout/promote", r#"{"seen": 6}"#).await, (409, failure(&refusal)));
}

#[tokio::test]
async fn a_body_with_a_mistake_reaches_nobody() {
    let mut server = server();
    let long = format!(r#"{{"actor": "{}"}}"#, "a".repeat(101));
    let mistakes = [
        ("promote", r#"{"ful": true}"#, r#"unknown field "ful" in the body; did you mean "full"?"#),
        ("promote", r#"{"force": 1}"#, "expected one of full, emergency, toRevision, actor, reason, seen"),
        ("promote", "[]", "the body is not a JSON object"),
        ("promote", "{", "the body is not a JSON object"),
        ("promote", r#"{"full": "yes"}"#, r#"full in the body: invalid type: string "yes", expected a boolean"#),
        ("undo", r#"{"toRevision": -1}"#, "toRevision in the body: "),
        ("abort", r#"{"full": true}"#, "full goes with promote, not with abort"),
        ("undo", r#"{"emergency": true}"#, "emergency goes with abort, not with undo"),
        ("promote", r#"{"toRevision": 1}"#, "toRevision goes with undo, not with promote"),
        ("abort", r#"{"actor": "engine"}"#, r#"actor "engine" is not taken"#),
        ("abort", r#"{"actor": " "}"#, "actor in the body is empty"),
        ("abort", r#"{"reason": "a\nb"}"#, "reason in the body is more than one line"),
        ("abort", &long, "actor in the body has more than 100 characters"),
    ];
    for (verb, body, expected) in mistakes {
        let (code, answer) = server.post(&format!("/checkout/{verb}"), body).await;
        assert_eq!(code, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{body}: {answer}");
    }
    assert!(server.commands.try_recv().is_err());
}

#[tokio::test]
async fn paths_that_are_none_are_said_so() {
    let server = server();
    let words = failure(r#"no command "promot"; did you mean "promote"?"#);
    assert_eq!(server.post("/checkout/promot", "").await, (404, words));
    assert_eq!(server.get("/checkout/promote").await.0, 405);
    assert_eq!(server.post("/checkout/history", "").await.0, 405);
    assert_eq!(server.post("/checkout", "").await.0, 405);
    assert_eq!(server.get("/%FF").await.0, 400);
    assert_eq!(server.get("/checkout/history/x").await.0, 404);
}

#[tokio::test]
async fn without_anybody_to_answer_nothing_is_made_up() {
    let mut server = server();
    server.sources.rollouts = mpsc::channel(1).0;
    let gone = (503, failure("the server is shutting down"));
    assert_eq!(server.get("").await, gone);
    assert_eq!(server.post("/checkout/abort", "").await, gone);
}

#[tokio::test]
async fn commands_from_pages_of_elsewhere_are_not_taken() {
    let mut server = server();
    let request = Request::post("/api/v1/rollouts/checkout/abort")
        .header(header::HOST, "localhost:18001")
        .header(header::ORIGIN, "https://evil.example");
    let request = request.body(Body::empty()).unwrap();
    let response = super::super::router(server.sources.clone(), true).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(server.commands.try_recv().is_err());
}

#[test]
fn no_time_is_too_late_to_be_written() {
    let late = Entry { at: Duration::MAX, ..entry(1) };
    assert_eq!(EntryReport::new(late).at, "9999-12-31T23:59:59.000Z");
}
