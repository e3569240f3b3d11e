//! Webhooks of all types, on the built program.

use serde_json::{Value, json};

use crate::desk::{Call, Desk, Reply};
use crate::quiet::Quiet;
use crate::rig::{eventually, now};
use crate::site::{self, LIMIT, Site, rollout, says};

/// Much less than any time-out of a hook here.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(10);

const STEPS: &str = "{canary: {steps: [{setWeight: 20}, {setWeight: 60}]}}";

fn with_hooks(strategy: &str, hooks: &[String]) -> String {
    format!("{strategy}\n  webhooks: [{}]", hooks.join(", "))
}

fn no(words: &str) -> Reply {
    Reply::Say(403, words.to_owned())
}

/// The calls but those of hooks that are told and asked all the time.
fn asked(desk: &Desk) -> Vec<Call> {
    let mut calls = desk.calls();
    calls.retain(|call| !["event", "rollback"].contains(&call.body["type"].as_str().unwrap()));
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_hook_is_asked_at_its_time() {
    let desk = Desk::open().await;
    let kinds = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
        "rollback",
        "event",
    ];
    let hooks = kinds.map(|kind| desk.hook(kind, &format!("a-{kind}"), ", metadata: {team: shop}"));
    let quiet = Quiet::new(&with_hooks(STEPS, &hooks)).await;
    desk.tell("a-confirm-rollout", &[no("not before ten\nsecond line"), Reply::ok("")]);
    desk.tell("a-rollback", &[no("")]);
    quiet.edit("green");
    let words = "waiting for confirm-rollout hook `a-confirm-rollout`: answered 403: not before ten (asked once";
    let status = quiet.says(words).await;
    assert_eq!((&status["phase"], &status["step"]["index"]), (&json!("Paused"), &json!(0)));
    quiet.healthy("green").await;
    desk.called("a-post-rollout", 1).await;

    let calls = asked(&desk);
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            let Value::Object(body) = &call.body else { panic!("{call:?}") };
            let number = |name: &str| body[name].as_u64().unwrap();
            let word = |name: &str| body[name].as_str().unwrap().to_owned();
            (word("type"), word("phase"), number("canaryWeight"), number("iterations"), number("failedChecks"))
        })
        .collect();
    let expected = [
        ("confirm-rollout", "Waiting", 0, 0, 0),
        ("confirm-rollout", "Waiting", 0, 0, 1),
        ("pre-rollout", "Waiting", 0, 0, 0),
        ("confirm-traffic-increase", "Waiting", 0, 0, 0),
        ("rollout", "Progressing", 20, 1, 0),
        ("confirm-traffic-increase", "Progressing", 20, 1, 0),
        ("rollout", "Progressing", 60, 2, 0),
        ("confirm-traffic-increase", "Progressing", 60, 2, 0),
        ("confirm-promotion", "Progressing", 60, 2, 0),
        ("post-rollout", "Succeeded", 100, 0, 0),
    ]
    .map(|(kind, phase, weight, steps, failed)| (kind.to_owned(), phase.to_owned(), weight, steps, failed));
    assert_eq!(told, expected);

    let mut ids = Vec::new();
    for Call { path, key, body, .. } in desk.calls() {
        assert_eq!(path, format!("a-{}", body["type"].as_str().unwrap()));
        assert_eq!((&body["name"], &body["namespace"]), (&json!("shop"), &json!("default")), "{body}");
        assert_eq!(body["metadata"]["team"], "shop", "{body}");
        assert!(body["remainingTime"].is_u64() && body["checksum"].is_string(), "{body}");
        assert_eq!(json!(key), body["decisionId"]);
        ids.push(key.unwrap());
    }
    let checksums: Vec<_> = calls.iter().map(|call| &call.body["checksum"]).collect();
    assert!(checksums.iter().all(|checksum| *checksum == checksums[0]), "{checksums:?}");
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "one id for two questions");
    assert!(!desk.calls_of("a-rollback").is_empty());

    // Every transition, in order.
    let whys: Vec<_> = quiet.history().await.iter().map(|entry| entry["why"].clone()).collect();
    let events = desk.called("a-event", whys.len()).await;
    let messages: Vec<_> = events.iter().map(|event| event.body["metadata"]["eventMessage"].clone()).collect();
    assert_eq!(messages, whys);
    for Call { body, .. } in events {
        assert_eq!(body["metadata"]["eventType"], "Normal", "{body}");
        assert!(body["metadata"]["timestamp"].as_str().unwrap().parse::<u64>().is_ok(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_fails_aborts_with_its_words() {
    for kind in ["pre-rollout", "rollout"] {
        let desk = Desk::open().await;
        let hooks = [
            desk.hook(kind, "smoke", ", retries: 2"),
            desk.hook("post-rollout", "after", ""),
            desk.hook("event", "event", ""),
        ];
        let quiet = Quiet::new(&with_hooks(STEPS, &hooks)).await;
        desk.tell("smoke", &[Reply::Say(500, "3 of 40 tests failed".into())]);
        quiet.edit("green");
        let words = format!("aborted: {kind} hook `smoke`: answered 500: 3 of 40 tests failed");
        let status = quiet.says(&words).await;
        assert_eq!((&status["phase"], &status["stable"]), (&json!("Degraded"), &json!("blue")));
        let attempts = desk.calls_of("smoke");
        assert_eq!(attempts.len(), 3);
        assert!(attempts.iter().all(|call| call.key.is_some() && call.key == attempts[0].key), "{attempts:#?}");
        let after = desk.called("after", 1).await;
        assert_eq!(after[0].body["phase"], "Failed");
        let warned = async || {
            let events = desk.calls_of("event");
            Ok(events.iter().any(|event| event.body["metadata"]["eventType"] == "Warning").then_some(()))
        };
        eventually("the warning", LIMIT, warned).await.unwrap();

        // Tried again, it is another question; one failure of three attempts is none.
        desk.tell("smoke", &[Reply::Say(500, String::new()), Reply::ok("")]);
        quiet.command("retry").await;
        quiet.healthy("green").await;
        assert_ne!(desk.calls_of("smoke")[3].key, attempts[0].key);
        assert_eq!(desk.called("after", 2).await[1].body["phase"], "Succeeded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_hook_that_says_yes_aborts() {
    let desk = Desk::open().await;
    desk.tell("back", &[Reply::Stall]);
    let strategy = "{canary: {steps: [{setWeight: 20}, {pause: {}}]}}";
    let quiet = Quiet::new(&with_hooks(strategy, &[desk.hook("rollback", "back", "")])).await;
    quiet.edit("green");
    quiet.says("paused until promoted").await;
    quiet.command("pause").await;
    desk.called("back", 1).await;
    desk.tell("back", &[Reply::ok("")]);
    let status = quiet.says("aborted: rollback hook `back` says yes").await;
    assert_eq!((&status["phase"], &status["weights"][1]["weight"]), (&json!("Degraded"), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_are_down_or_stall_do_not_stop_an_abort() {
    let desk = Desk::open().await;
    let down = {
        let gone = tokio::net::TcpListener::bind(site::ANY).await.unwrap();
        format!("http://{}/", gone.local_addr().unwrap())
    };
    for path in ["confirm", "back", "event"] {
        desk.tell(path, &[Reply::Stall]);
    }
    let stalls = [
        desk.hook("confirm-rollout", "confirm", ""),
        desk.hook("rollback", "back", ""),
        desk.hook("event", "event", ""),
    ];
    let dead = ["confirm-rollout", "rollback", "event", "post-rollout"]
        .map(|kind| format!("{{name: dead-{kind}, type: {kind}, url: \"{down}\"}}"));
    for (hooks, words) in [
        (&stalls[..], "waiting for confirm-rollout hook `confirm`"),
        (&dead[..], "waiting for confirm-rollout hook `dead-confirm-rollout`: no connection: connection refused"),
    ] {
        let quiet = Quiet::new(&with_hooks(STEPS, hooks)).await;
        quiet.edit("green");
        quiet.says(words).await;
        let before = now();
        assert_eq!(quiet.command("abort").await["phase"], "Degraded");
        assert!(before.elapsed() < AT_ONCE, "{:?}", before.elapsed());
        // And the next one is tried as if nothing had been.
        quiet.command("retry").await;
        quiet.says(words).await;
        quiet.order("promote", json!({"actor": "test", "full": true})).await;
        quiet.healthy("green").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_stall_do_not_hide_a_rejection() {
    let desk = Desk::open().await;
    for path in ["check", "back", "event"] {
        desk.tell(path, &[Reply::Stall]);
    }
    let hooks = [desk.hook("rollout", "check", ""), desk.hook("rollback", "back", ""), desk.hook("event", "event", "")];
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    let write = |cluster: &str, target: &str| {
        site.write("shop.yaml", &rollout(cluster, &versions, target, &with_hooks(STEPS, &hooks)));
    };
    write("{}", "blue");
    let serin = site.serve().await;
    let proxies = site.proxies(&serin, &["delta"]).await;
    write("{}", "green");
    site::until(&serin, "shop", "the check", |status| says(status, "waiting for rollout hook `check`")).await;
    // Refused by Envoy: the minimum is above the maximum.
    write("{lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 2048, maximum_ring_size: 1024}}", "green");
    let status = site::until(&serin, "shop", "the abort", |status| status["phase"] == "Degraded").await;
    assert!(says(&status, "delta rejected CDS") && says(&status, "minimum_ring_size"), "{status:#}");
    assert_eq!(proxies[0].stat("cluster_manager.cds.update_rejected").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_outlives_the_process_that_asked_it() {
    let desk = Desk::open().await;
    desk.tell("more", &[Reply::Stall]);
    let hooks = [desk.hook("confirm-traffic-increase", "more", ""), desk.hook("rollout", "check", "")];
    let mut quiet = Quiet::new(&with_hooks(STEPS, &hooks)).await;
    quiet.edit("green");
    let first = desk.called("more", 1).await;
    for times in 2..=3 {
        quiet.restart(|| {}).await;
        let calls = desk.called("more", times).await;
        assert_eq!(calls[times - 1].key, first[0].key);
        assert_eq!(calls[times - 1].body, first[0].body);
    }
    quiet.restart(|| desk.tell("more", &[Reply::ok("")])).await;
    quiet.healthy("green").await;
    let weights: Vec<_> = desk.calls_of("check").iter().map(|call| call.body["canaryWeight"].clone()).collect();
    assert_eq!(weights, [20, 60]);
    let entered: Vec<_> = quiet.history().await.iter().map(|entry| entry["to"]["at"].clone()).collect();
    let steps: Vec<_> = entered.iter().filter(|at| at.as_str().unwrap().contains(" step ")).collect();
    assert!(steps.len() >= 2 && steps.is_sorted_by_key(|at| at.as_str().unwrap()), "{}", quiet.journal().await);
}
