//! Canary nodes, which get each change first.

use super::*;
use crate::spec::{OnNack, OnTimeout};

/// Green is to have 10 %, then 50 %; two canary nodes, five proxies in all.
fn under_way(edit: impl FnOnce(&mut Rollout)) -> Stage {
    let mut spec =
        rollout("blue", canary(&[Step::SetWeight(1_000), pause(60), Step::SetWeight(5_000), Step::Pause(None)]));
    spec.convergence.canary_nodes = Some(Arc::default());
    edit(&mut spec);
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.nodes = 2;
    stage.transcript();
    stage
}

/// The canary nodes have it, the time to settle is over, and everybody has it.
fn everybody(stage: &mut Stage) {
    stage.nodes = 2;
    stage.converge();
    stage.wait(10);
    assert_eq!(stage.machine.ahead(), None);
    stage.nodes = 5;
    stage.converge();
    stage.nodes = 2;
}

fn ahead(stage: &Stage) -> Option<u32> {
    stage.machine.ahead().map(|traffic| traffic.split.0[1].1)
}

#[test]
fn each_change_goes_to_them_first() {
    let mut stage = under_way(|_| {});
    assert_eq!((ahead(&stage), stage.weight("green")), (Some(1_000), 0));
    stage.wait(1);
    stage.evidence(&["edge-a-2"]);
    assert_eq!(stage.message(), "waiting for 1 of 2 canary nodes: edge-a-2");
    stage.wait(1);
    stage.converge();
    stage.wait(3);
    stage.restart();
    assert_eq!(stage.message(), "2/2 canary nodes have it after 2s, the others follow in 7s");
    assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(7)));
    let generation = stage.machine.generation();
    stage.wait(7);
    assert_eq!(stage.machine.generation(), generation + 1);
    stage.nodes = 5;
    stage.wait(1);
    stage.converge();
    stage.wait(60);
    everybody(&mut stage);
    stage.order(Verb::Promote);
    everybody(&mut stage);
    assert_eq!(
        stage.transcript(),
        "\
12s engine: 2/2 canary nodes have it after 2s and kept it for 10s: the others follow -> Progressing, green step 1/4 setWeight 10, red 0 green 10 blue 90\n\
13s engine: 5/5 nodes have it after 1s -> Paused, green step 2/4 pause 1m, red 0 green 10 blue 90\n\
73s engine: the pause of 1m is over -> Progressing, green step 3/4 setWeight 50, canary nodes first, red 0 green 10 blue 90\n\
83s engine: 2/2 canary nodes have it after 0s and kept it for 10s: the others follow -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
83s engine: 5/5 nodes have it after 0s -> Paused, green step 4/4 pause until promoted, red 0 green 50 blue 50\n\
83s alice: promoted past: pause until promoted -> Progressing, all to green, canary nodes first, red 0 green 50 blue 50\n\
93s engine: 2/2 canary nodes have it after 0s and kept it for 10s: the others follow -> Progressing, all to green, red 0 green 100 blue 0\n\
93s engine: 5/5 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn one_that_goes_away_while_it_settles_starts_the_time_anew() {
    let mut stage = under_way(|_| {});
    stage.converge();
    stage.wait(9);
    stage.evidence(&["edge-a-1"]);
    stage.wait(9);
    stage.converge();
    stage.wait(9);
    assert_eq!(ahead(&stage), Some(1_000));
    stage.nodes = 1;
    stage.converge();
    stage.wait(9);
    assert_eq!(ahead(&stage), Some(1_000), "also when it is not counted any more");
    stage.wait(1);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000));
}

#[test]
fn what_they_reject_nobody_else_sees() {
    let mut stage = under_way(|_| {});
    stage.converge();
    stage.wait(5);
    stage.nack("edge-a-1");
    assert_eq!((stage.phase(), ahead(&stage), stage.weight("blue")), (Phase::Degraded, None, 10_000));

    let mut stage = under_way(|spec| spec.convergence.on_nack = OnNack::Pause);
    stage.nack("edge-a-1");
    assert_eq!((stage.phase(), ahead(&stage), stage.weight("blue")), (Phase::Paused, None, 10_000));
    stage.order(Verb::Promote);
    assert_eq!((ahead(&stage), stage.weight("blue")), (Some(1_000), 10_000));
    stage.nack("edge-a-1");
    stage.wait(10);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000), "without the one that rejects it");
    stage.nodes = 5;
    stage.nack("edge-a-1");
    assert_eq!(stage.status().step.expect("step").index, 2);
}

#[test]
fn without_any_the_timeout_decides() {
    let mut stage = under_way(|_| {});
    stage.nodes = 0;
    stage.converge();
    stage.wait(30);
    assert_eq!((stage.phase(), ahead(&stage)), (Phase::Paused, Some(1_000)));
    assert_eq!(stage.message(), "no canary node is connected for 30s, longer than 30s");
    let mut promoted = Stage { machine: stage.machine.clone(), spec: stage.spec.clone(), entries: Vec::new(), ..stage };
    promoted.order(Verb::Promote);
    assert_eq!((ahead(&promoted), promoted.weight("green")), (None, 1_000));
    promoted.nodes = 5;
    promoted.converge();
    assert_eq!(promoted.status().step.expect("step").index, 2);

    let mut stage = under_way(|spec| spec.convergence.on_timeout = OnTimeout::Continue);
    stage.nodes = 0;
    stage.converge();
    stage.wait(30);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000));
    let mut stage = under_way(|spec| spec.convergence.on_timeout = OnTimeout::Abort);
    stage.nodes = 0;
    stage.converge();
    stage.wait(30);
    assert_eq!((stage.phase(), ahead(&stage)), (Phase::Degraded, None));
}

#[test]
fn late_ones_go_on_by_themselves_and_settle_all_the_same() {
    let mut stage = under_way(|_| {});
    stage.evidence(&["edge-a-1"]);
    stage.wait(40);
    stage.converge();
    assert_eq!(stage.message(), "2/2 canary nodes have it after 40s, the others follow in 10s");
    assert_eq!(stage.phase(), Phase::Progressing);
    assert_eq!(
        stage.refused(Verb::Promote),
        "no pause or gate to promote past: 2/2 canary nodes have it after 40s, the others follow in 10s"
    );
    stage.wait(10);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000));
}

#[test]
fn paused_by_a_person_the_others_wait() {
    let mut stage = under_way(|_| {});
    stage.order(Verb::Pause);
    stage.converge();
    stage.wait(1_000);
    assert_eq!(ahead(&stage), Some(1_000));
    assert_eq!(stage.machine.next_deadline(), None);
    assert_eq!(
        stage.message(),
        "paused by alice until serin resume checkout; 2/2 canary nodes have it after 0s, the others follow"
    );
    stage.order(Verb::Resume);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000));
}

#[test]
fn ways_back_go_to_everybody_at_once() {
    let at_ten = || {
        let mut stage = under_way(|spec| spec.rollback_window = 1);
        everybody(&mut stage);
        stage.wait(60);
        assert_eq!((ahead(&stage), stage.weight("green")), (Some(5_000), 1_000));
        stage
    };
    let mut aborted = at_ten();
    aborted.order(Verb::Abort);
    assert_eq!((ahead(&aborted), aborted.weight("blue")), (None, 10_000));
    let mut back = at_ten();
    back.target("blue");
    assert_eq!((ahead(&back), back.weight("blue")), (None, 10_000));
    let mut superseded = at_ten();
    superseded.target("red");
    assert_eq!(superseded.weight("blue"), 10_000, "nobody keeps green");
    assert_eq!(superseded.machine.ahead().expect("red").split.0[0].1, 1_000);
    let mut done = at_ten();
    done.order(Verb::PromoteFull);
    assert_eq!((ahead(&done), done.weight("green")), (Some(10_000), 1_000));
    everybody(&mut done);
    assert_eq!(done.phase(), Phase::Healthy);
    done.target("blue");
    assert_eq!((ahead(&done), done.weight("blue")), (None, 10_000), "rollbackWindow");
}

#[test]
fn a_preview_and_a_switch_go_to_them_first_too() {
    let options = BlueGreen { preview: header("x-preview"), ..BlueGreen::default() };
    let mut spec = rollout("blue", Strategy::BlueGreen(options));
    spec.convergence.canary_nodes = Some(Arc::default());
    let mut stage = Stage::of(spec);
    stage.target("green");
    assert_eq!(stage.machine.traffic().header_routes.len(), 0);
    assert_eq!(stage.machine.ahead().expect("ahead").header_routes.len(), 1);
    everybody(&mut stage);
    assert_eq!((ahead(&stage), stage.weight("green")), (Some(10_000), 0));
    everybody(&mut stage);
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn canary_nodes_taken_out_of_the_file_are_not_waited_for() {
    let mut stage = under_way(|_| {});
    stage.edit(|spec| spec.convergence.canary_nodes = None);
    assert_eq!((ahead(&stage), stage.weight("green")), (None, 1_000));
}

#[test]
fn a_simulation_knows_them() {
    let mut spec = rollout("blue", canary(&[Step::SetWeight(1_000)]));
    spec.convergence.canary_nodes = Some(Arc::default());
    let simulated = simulate::simulate(&Arc::new(spec), &"green".into(), &simulate::Setting::default());
    let at: Vec<_> = simulated.rows.iter().map(|row| row.at.as_secs()).collect();
    assert_eq!((at, simulated.end.message.as_str()), (vec![0, 11, 12, 23, 24], "green carries all traffic"));
}
