use super::*;

fn plan() -> Strategy {
    canary(&[Step::SetWeight(1_000), Step::Pause(None), Step::SetWeight(5_000), pause(60)])
}

/// At the open pause with 10 % on green.
fn at_the_pause() -> Stage {
    let mut stage = Stage::new(plan());
    stage.target("green");
    stage.converge();
    stage.transcript();
    stage
}

#[test]
fn an_abort_and_a_retry() {
    let mut stage = at_the_pause();
    stage.order(Verb::Promote);
    stage.converge();
    let entries = stage.order(Verb::Abort);
    assert_eq!(entries.len(), 1, "one transition");
    assert_eq!((stage.weight("blue"), stage.phase()), (10_000, Phase::Degraded));
    stage.wait(1);
    stage.converge();
    assert_eq!(
        stage.message(),
        "aborted: by command; all traffic on blue: 3/3 nodes have it after 1s; the file still names green: serin retry \
         checkout, or edit target"
    );
    stage.order(Verb::Retry);
    stage.converge();
    stage.order(Verb::PromoteFull);
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
0s alice: promoted past: pause until promoted -> Progressing, green step 3/4 setWeight 50, red 0 green 50 blue 50\n\
0s engine: 3/3 nodes have it after 0s -> Paused, green step 4/4 pause 1m, red 0 green 50 blue 50\n\
0s alice: aborted: by command -> Degraded, green aborted, red 0 green 0 blue 100\n\
1s engine: 3/3 nodes have it after 1s -> Degraded, green aborted, all on blue, red 0 green 0 blue 100\n\
1s alice: tried again: the target is green -> Progressing, green step 1/4 setWeight 10, red 0 green 10 blue 90\n\
1s engine: 3/3 nodes have it after 0s -> Paused, green step 2/4 pause until promoted, red 0 green 10 blue 90\n\
1s alice: promoted straight to the end -> Progressing, all to green, red 0 green 100 blue 0\n\
1s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn a_pause_by_command_stops_what_goes_on_by_itself_and_nothing_else() {
    let mut stage = at_the_pause();
    stage.order(Verb::Promote);
    stage.order(Verb::Pause);
    stage.converge();
    stage.wait(3_600);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Paused, 5_000));
    assert_eq!(stage.machine.next_deadline(), None);
    assert!(stage.message().starts_with("paused by alice until serin resume checkout; 3/3 nodes"));
    assert_eq!(stage.refused(Verb::Pause), "paused already by alice");
    stage.order(Verb::Resume);
    assert_eq!(stage.message(), "paused for 1m, 1m left");
    stage.order(Verb::Pause);
    stage.nack("edge-3");
    assert_eq!(stage.phase(), Phase::Degraded, "a pause never blinds");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut idle = Stage::new(plan());
    let nothing = "nothing is under way: blue is stable and carries all traffic";
    for verb in [Verb::Pause, Verb::Resume, Verb::Promote, Verb::PromoteFull, Verb::Abort] {
        assert_eq!(idle.refused(verb), nothing, "{verb:?}");
    }
    assert_eq!(idle.refused(Verb::Retry), "not aborted: retry starts an aborted rollout again");
    assert_eq!(idle.refused(Verb::Undo(None)), "no version was stable before blue");
    let unknown = "no stable version is known from revision 7, known are 1 (blue)";
    assert_eq!(idle.refused(Verb::Undo(Some(7))), unknown);
    assert_eq!(idle.refused(Verb::Undo(Some(1))), "blue is what is rolled out already");

    let mut stage = Stage::new(plan());
    stage.target("green");
    assert_eq!(stage.refused(Verb::Promote), "no pause or gate to promote past: on its way to the fleet");
    stage.converge();
    assert_eq!(stage.refused(Verb::Resume), "not paused by a command: promote goes past the pause it is at");
    stage.order(Verb::Abort);
    let aborted = "the rollout to green was aborted: retry it, undo, or edit the file's target";
    for verb in [Verb::Pause, Verb::Promote, Verb::PromoteFull, Verb::Abort] {
        assert_eq!(stage.refused(verb), aborted, "{verb:?}");
    }
    stage.target("blue");
    assert!(stage.refused(Verb::Abort).starts_with("all traffic is on its way to blue already"));

    let mut weights = Stage::new(weights(10_000, 0));
    assert!(weights.refused(Verb::Promote).starts_with("the strategy is weights"));
}

#[test]
fn of_two_who_promote_at_once_one_is_told() {
    let mut stage = at_the_pause();
    let seen = Some(stage.status().sequence);
    let promote = |actor: &str| Command { verb: Verb::Promote, actor: actor.into(), reason: None, seen };
    assert!(stage.machine.command(stage.now, promote("alice")).is_ok());
    let refusal = stage.machine.command(stage.now, promote("bob")).expect_err("changed");
    assert!(matches!(refusal, Refusal::Stale { .. }), "{refusal}");
}

#[test]
fn undo_overrides_the_target_until_the_file_changes_it() {
    let mut stage = at_the_pause();
    stage.order(Verb::PromoteFull);
    stage.converge();
    stage.order(Verb::Undo(None));
    assert_eq!(stage.weight("blue"), 1_000, "by the steps, as no rollbackWindow is set");
    stage.order(Verb::PromoteFull);
    stage.converge();
    stage.edit(|spec| spec.progress_deadline = secs(601));
    assert_eq!((stage.weight("blue"), stage.status().undone), (10_000, true));
    stage.restart();
    assert_eq!((stage.weight("blue"), stage.status().undone), (10_000, true));
    stage.target("red");
    assert_eq!((stage.weight("red"), stage.status().undone), (1_000, false));
    stage.order(Verb::Undo(None));
    assert_eq!(stage.weight("blue"), 10_000, "mid-way, undo goes back to the stable version at once");
    stage.converge();
    stage.order(Verb::Undo(Some(2)));
    assert_eq!(stage.weight("green"), 1_000);
}

#[test]
fn who_and_why_are_written_down() {
    let mut stage = at_the_pause();
    let command = Command { verb: Verb::Abort, actor: "bob".into(), reason: Some("INC-7".to_owned()), seen: None };
    let entries = stage.machine.command(stage.now, command).expect("carried out");
    assert_eq!(entries[0].actor, Actor::Operator("bob".into()));
    assert_eq!(entries[0].why, "aborted: by command (INC-7)");
    assert_eq!(entries[0].figures, Some(Figures { converged: 3, nodes: 3, waited: Duration::ZERO }));
    let json = serde_json::to_string(&entries[0]).expect("json");
    assert_eq!(serde_json::from_str::<Entry>(&json).expect("entry"), entries[0]);
}
