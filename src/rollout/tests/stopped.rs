//! A rollout whose record was damaged.

use super::*;

const DAMAGED: &str = "damaged record: checksum";

fn plan() -> Strategy {
    canary(&[Step::SetWeight(1_000), pause(60), Step::SetWeight(5_000), pause(60)])
}

/// Half of the traffic was on green when the record was lost; `edit` changes the file meanwhile.
fn at_half(edit: impl FnOnce(&mut Rollout)) -> Stage {
    let mut stage = Stage::new(plan());
    stage.target("green");
    stage.converge();
    stage.wait(60);
    stage.converge();
    edit(&mut stage.spec);
    let last = stage.entries.last().cloned();
    lost(stage, last.as_ref())
}

fn lost(mut stage: Stage, last: Option<&Entry>) -> Stage {
    let spec = Arc::new(stage.spec.clone());
    let (machine, entries) = Machine::stopped(stage.now, spec, last, DAMAGED.to_owned());
    stage.machine = machine;
    stage.transcript.clear();
    stage.write(&entries);
    stage.converge();
    stage
}

fn at_the_end(mut stage: Stage, verb: Verb) -> String {
    stage.transcript();
    stage.order(verb);
    stage.converge();
    stage.transcript()
}

#[test]
fn what_is_in_force_stays_and_nothing_moves_by_itself() {
    let mut stage = at_half(|_| {});
    assert_eq!(stage.machine.next_deadline(), None);
    stage.nack("edge-3");
    stage.converge();
    stage.wait(100_000);
    stage.restart();
    stage.edit(|_| {});
    assert_eq!(stage.phase(), Phase::Degraded);
    assert_eq!(
        stage.message(),
        "stopped: damaged record: checksum; red 0 green 50 blue 50 stays in force: 3/3 nodes have it after 0s; serin \
         abort checkout puts all on blue, serin promote checkout --full all on green, serin retry checkout goes to \
         green from the first step"
    );
    assert_eq!(
        stage.transcript(),
        "60s engine: stopped: damaged record: checksum -> Degraded, stopped, red 0 green 50 blue 50\n"
    );
    let sequences: Vec<_> = stage.entries.iter().rev().take(2).map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [6, 5], "goes on after the last entry");
    let refusal =
        "it is stopped (damaged record: checksum): abort, promote --full or retry it, or edit the file's target";
    for verb in [Verb::Pause, Verb::Resume, Verb::Promote] {
        assert_eq!(stage.refused(verb), refusal);
    }
}

#[test]
fn somebody_decides() {
    let stage = || at_half(|_| {});
    assert_eq!(
        at_the_end(stage(), Verb::Abort),
        "\
60s alice: aborted: by command -> Degraded, green aborted, red 0 green 0 blue 100\n\
60s engine: 3/3 nodes have it after 0s -> Degraded, green aborted, all on blue, red 0 green 0 blue 100\n\
"
    );
    assert_eq!(
        at_the_end(stage(), Verb::PromoteFull),
        "\
60s alice: promoted straight to the end -> Progressing, all to green, red 0 green 100 blue 0\n\
60s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
    assert_eq!(
        at_the_end(stage(), Verb::Retry),
        "\
60s alice: tried again: the target is green -> Progressing, green step 1/4 setWeight 10, red 0 green 10 blue 90\n\
60s engine: 3/3 nodes have it after 0s -> Paused, green step 2/4 pause 1m, red 0 green 10 blue 90\n\
"
    );
    assert_eq!(
        at_the_end(stage(), Verb::Undo(None)),
        "\
60s alice: undone: until the file's target changes it is blue, the stable version: back at once -> Progressing, back to blue, red 0 green 0 blue 100\n\
60s engine: 3/3 nodes have it after 0s -> Healthy, blue stable, red 0 green 0 blue 100\n\
"
    );
    let mut edited = stage();
    edited.target("red");
    assert_eq!((edited.weight("red"), edited.weight("blue")), (1_000, 9_000));
}

#[test]
fn a_version_that_is_gone_leaves_all_on_the_stable_one() {
    let mut stage = at_half(|spec| {
        spec.versions.remove(1);
        spec.target = Some("red".into());
    });
    assert_eq!(stage.weight("blue"), 10_000);
    assert!(stage.message().contains("red 0 blue 100 stays in force"));
    stage.edit(|spec| drop(spec.versions.pop()));
    assert_eq!((stage.weight("red"), stage.phase()), (10_000, Phase::Progressing), "the stable one is gone too");
}

#[test]
fn without_a_journal_the_target_is_taken_as_stable() {
    let mut stage = lost(Stage::of(rollout("green", plan())), None);
    assert_eq!((stage.weight("green"), stage.phase()), (10_000, Phase::Degraded));
    assert_eq!(
        stage.message(),
        "stopped: damaged record: checksum; which split was in force is not known, so all is on the file's target; red 0 green 100 \
         blue 0 stays in force: 3/3 nodes have it after 0s; serin retry checkout puts all on green"
    );
    let mut aborted = lost(Stage::of(rollout("green", plan())), None);
    for (stage, verb) in [(&mut stage, Verb::Retry), (&mut aborted, Verb::Abort)] {
        stage.order(verb);
        stage.converge();
        assert_eq!((stage.weight("green"), stage.phase()), (10_000, Phase::Healthy));
    }
}

#[test]
fn entries_without_the_stable_version_are_read() {
    let entry = at_half(|_| {}).entries.pop().expect("entry");
    assert_eq!((&*entry.stable, entry.target.as_deref()), ("blue", Some("green")));
    let mut json = serde_json::to_value(&entry).expect("json");
    json.as_object_mut().expect("object").retain(|key, _| key != "stable" && key != "target");
    let old: Entry = serde_json::from_value(json).expect("entry");
    let stage = lost(Stage::of(rollout("green", plan())), Some(&Entry { sequence: 40, ..old }));
    assert_eq!((stage.weight("green"), stage.status().sequence), (5_000, 41));
}

#[test]
fn the_split_stays_in_whatever_order_it_was_written() {
    let stage = Stage::of(rollout("green", plan()));
    let mut last = at_half(|_| {}).entries.pop().expect("entry");
    last.to.weights.0.reverse();
    last.to.weights.0.retain(|(_, weight)| *weight > 0);
    let stage = lost(stage, Some(&last));
    assert_eq!(["red", "green", "blue"].map(|version| stage.weight(version)), [0, 5_000, 5_000]);
}

#[test]
fn plain_weights_need_no_record() {
    let mut stage = lost(Stage::of(rollout("green", weights(3_000, 7_000))), None);
    stage.converge();
    assert_eq!((stage.weight("green"), stage.phase()), (7_000, Phase::Healthy));
}
