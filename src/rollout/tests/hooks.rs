use super::*;
use crate::spec::{Webhook, WebhookKind};

pub(super) fn hook(name: &str, kind: WebhookKind) -> Arc<Webhook> {
    Arc::new(Webhook {
        name: name.into(),
        kind,
        url: format!("http://127.0.0.1:9999/{name}").into(),
        timeout: secs(10),
        retries: 1,
        metadata: [("team".to_owned(), "shop".to_owned())].into(),
    })
}

fn with(strategy: Strategy, hooks: &[(&str, WebhookKind)]) -> Stage {
    let webhooks = hooks.iter().map(|(name, kind)| hook(name, *kind)).collect();
    let mut stage = Stage::of(Rollout { webhooks, ..rollout("blue", strategy) });
    stage.transcript();
    stage
}

fn steps() -> Strategy {
    canary(&[Step::SetWeight(1_000), pause(60), Step::SetWeight(5_000)])
}

fn no(words: &str) -> Answer {
    Answer::No(words.to_owned())
}

impl Stage {
    /// The ids of all that is to be asked.
    fn asked(&self) -> Vec<String> {
        self.machine.asks().iter().map(|ask| ask.decision.to_string()).collect()
    }

    /// Answers the only question there is.
    fn answer(&mut self, answer: Answer) -> Vec<Entry> {
        let asks = self.machine.asks();
        assert_eq!(asks.len(), 1, "{asks:?}");
        self.input(Input::Answer { decision: Arc::clone(&asks[0].decision), answer })
    }

    fn call(&self) -> Call {
        match &self.machine.asks()[0].question {
            Question::Hook { call, .. } => call.clone(),
            Question::Analysis { .. } => panic!("an analysis"),
        }
    }
}

#[test]
fn every_gate_and_check_of_a_canary() {
    let mut stage = with(
        steps(),
        &[
            ("promotion", WebhookKind::ConfirmPromotion),
            ("increase", WebhookKind::ConfirmTrafficIncrease),
            ("load", WebhookKind::Rollout),
            ("smoke", WebhookKind::PreRollout),
            ("approve", WebhookKind::ConfirmRollout),
        ],
    );
    stage.target("green");
    assert_eq!(stage.asked(), ["checkout/2/2/confirm-rollout/approve#1"]);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Paused, 0));
    assert_eq!(stage.message(), "waiting for confirm-rollout hook `approve` (0s)");
    for _ in 0..2 {
        stage.answer(no("answered 403"));
        assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(10)));
        assert_eq!(stage.asked(), [""; 0]);
        stage.wait(10);
    }
    stage.now += secs(5);
    stage.answer(no("answered 403"));
    assert_eq!(stage.message(), "waiting for confirm-rollout hook `approve`: answered 403 (asked 3 times, 25s)");
    stage.wait(10);
    assert_eq!(stage.asked(), ["checkout/2/2/confirm-rollout/approve#4"]);
    stage.answer(Answer::Yes);
    assert_eq!(
        (stage.phase(), stage.asked()),
        (Phase::Progressing, vec!["checkout/2/2/pre-rollout/smoke#1".to_owned()])
    );
    stage.now += secs(3);
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    assert_eq!(stage.weight("green"), 1_000);
    stage.converge();
    stage.now += secs(7);
    stage.answer(Answer::Yes);
    assert_eq!(stage.message(), "paused for 1m, 1m left");
    stage.wait(60);
    stage.wait(100);
    assert_eq!(stage.message(), "waiting for confirm-traffic-increase hook `increase` (1m40s)");
    stage.answer(Answer::Yes);
    stage.converge();
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    stage.converge();
    assert_eq!(stage.asked(), [""; 0]);
    assert_eq!(
        stage.transcript(),
        "\
0s file: the file's target is green; waits for confirm-rollout hook `approve` -> Paused, green not begun, red 0 green 0 blue 100\n\
35s engine: confirm-rollout hook `approve` says yes; waits for pre-rollout hook `smoke` -> Progressing, green not begun, red 0 green 0 blue 100\n\
38s engine: pre-rollout hook `smoke` says yes; waits for confirm-traffic-increase hook `increase` -> Paused, green not begun, red 0 green 0 blue 100\n\
38s engine: starts: confirm-traffic-increase hook `increase` says yes -> Progressing, green step 1/3 setWeight 10, red 0 green 10 blue 90\n\
38s engine: 3/3 nodes have it after 0s; waits for rollout hook `load` -> Progressing, green step 1/3 setWeight 10, red 0 green 10 blue 90\n\
45s engine: 3/3 nodes have it after 0s: rollout hook `load` says yes -> Paused, green step 2/3 pause 1m, red 0 green 10 blue 90\n\
105s engine: the pause of 1m is over; waits for confirm-traffic-increase hook `increase` -> Paused, green step 2/3 pause 1m, red 0 green 10 blue 90\n\
205s engine: the pause of 1m is over: confirm-traffic-increase hook `increase` says yes -> Progressing, green step 3/3 setWeight 50, red 0 green 50 blue 50\n\
205s engine: 3/3 nodes have it after 0s; waits for rollout hook `load` -> Progressing, green step 3/3 setWeight 50, red 0 green 50 blue 50\n\
205s engine: rollout hook `load` says yes; waits for confirm-traffic-increase hook `increase` -> Paused, green step 3/3 setWeight 50, red 0 green 50 blue 50\n\
205s engine: confirm-traffic-increase hook `increase` says yes; waits for confirm-promotion hook `promotion` -> Paused, green step 3/3 setWeight 50, red 0 green 50 blue 50\n\
205s engine: 3/3 nodes have it after 0s; all steps are done: confirm-promotion hook `promotion` says yes -> Progressing, all to green, red 0 green 100 blue 0\n\
205s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn every_gate_and_check_of_a_colour_switch() {
    let options = BlueGreen {
        preview: header("x-preview"),
        auto_promotion: Some(secs(60)),
        pre_promotion_analysis: vec!["golden".into()],
        post_promotion_analysis: vec!["golden".into(), "value".into()],
        ..BlueGreen::default()
    };
    let hooks = [
        ("approve", WebhookKind::ConfirmRollout),
        ("smoke", WebhookKind::PreRollout),
        ("increase", WebhookKind::ConfirmTrafficIncrease),
        ("promotion", WebhookKind::ConfirmPromotion),
    ];
    let mut stage = with(Strategy::BlueGreen(options), &hooks);
    stage.target("green");
    assert!(stage.machine.traffic().header_routes.is_empty(), "no preview before it is confirmed");
    stage.answer(Answer::Yes);
    assert_eq!((stage.asked(), stage.machine.traffic().header_routes.len()), (Vec::new(), 1));
    stage.converge();
    stage.now += secs(20);
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    assert_eq!(stage.message(), "preview of green: switches in 40s", "the smoke test is in the time of the preview");
    stage.wait(40);
    stage.now += secs(5);
    stage.answer(Answer::Yes);
    stage.answer(Answer::Yes);
    assert_eq!(stage.weight("green"), 10_000);
    stage.converge();
    assert_eq!(stage.message(), "waiting for analysis golden, value (0s)");
    let back = stage.machine.clone();
    stage.answer(Answer::Yes);
    assert_eq!(
        stage.transcript(),
        "\
0s file: the file's target is green; waits for confirm-rollout hook `approve` -> Paused, green not begun, red 0 green 0 blue 100\n\
0s engine: starts: confirm-rollout hook `approve` says yes -> Progressing, green preview, red 0 green 0 blue 100\n\
0s engine: 3/3 nodes have it after 0s; waits for pre-rollout hook `smoke` -> Progressing, green preview, red 0 green 0 blue 100\n\
20s engine: pre-rollout hook `smoke` says yes; waits for analysis golden -> Progressing, green preview, red 0 green 0 blue 100\n\
60s engine: switch: autoPromotionSeconds is over: 1m; waits for confirm-traffic-increase hook `increase` -> Paused, green preview, red 0 green 0 blue 100\n\
65s engine: confirm-traffic-increase hook `increase` says yes; waits for confirm-promotion hook `promotion` -> Paused, green preview, red 0 green 0 blue 100\n\
65s engine: switch: autoPromotionSeconds is over: 1m: confirm-promotion hook `promotion` says yes -> Progressing, all to green, red 0 green 100 blue 0\n\
65s engine: 3/3 nodes have it after 0s; waits for analysis golden, value -> Progressing, all to green, red 0 green 100 blue 0\n\
65s engine: 3/3 nodes have it after 0s: analysis golden, value passes -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
    stage.machine = back;
    let entries = stage.answer(no("error-rate is 4 %"));
    assert_eq!((entries.len(), stage.weight("blue")), (1, 10_000));
    assert_eq!(entries[0].why, "aborted: analysis golden, value fails: error-rate is 4 %");
}

#[test]
fn a_check_that_fails_aborts_also_while_it_is_held() {
    for (kind, steps_before) in [(WebhookKind::PreRollout, 0), (WebhookKind::Rollout, 1)] {
        let mut stage = with(steps(), &[("smoke", kind)]);
        stage.target("green");
        assert_eq!(stage.status().step.map(|step| step.index), Some(steps_before));
        stage.converge();
        stage.order(Verb::Pause);
        let refusal = format!("no pause or gate to promote past: waiting for {} hook `smoke`", kind.word());
        let mut resumed = with(steps(), &[("smoke", kind)]);
        resumed.target("green");
        resumed.converge();
        assert_eq!(resumed.refused(Verb::Promote), refusal);
        let entries = stage.answer(no("answered 500: boom"));
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].why, format!("aborted: {} hook `smoke`: answered 500: boom", kind.word()));
        assert_eq!((stage.phase(), stage.asked()), (Phase::Degraded, Vec::new()));
    }
}

#[test]
fn a_hold_keeps_an_open_gate_from_letting_it_go_on() {
    let mut stage = with(steps(), &[("approve", WebhookKind::ConfirmRollout)]);
    stage.target("green");
    stage.order(Verb::Pause);
    stage.answer(Answer::Yes);
    assert_eq!((stage.weight("green"), stage.asked()), (0, Vec::new()));
    stage.order(Verb::Resume);
    assert_eq!(stage.weight("green"), 1_000);
}

#[test]
fn promote_goes_past_one_gate_and_full_past_all() {
    let hooks = [("approve", WebhookKind::ConfirmRollout), ("increase", WebhookKind::ConfirmTrafficIncrease)];
    let mut stage = with(steps(), &hooks);
    stage.target("green");
    let late = stage.machine.asks().remove(0).decision;
    stage.answer(no("answered 403"));
    let entries = stage.order(Verb::Promote);
    assert_eq!(
        entries[0].why,
        "promoted past: confirm-rollout hook `approve`: answered 403; waits for confirm-traffic-increase hook `increase`"
    );
    assert!(
        stage.input(Input::Answer { decision: late, answer: no("answered 403") }).is_empty(),
        "nobody asks any more"
    );
    stage.order(Verb::Promote);
    assert_eq!(stage.weight("green"), 1_000);
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.weight("green"), 10_000);
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn a_rollback_hook_is_asked_all_the_way_and_its_yes_aborts() {
    let mut stage = with(steps(), &[("bad", WebhookKind::Rollback)]);
    assert_eq!(stage.asked(), [""; 0]);
    stage.target("green");
    assert_eq!(stage.asked(), ["checkout/2/2/rollback/bad#1"]);
    stage.converge();
    assert_eq!(stage.asked(), ["checkout/2/2/rollback/bad#1"], "another step is no reason to ask again");
    stage.order(Verb::Pause);
    stage.answer(no("no answer in 10s"));
    assert_eq!((stage.phase(), stage.machine.next_deadline()), (Phase::Paused, Some(stage.now + secs(10))));
    stage.wait(10);
    let entries = stage.answer(Answer::Yes);
    assert_eq!(entries[0].why, "aborted: rollback hook `bad` says yes");
    assert_eq!((stage.weight("blue"), stage.asked()), (10_000, Vec::new()));
}

#[test]
fn an_analysis_passes_fails_or_waits_for_somebody() {
    let strategy = || canary(&[Step::SetWeight(1_000), Step::Analysis(vec!["golden".into()]), Step::SetWeight(5_000)]);
    let at_it = || {
        let mut stage = with(strategy(), &[]);
        stage.target("green");
        stage.converge();
        assert_eq!(stage.asked(), ["checkout/2/3/analysis/golden#1"]);
        assert_eq!((stage.phase(), stage.machine.next_deadline()), (Phase::Progressing, None));
        stage
    };
    let mut stage = at_it();
    let entries = stage.answer(Answer::Yes);
    assert_eq!(entries[0].why, "the analysis is over: analysis golden passes");
    assert_eq!(stage.weight("green"), 5_000);

    assert_eq!(at_it().answer(no("latency"))[0].why, "aborted: analysis golden fails: latency");

    let mut stage = at_it();
    stage.now += secs(90);
    stage.answer(Answer::Inconclusive("too few requests".to_owned()));
    assert_eq!((stage.phase(), stage.asked()), (Phase::Paused, Vec::new()));
    assert_eq!(
        stage.message(),
        "inconclusive analysis golden: too few requests (1m30s): serin promote checkout, or resume to judge again"
    );
    stage.order(Verb::Resume);
    assert_eq!((stage.phase(), stage.asked()), (Phase::Progressing, vec!["checkout/2/3/analysis/golden#2".to_owned()]));
    stage.answer(Answer::Inconclusive("too few requests".to_owned()));
    stage.order(Verb::Promote);
    assert_eq!(stage.weight("green"), 5_000);
}

#[test]
fn hooks_are_told_of_events_and_of_the_end_and_hold_nothing_up() {
    let hooks = [("slack", WebhookKind::Event), ("done", WebhookKind::PostRollout)];
    let mut stage = with(canary(&[Step::SetWeight(5_000)]), &hooks);
    stage.answer(Answer::Yes);
    stage.target("green");
    stage.converge();
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy, "nobody waits for notices");
    stage.restart();
    assert_eq!(stage.asked(), ["checkout/2/2/event/slack#1", "checkout/2/4/post-rollout/done#1"]);
    let json = serde_json::to_value(stage.call()).expect("json");
    let expected = serde_json::json!({
        "name": "checkout", "namespace": "default", "phase": "Progressing", "checksum": "green-2", "type": "event",
        "failedChecks": 0, "canaryWeight": 50, "iterations": 1, "remainingTime": 0,
        "metadata": {
            "team": "shop", "eventMessage": "the file's target is green", "eventType": "Normal",
            "timestamp": "1800000000000",
        },
        "decisionId": "checkout/2/2/event/slack#1",
    });
    assert_eq!(json, expected);
    let asks = stage.machine.asks();
    let Question::Hook { call, .. } = &asks[1].question else { panic!("a hook") };
    assert_eq!((call.phase, call.canary_weight), ("Succeeded", 100));
    for ask in asks {
        stage.input(Input::Answer { decision: ask.decision, answer: no("answered 500") });
    }
    assert_eq!(stage.asked(), ["checkout/2/3/event/slack#1"], "told or not, the next");
    let revision = |stage: &mut Stage| stage.edit(|spec| spec.target = Some("red".into()));
    revision(&mut stage);
    stage.order(Verb::Abort);
    let asks = stage.machine.asks();
    let Question::Hook { call, .. } = &asks[1].question else { panic!("a hook") };
    assert_eq!((call.phase, &*call.checksum), ("Failed", "red-3"));
}

#[test]
fn a_notice_that_did_not_reach_its_hook_is_told_again() {
    let hooks = [("slack", WebhookKind::Event), ("smoke", WebhookKind::PreRollout)];
    let mut stage = with(steps(), &hooks[..1]);
    let unreached = || Answer::Unreached("connection refused".to_owned());
    let asked = stage.asked();
    for _ in 0..3 {
        stage.answer(unreached());
        assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(10)));
        stage.wait(4);
        stage.restart();
        assert_eq!(stage.asked(), [""; 0]);
        stage.wait(6);
        assert_eq!((stage.asked(), stage.machine.next_deadline()), (asked.clone(), None), "the same decision");
    }
    stage.answer(no("answered 500"));
    assert_eq!(stage.asked(), [""; 0], "any status is a delivery");

    let mut stage = with(steps(), &hooks[1..]);
    stage.target("green");
    assert_eq!(stage.answer(unreached())[0].why, "aborted: pre-rollout hook `smoke`: connection refused");
}

#[test]
fn too_many_notices_are_dropped_and_the_journal_says_so() {
    let mut stage = with(steps(), &[("slack", WebhookKind::Event)]);
    stage.target("green");
    for _ in 0..60 {
        stage.order(Verb::Pause);
        stage.order(Verb::Resume);
    }
    assert!(stage.transcript().contains("; 1 notices to hooks are dropped"));
    assert!(stage.asked()[0].starts_with("checkout/2/2"), "the oldest went: {:?}", stage.asked());
}

#[test]
fn a_hook_taken_out_of_the_file_is_not_waited_for() {
    let mut stage = with(steps(), &[("approve", WebhookKind::ConfirmRollout)]);
    stage.target("green");
    let hooks = std::mem::take(&mut stage.spec.webhooks);
    let mut without = Stage { machine: stage.machine.clone(), spec: stage.spec.clone(), ..with(steps(), &[]) };
    without.edit(|_| {});
    assert_eq!((without.asked(), without.weight("green")), (Vec::new(), 1_000));
    stage.order(Verb::Pause);
    stage.edit(|_| {});
    stage.edit(|spec| spec.webhooks = hooks);
    assert_eq!(stage.asked(), ["checkout/2/2/confirm-rollout/approve#2"], "another question");
}

#[test]
fn shortcuts_and_undo_of_colours_ask_nobody() {
    let options = BlueGreen {
        scale_down_delay: secs(600),
        post_promotion_analysis: vec!["golden".into()],
        ..BlueGreen::default()
    };
    let mut stage = with(Strategy::BlueGreen(options), &[("approve", WebhookKind::ConfirmRollout)]);
    stage.target("green");
    stage.order(Verb::PromoteFull);
    stage.converge();
    assert_eq!((stage.phase(), stage.asked()), (Phase::Healthy, Vec::new()));
    stage.target("blue");
    assert_eq!((stage.weight("blue"), stage.asked()), (10_000, Vec::new()));
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy, "a failing verdict must not lead back to what was fled from");
}

#[test]
fn another_version_is_asked_about_anew() {
    let mut stage = with(steps(), &[("bad", WebhookKind::Rollback)]);
    stage.target("green");
    stage.answer(no("not yet"));
    assert_eq!(stage.asked(), [""; 0]);
    stage.target("red");
    assert_eq!(stage.asked(), ["checkout/3/3/rollback/bad#1"]);
}

#[test]
fn time_at_a_gate_is_no_time_of_the_pause_before_it() {
    let mut stage = with(steps(), &[("increase", WebhookKind::ConfirmTrafficIncrease)]);
    stage.target("green");
    stage.answer(Answer::Yes);
    stage.converge();
    stage.wait(60);
    stage.wait(300);
    stage.edit(|spec| spec.strategy = canary(&[Step::SetWeight(1_000), pause(80), Step::SetWeight(5_000)]));
    assert_eq!(stage.message(), "paused for 1m20s, 20s left");
    stage.wait(20);
    stage.answer(Answer::Yes);
    stage.converge();
    assert_eq!(stage.weight("green"), 5_000);
}
