use super::*;
use crate::spec::{OnTimeout, Quorum};

/// At the first step, 10 % on green, nobody has it yet.
fn under_way(edit: impl FnOnce(&mut Rollout)) -> Stage {
    let mut spec = rollout("blue", canary(&[Step::SetWeight(1_000), Step::Pause(None)]));
    edit(&mut spec);
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.transcript();
    stage
}

fn step(stage: &Stage) -> Option<usize> {
    stage.status().step.map(|step| step.index)
}

#[test]
fn a_late_fleet_holds_the_step_and_it_goes_on_by_itself() {
    let mut stage = under_way(|_| {});
    stage.evidence(&["edge-1", "edge-2"]);
    assert_eq!(stage.machine.next_deadline(), Some(START + secs(30)));
    stage.wait(30);
    assert_eq!(stage.phase(), Phase::Paused);
    stage.wait(10);
    assert_eq!(stage.message(), "waiting for 2 of 3 nodes: edge-1, edge-2 for 40s, longer than 30s");
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
30s engine: not on the fleet after 30s: waiting for 2 of 3 nodes: edge-1, edge-2 -> Paused, green step 1/2 setWeight 10, red 0 green 10 blue 90\n\
40s engine: 3/3 nodes have it after 40s -> Paused, green step 2/2 pause until promoted, red 0 green 10 blue 90\n\
"
    );
}

#[test]
fn promote_goes_on_without_the_late_ones() {
    let mut stage = under_way(|_| {});
    stage.evidence(&["edge-1"]);
    stage.wait(30);
    stage.order(Verb::Promote);
    assert_eq!(step(&stage), Some(2));
}

#[test]
fn a_timeout_can_abort_or_be_passed_over() {
    let mut stage = under_way(|spec| spec.convergence.on_timeout = OnTimeout::Abort);
    stage.evidence(&["edge-1"]);
    assert_eq!(stage.wait(30).len(), 1);
    assert_eq!((stage.phase(), stage.weight("blue")), (Phase::Degraded, 10_000));
    let mut stage = under_way(|spec| spec.convergence.on_timeout = OnTimeout::Continue);
    stage.wait(30);
    assert_eq!(step(&stage), Some(2));
}

#[test]
fn a_rejection_aborts_and_names_node_resource_and_reason() {
    let mut stage = under_way(|_| {});
    assert_eq!(stage.nack("edge-3").len(), 1);
    assert_eq!((stage.phase(), stage.weight("blue")), (Phase::Degraded, 10_000));
    assert!(stage.message().starts_with("aborted: edge-3 rejected RDS edge: unknown cluster; all traffic on blue"));
    stage.nack("edge-3");
    assert_eq!(stage.phase(), Phase::Degraded, "there is nowhere further back to go");
}

#[test]
fn a_rejection_after_the_step_was_done_counts_too() {
    let mut stage = under_way(|_| {});
    stage.converge();
    assert_eq!(step(&stage), Some(2));
    stage.nack("edge-3");
    assert_eq!(stage.phase(), Phase::Degraded);
}

#[test]
fn a_quorum_and_expected_nodes() {
    let mut stage = under_way(|spec| spec.convergence.quorum = Quorum::Percent(60));
    stage.evidence(&["a", "b"]);
    assert_eq!(step(&stage), Some(1));
    stage.evidence(&["a"]);
    assert_eq!(step(&stage), Some(2));

    let mut stage = under_way(|spec| spec.convergence.expected_nodes = Some(4));
    stage.converge();
    assert_eq!(stage.message(), "waiting for proxies: 3 of 4 expected are connected");
    stage.nodes = 4;
    stage.converge();
    assert_eq!(step(&stage), Some(2));

    let mut stage = under_way(|spec| spec.convergence.quorum = Quorum::Nodes(5));
    stage.converge();
    assert_eq!(stage.message(), "5 nodes make the quorum, but only 3 are connected");
}

#[test]
fn a_fleet_of_nobody_has_everything_and_it_is_said() {
    let mut stage = under_way(|_| {});
    stage.nodes = 0;
    stage.converge();
    assert!(stage.transcript().contains("no proxies are connected"));
    assert_eq!(step(&stage), Some(2));
    let mut stage = under_way(|spec| spec.convergence.expected_nodes = Some(1));
    stage.nodes = 0;
    stage.converge();
    assert_eq!(step(&stage), Some(1));
}

#[test]
fn evidence_of_older_traffic_is_ignored() {
    let mut stage = Stage::new(canary(&[Step::SetWeight(1_000), Step::Pause(None)]));
    let evidence = Evidence { generation: stage.machine.generation(), nodes: 3, converged: 3, ..Evidence::default() };
    stage.target("green");
    stage.input(Input::Evidence(evidence));
    assert_eq!(step(&stage), Some(1));
}

#[test]
fn without_progress_it_is_told_or_aborted() {
    let mut stage = under_way(|_| {});
    stage.evidence(&["edge-1", "edge-2"]);
    stage.wait(599);
    stage.evidence(&["edge-1"]);
    stage.wait(599);
    assert_eq!(stage.phase(), Phase::Paused, "one more node is progress");
    stage.wait(1);
    assert_eq!(stage.phase(), Phase::Degraded);
    assert_eq!(stage.message(), "no progress for 10m: waiting for 1 of 3 nodes: edge-1");
    assert_eq!(stage.machine.next_deadline(), None);
    stage.converge();
    assert_eq!((stage.phase(), step(&stage)), (Phase::Paused, Some(2)));
    stage.wait(100_000);
    assert_eq!(stage.phase(), Phase::Paused, "an open pause is no lack of progress");

    let mut stage = under_way(|spec| spec.progress_deadline_abort = true);
    stage.wait(600);
    assert_eq!((stage.phase(), stage.weight("blue")), (Phase::Degraded, 10_000));
}
