use super::*;

fn plan() -> Strategy {
    canary(&[Step::SetWeight(1_000), Step::Pause(None), Step::SetWeight(5_000), Step::Pause(None)])
}

/// At the second pause with 50 % on green.
fn halfway() -> Stage {
    let mut stage = Stage::new(plan());
    stage.target("green");
    stage.converge();
    stage.order(Verb::Promote);
    stage.converge();
    assert_eq!(stage.weight("green"), 5_000);
    stage.transcript();
    stage
}

#[test]
fn a_third_version_supersedes() {
    let mut stage = halfway();
    stage.target("red");
    assert_eq!(["red", "green", "blue"].map(|version| stage.weight(version)), [1_000, 0, 9_000]);
    assert_eq!(
        stage.transcript(),
        "\
0s file: the file's target is red, supersedes green -> Progressing, red step 1/4 setWeight 10, red 10 green 0 blue 90\n\
"
    );
}

#[test]
fn back_to_the_stable_version_goes_at_once() {
    let mut stage = halfway();
    stage.order(Verb::Pause);
    assert_eq!(stage.target("blue").len(), 1);
    assert_eq!(stage.weight("blue"), 10_000);
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
0s alice: paused -> Paused, green step 4/4 pause until promoted, red 0 green 50 blue 50\n\
0s file: the file's target is blue, the stable version: back at once, supersedes green -> Progressing, back to blue, red 0 green 0 blue 100\n\
0s engine: 3/3 nodes have it after 0s -> Healthy, blue stable, red 0 green 0 blue 100\n\
"
    );
}

#[test]
fn after_an_abort_the_file_decides() {
    let mut stage = halfway();
    stage.order(Verb::Abort);
    stage.converge();
    stage.edit(|spec| spec.progress_deadline = secs(1));
    assert_eq!(stage.phase(), Phase::Degraded);
    stage.target("blue");
    assert_eq!(stage.phase(), Phase::Healthy);
    stage.target("green");
    assert_eq!(stage.weight("green"), 1_000);
}

#[test]
fn a_version_stable_within_the_rollback_window_skips_the_steps() {
    for (window, weight) in [(1, 1_000), (2, 10_000)] {
        let mut stage = Stage::new(plan());
        stage.edit(|spec| spec.rollback_window = window);
        for target in ["green", "red"] {
            stage.target(target);
            stage.order(Verb::PromoteFull);
            stage.converge();
        }
        stage.target("blue");
        assert_eq!(stage.weight("blue"), weight, "within {window}");
    }
}

#[test]
fn other_steps_never_skip_one_that_raises_the_weight() {
    let at = |stage: &Stage| (stage.status().step.map(|step| step.index), stage.weight("green"));
    let mut stage = halfway();
    stage.edit(|spec| spec.strategy = canary(&[Step::SetWeight(1_000), Step::SetWeight(5_000), Step::Pause(None)]));
    assert_eq!(at(&stage), (Some(3), 5_000), "the last step there is");

    let mut stage = halfway();
    let more = [Step::SetWeight(100), pause(60), Step::SetWeight(6_000), pause(60), Step::SetWeight(9_000)];
    stage.edit(|spec| spec.strategy = canary(&more));
    assert_eq!(at(&stage), (Some(2), 100), "the step before the weight rises");
    stage.converge();
    stage.wait(60);
    assert_eq!(at(&stage), (Some(3), 6_000));

    let mut stage = halfway();
    stage.edit(|spec| spec.strategy = canary(&[Step::SetWeight(1_000), pause(5), Step::SetWeight(4_000), pause(5)]));
    assert_eq!(at(&stage), (Some(4), 4_000), "less is taken at once");
}

#[test]
fn a_document_read_again_changes_nothing() {
    let mut stage = halfway();
    assert!(stage.edit(|_| {}).is_empty());
    assert!(stage.edit(|spec| spec.origin.line = 9).is_empty());
    assert!(stage.restart().is_empty());
}

#[test]
fn an_edit_while_the_process_was_down_is_taken_up() {
    let mut stage = halfway();
    stage.spec.target = Some("blue".into());
    assert_eq!(stage.restart().len(), 1);
    assert_eq!(stage.weight("blue"), 10_000);
}

#[test]
fn versions_come_and_go() {
    let mut stage = halfway();
    let generation = stage.machine.generation();
    stage.edit(|spec| drop(spec.versions.remove(0)));
    assert_eq!(stage.machine.traffic().split.0, [("green".into(), 5_000), ("blue".into(), 5_000)]);
    assert_eq!(stage.machine.generation(), generation + 1);
    stage.edit(|spec| spec.versions.retain(|version| *version.name == *"green"));
    assert_eq!(stage.machine.traffic().split.0, [("green".into(), 10_000)]);
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
    assert!(stage.transcript().contains("blue, the stable version, was taken out of the file"));
}

#[test]
fn another_strategy_starts_again_and_weights_need_no_engine() {
    let mut stage = halfway();
    let options = BlueGreen { auto_promotion_enabled: false, ..BlueGreen::default() };
    stage.edit(|spec| spec.strategy = Strategy::BlueGreen(options));
    assert_eq!(stage.weight("blue"), 10_000);
    stage.edit(|spec| spec.strategy = weights(2_000, 8_000));
    assert_eq!((stage.weight("green"), stage.phase()), (8_000, Phase::Progressing));
    assert_eq!(*stage.entries.last().expect("entry").stable, *"green", "the heaviest");
    stage.converge();
    assert_eq!((stage.phase(), stage.status().stable), (Phase::Healthy, None));
    stage.edit(|spec| spec.strategy = weights(1_000, 9_000));
    assert_eq!(stage.weight("green"), 9_000);
    stage.edit(|spec| spec.strategy = plan());
    assert_eq!((stage.weight("green"), stage.phase()), (10_000, Phase::Progressing));
    stage.converge();
    assert_eq!(stage.status().stable, Some("green".into()));
}

#[test]
fn a_record_that_cannot_be_gone_on_with_is_told() {
    let stage = halfway();
    let json = serde_json::to_value(stage.machine.record()).expect("json");
    let restored = |change: fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json);
        let record: Record = serde_json::from_value(json).expect("record");
        Machine::restore(START, record, Arc::new(stage.spec.clone())).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(restored(|_| {}), Ok(()));
    let error = "record of layout 9, this release reads layout 1".to_owned();
    assert_eq!(restored(|json| json["schema"] = 9.into()), Err(error));
    let error = "damaged record: weights do not add up to 100".to_owned();
    assert_eq!(restored(|json| json["traffic"]["split"][0][1] = 9.into()), Err(error));
}
