//! A rejection that is held until somebody decides: `onNack: pause`.

use super::hooks::hook;
use super::*;
use crate::spec::{OnNack, WebhookKind};

/// Green has 10 %, the fleet has it; 50 % is on its way.
fn at_half() -> Stage {
    let steps = [Step::SetWeight(1_000), pause(60), Step::SetWeight(5_000), pause(60)];
    let mut spec = rollout("blue", canary(&steps));
    spec.convergence.on_nack = OnNack::Pause;
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.converge();
    stage.wait(60);
    stage.transcript();
    stage
}

const REJECTED: &str = "edge-3 rejected RDS edge: unknown cluster; the fleet is back on red 0 green 10 blue 90";

#[test]
fn the_fleet_goes_back_to_what_it_had_until_somebody_decides() {
    let mut stage = at_half();
    stage.nack("edge-3");
    stage.restart();
    assert_eq!(stage.machine.next_deadline(), None, "nothing comes by itself");
    stage.wait(2);
    stage.converge();
    stage.wait(10_000);
    assert_eq!(stage.phase(), Phase::Paused);
    assert_eq!(stage.message(), format!("{REJECTED}: 3/3 nodes have it after 2s; serin resume checkout tries again"));
    assert_eq!(stage.machine.next_deadline(), None);
    stage.order(Verb::Resume);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Progressing, 5_000));
    stage.nack("edge-3");
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Paused, 1_000), "tried again, rejected again");
    stage.order(Verb::Abort);
    assert_eq!(
        stage.transcript(),
        "\
60s engine: edge-3 rejected RDS edge: unknown cluster: back to what the fleet had -> Paused, green step 3/4 setWeight 50, rejected, red 0 green 10 blue 90\n\
62s engine: 3/3 nodes have it after 2s -> Paused, green step 3/4 setWeight 50, rejected, red 0 green 10 blue 90\n\
10062s alice: resumed -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
10062s engine: edge-3 rejected RDS edge: unknown cluster: back to what the fleet had -> Paused, green step 3/4 setWeight 50, rejected, red 0 green 10 blue 90\n\
10062s alice: aborted: by command -> Degraded, green aborted, red 0 green 0 blue 100\n\
"
    );
}

#[test]
fn before_anything_was_delivered_all_goes_back_to_the_stable_version() {
    let mut stage = Stage::of({
        let mut spec = rollout("blue", canary(&[Step::SetWeight(1_000), Step::Pause(None)]));
        spec.convergence.on_nack = OnNack::Pause;
        spec
    });
    stage.target("green");
    stage.nack("edge-3");
    assert_eq!((stage.phase(), stage.weight("blue")), (Phase::Paused, 10_000));
    stage.order(Verb::Promote);
    stage.converge();
    stage.nack("edge-3");
    assert_eq!(stage.weight("green"), 1_000, "pardoned for good");
    stage.nack("edge-2");
    assert_eq!(stage.weight("blue"), 10_000, "also after the step was done");
    assert_eq!(stage.refused(Verb::Retry), "not aborted: retry starts an aborted rollout again");
}

#[test]
fn promote_goes_on_without_the_one_that_rejected_it() {
    let mut stage = at_half();
    stage.nack("edge-3");
    stage.order(Verb::Promote);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Progressing, 5_000));
    assert_eq!(
        stage.transcript().lines().last().expect("line"),
        "60s alice: promoted past: edge-3 rejected RDS edge: unknown cluster -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50"
    );
    stage.restart();
    stage.evidence(&["edge-2"]);
    assert_eq!(stage.status().step.expect("step").index, 3, "the others are waited for");
    stage.nack("edge-3");
    assert_eq!(stage.status().step.expect("step").index, 4);
}

#[test]
fn nodes_are_counted_and_not_what_they_reject() {
    let mut stage = at_half();
    let twice = [("edge-3", "CDS"), ("edge-3", "RDS")];
    stage.nacks(&twice, 2);
    stage.order(Verb::Promote);
    stage.nacks(&twice, 1);
    assert_eq!(stage.status().step.expect("step").index, 3, "the third is waited for");
    stage.nacks(&twice, 2);
    assert_eq!(stage.status().step.expect("step").index, 4);
}

#[test]
fn more_nodes_are_pardoned_than_are_named() {
    let names: Vec<_> = (1..=13).map(|node| format!("edge-{node}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), "RDS")).collect();
    let mut stage = at_half();
    stage.nodes = 14;
    stage.nacks(&all[..12], 2);
    stage.order(Verb::Promote);
    stage.restart();
    stage.nacks(&all[1..12], 2);
    assert_eq!((stage.weight("green"), stage.phase()), (5_000, Phase::Progressing), "the 11th was pardoned too");
    stage.nacks(&all[..12], 2);
    assert_eq!(stage.status().step.expect("step").index, 4, "and is not waited for");
    stage.nacks(&all, 1);
    assert_eq!((stage.weight("green"), stage.phase()), (1_000, Phase::Paused));
    assert!(stage.message().starts_with("edge-13 rejected RDS edge"), "{}", stage.message());

    let mut evidence = Evidence { generation: stage.machine.generation(), nodes: 14, ..Evidence::default() };
    stage.order(Verb::Resume);
    evidence.generation = stage.machine.generation();
    evidence.rejecting.insert("edge-14".to_owned());
    stage.input(Input::Evidence(evidence));
    assert!(stage.message().starts_with("edge-14 rejected it; the fleet is back"), "{}", stage.message());
}

#[test]
fn the_way_back_may_be_rejected_too() {
    let mut stage = at_half();
    stage.nack("edge-3");
    stage.nack("edge-2");
    stage.nack("edge-2");
    stage.wait(10_000);
    assert_eq!(
        (stage.phase(), stage.message()),
        (
            Phase::Paused,
            format!("{REJECTED}: edge-2 rejected RDS edge: unknown cluster; serin resume checkout tries again")
        )
    );
    stage.converge();
    assert!(stage.message().contains("10: 3/3 nodes have it") || stage.message().contains("90: 3/3 nodes have it"));
    assert_eq!(stage.transcript().lines().count(), 3, "told once");
    stage.order(Verb::Resume);
    assert_eq!(stage.weight("green"), 5_000);
}

#[test]
fn a_restart_is_no_edit_and_an_edit_of_the_step_tries_anew() {
    let mut stage = at_half();
    stage.nack("edge-3");
    stage.restart();
    assert!(stage.edit(|_| {}).is_empty());
    assert_eq!(stage.weight("green"), 1_000);
    stage.converge();
    let steps = [Step::SetWeight(1_000), pause(60), Step::SetWeight(4_000), pause(60)];
    stage.edit(|spec| spec.strategy = canary(&steps));
    assert_eq!((stage.message(), stage.weight("green")), ("paused for 1m, 1m left".to_owned(), 1_000));
    stage.wait(60);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Progressing, 4_000));
}

#[test]
fn a_version_that_is_gone_is_not_gone_back_to() {
    let mut stage = at_half();
    stage.edit(|spec| spec.convergence.on_nack = OnNack::Pause);
    stage.converge();
    stage.target("red");
    stage.nack("edge-3");
    assert_eq!(stage.weight("blue"), 10_000, "green is superseded");
    stage.edit(|spec| drop(spec.versions.remove(1)));
    assert_eq!(stage.phase(), Phase::Progressing, "the versions of the file changed");
    stage.nack("edge-3");
    assert_eq!(stage.machine.traffic().split.0.len(), 2);
    stage.target("blue");
    assert_eq!((stage.weight("blue"), stage.status().message.contains("back on")), (10_000, false));
}

#[test]
fn a_rejection_known_before_the_rollout_is_not_its_doing() {
    let mut spec = rollout("blue", canary(&[pause(60), Step::SetWeight(1_000)]));
    spec.convergence.on_nack = OnNack::Pause;
    let (machine, entries) = Machine::first_seen(START, Arc::new(spec.clone()));
    let mut stage = Stage { machine, entries, spec, now: START, nodes: 3, transcript: String::new() };
    stage.nack("edge-1");
    stage.edit(|spec| spec.webhooks = vec![hook("confirm", WebhookKind::ConfirmRollout)]);
    stage.target("green");
    let ask = stage.machine.asks().remove(0);
    stage.input(Input::Answer { decision: ask.decision, answer: Answer::Yes });
    assert!(stage.input(Input::Tick).is_empty());
    assert_eq!(stage.message(), "waiting for 1 of 3 nodes: edge-1");
}

#[test]
fn one_that_was_stuck_is_paused_when_it_is_rejected() {
    let mut spec = rollout("blue", canary(&[Step::Pause(None)]));
    spec.convergence.on_nack = OnNack::Pause;
    let (machine, entries) = Machine::first_seen(START, Arc::new(spec.clone()));
    let mut stage = Stage { machine, entries, spec, now: START, nodes: 3, transcript: String::new() };
    stage.target("green");
    stage.wait(3_600);
    assert_eq!(stage.phase(), Phase::Degraded);
    stage.nack("edge-1");
    assert_eq!(stage.phase(), Phase::Paused);
}

#[test]
fn a_preview_that_changes_nothing_is_held_all_the_same() {
    let mut spec = rollout("blue", Strategy::BlueGreen(BlueGreen::default()));
    spec.convergence.on_nack = OnNack::Pause;
    let mut stage = Stage::of(spec);
    stage.target("green");
    let switched = stage.nack("edge-3");
    assert_eq!(stage.weight("blue"), 10_000, "{switched:?}");
    assert_eq!(stage.phase(), Phase::Paused);
    stage.order(Verb::Resume);
    stage.converge();
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn nobody_is_left_to_go_on_with_when_all_reject_it() {
    let mut stage = at_half();
    for node in ["edge-1", "edge-2"] {
        stage.nack(node);
        stage.order(Verb::Promote);
        assert_eq!(stage.weight("green"), 5_000);
    }
    stage.nack("edge-3");
    stage.converge();
    let refused = "every node rejects it (edge-3 rejected RDS edge: unknown cluster): abort, or edit the step";
    assert_eq!(stage.refused(Verb::Promote), refused);
    assert_eq!(stage.weight("green"), 1_000, "what all had");
}

#[test]
fn what_the_fleet_had_gives_no_more_than_it_has_after_an_edit_that_takes_weight_away() {
    let mut spec = rollout("blue", canary(&[Step::SetWeight(1_000), header_route("qa")]));
    spec.convergence.on_nack = OnNack::Pause;
    spec.convergence.canary_nodes = Some(Arc::default());
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.converge();
    stage.wait(10);
    stage.converge();
    assert_eq!((stage.weight("green"), stage.status().step.map(|step| step.index)), (1_000, Some(2)));
    stage.edit(|spec| spec.strategy = canary(&[]));
    assert_eq!(stage.weight("green"), 0);
    stage.nack("edge-1");
    assert_eq!((stage.weight("green"), stage.phase()), (0, Phase::Paused));
}
