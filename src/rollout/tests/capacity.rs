use super::*;
use crate::spec::{OnNack, TOTAL_WEIGHT};

fn steps() -> Strategy {
    canary(&[Step::SetWeight(4_000), pause(60), Step::SetWeight(6_000), Step::Pause(None)])
}

const WHY: &str = "12 healthy endpoints carry 50 %, 60 % needs 15: 3 are missing";

/// Green has 40 %, and its pause is over.
fn at_the_gate(most: u32) -> Stage {
    let mut stage = Stage::new(steps());
    stage.room(&[("green", most, WHY)]);
    stage.target("green");
    stage.transcript();
    stage.converge();
    stage.wait(60);
    stage
}

fn colours() -> Strategy {
    Strategy::BlueGreen(BlueGreen { preview: header("x-preview"), scale_down_delay: secs(0), ..BlueGreen::default() })
}

#[test]
fn a_weight_waits_for_whoever_is_to_carry_it() {
    let mut stage = at_the_gate(5_000);
    assert_eq!((stage.weight("green"), stage.phase()), (4_000, Phase::Paused));
    assert_eq!(stage.message(), format!("waiting for capacity of green: {WHY} (0s)"));
    assert_eq!(stage.machine.next_deadline(), None);
    let refusal = format!(
        "no pause or gate to promote past: waiting for capacity of green: {WHY}; promote --full does not wait for it"
    );
    assert_eq!(stage.refused(Verb::Promote), refusal);
    assert!(
        stage.room(&[("green", 5_999, "1 is missing")]).is_empty(),
        "news that changes nothing is not written down"
    );
    stage.now += secs(30);
    stage.restart();
    assert_eq!(stage.message(), "waiting for capacity of green: 1 is missing (0s)");
    stage.room(&[("green", 6_000, "")]);
    assert_eq!(stage.weight("green"), 6_000);
    stage.converge();
    stage.order(Verb::Promote);
    assert_eq!((stage.weight("green"), stage.phase()), (6_000, Phase::Paused));
    assert_eq!(stage.message(), "waiting for capacity of green (0s)");
    stage.room(&[]);
    assert_eq!(stage.weight("green"), TOTAL_WEIGHT);
    assert_eq!(
        stage.transcript(),
        "\
0s engine: 3/3 nodes have it after 0s -> Paused, green step 2/4 pause 1m, red 0 green 40 blue 60\n\
60s engine: the pause of 1m is over; waits for capacity of green: 12 healthy endpoints carry 50 %, 60 % needs 15: 3 are missing -> Paused, green step 2/4 pause 1m, red 0 green 40 blue 60\n\
90s engine: the pause of 1m is over -> Progressing, green step 3/4 setWeight 60, red 0 green 60 blue 40\n\
90s engine: 3/3 nodes have it after 0s -> Paused, green step 4/4 pause until promoted, red 0 green 60 blue 40\n\
90s alice: promoted past: pause until promoted; waits for capacity of green -> Paused, green step 4/4 pause until promoted, red 0 green 60 blue 40\n\
90s engine: promoted past the pause; all steps are done -> Progressing, all to green, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn straight_to_the_end_asks_for_no_room() {
    let mut stage = at_the_gate(5_000);
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.weight("green"), TOTAL_WEIGHT);
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
}

#[test]
fn nothing_begins_with_a_version_that_nobody_answers_for() {
    let mut stage = Stage::new(steps());
    stage.room(&[("green", 0, "no healthy endpoint")]);
    stage.target("green");
    assert_eq!((stage.weight("green"), stage.phase()), (0, Phase::Paused));
    assert_eq!(stage.message(), "waiting for capacity of green: no healthy endpoint (0s)");
    stage.room(&[("green", 4_000, "")]);
    assert_eq!(stage.weight("green"), 4_000);
}

#[test]
fn a_switch_waits_and_a_preview_only_for_somebody_to_answer() {
    let mut stage = Stage::new(colours());
    stage.room(&[("green", 0, "no healthy endpoint")]);
    stage.target("green");
    assert!(stage.machine.traffic().header_routes.is_empty());
    stage.room(&[("green", 1, "1 of 15 is there")]);
    assert_eq!(stage.machine.traffic().header_routes.len(), 1);
    stage.converge();
    assert_eq!((stage.weight("green"), stage.phase()), (0, Phase::Paused));
    assert_eq!(stage.message(), "waiting for capacity of green: 1 of 15 is there (0s)");
    stage.room(&[("green", TOTAL_WEIGHT, "")]);
    assert_eq!(stage.weight("green"), TOTAL_WEIGHT);
}

#[test]
fn a_version_that_loses_endpoints_keeps_what_it_has_and_gets_no_more() {
    let mut stage = at_the_gate(TOTAL_WEIGHT);
    assert_eq!(stage.weight("green"), 6_000);
    stage.converge();
    assert!(stage.room(&[("green", 3_000, "5 of 15 are healthy")]).is_empty());
    assert_eq!(stage.weight("green"), 6_000);
    assert_eq!(
        stage.message(),
        "paused until promoted: serin promote checkout; green has 60 % and can carry 30 %: 5 of 15 are healthy"
    );
    stage
        .edit(|spec| spec.strategy = canary(&[Step::SetWeight(6_000), Step::SetWeight(5_000), Step::SetWeight(7_000)]));
    stage.converge();
    assert_eq!((stage.weight("green"), stage.phase()), (5_000, Phase::Paused), "less is no more");
    assert_eq!(stage.message(), "waiting for capacity of green: 5 of 15 are healthy (0s)");
}

#[test]
fn less_weight_needs_no_room() {
    let mut stage = Stage::new(canary(&[Step::SetWeight(6_000), Step::SetWeight(2_000), Step::Pause(None)]));
    stage.target("green");
    stage.room(&[("green", 1_000, "")]);
    stage.converge();
    assert_eq!(stage.weight("green"), 2_000);
}

#[test]
fn nobody_follows_canary_nodes_where_there_is_no_room_and_nothing_rejected_is_tried_again() {
    let mut spec = rollout("blue", steps());
    spec.convergence.canary_nodes = Some(Arc::default());
    spec.convergence.on_nack = OnNack::Pause;
    let mut stage = Stage::of(spec);
    stage.target("green");
    stage.converge();
    stage.room(&[("green", 1_000, "small")]);
    stage.wait(10);
    assert_eq!((stage.weight("green"), stage.phase()), (0, Phase::Paused));
    assert_eq!(stage.message(), "waiting for capacity of green: small (0s)");
    stage.nack("edge-1");
    assert_eq!(
        stage.refused(Verb::Resume),
        "not now: waiting for capacity of green: small; promote --full does not wait for it"
    );
    stage.room(&[]);
    stage.order(Verb::Resume);
    stage.converge();
    stage.wait(10);
    assert_eq!(stage.weight("green"), 4_000);
}

/// Green has 60 %, and blue can carry no more than 70 %.
fn too_much_for_blue() -> Stage {
    let mut stage = at_the_gate(TOTAL_WEIGHT);
    stage.converge();
    stage.room(&[("blue", 7_000, "3 of 10 are gone")]);
    stage.transcript();
    stage
}

#[test]
fn an_abort_goes_as_far_as_the_stable_version_can_carry_it() {
    let mut stage = too_much_for_blue();
    stage.order(Verb::Abort);
    assert_eq!((stage.weight("blue"), stage.weight("green"), stage.phase()), (7_000, 3_000, Phase::Degraded));
    assert!(!stage.machine.is_at_rest());
    assert_eq!(
        stage.message(),
        "aborted: by command; all traffic on blue: 70 % so far, waiting for capacity of blue: 3 of 10 are gone (0s); \
         serin abort checkout --emergency moves all at once; the file still names green: serin retry checkout, or edit \
         target"
    );
    assert!(stage.room(&[("blue", 5_000, "5 of 10 are gone")]).is_empty(), "it never turns round");
    stage.converge();
    assert_eq!(stage.weight("blue"), 7_000, "also when the fleet has it");
    assert!(!stage.machine.is_at_rest());
    assert!(stage.room(&[("blue", 7_099, "almost")]).is_empty(), "not worth a push");
    stage.room(&[("blue", 8_050, "2 of 10 are gone")]);
    assert_eq!((stage.weight("blue"), stage.weight("green")), (8_050, 1_950));
    stage.restart();
    stage.converge();
    stage.room(&[]);
    assert_eq!(stage.weight("blue"), TOTAL_WEIGHT);
    stage.converge();
    assert!(stage.machine.is_at_rest());
    assert_eq!(
        stage.transcript(),
        "\
60s alice: aborted: by command; waits for capacity of blue: 3 of 10 are gone -> Degraded, green aborted, red 0 green 30 blue 70\n\
60s engine: 3/3 nodes have it after 0s -> Degraded, green aborted, 70 on blue, red 0 green 30 blue 70\n\
60s engine: blue can carry 80.5 % -> Degraded, green aborted, red 0 green 19.5 blue 80.5\n\
60s engine: 3/3 nodes have it after 0s -> Degraded, green aborted, 80.5 on blue, red 0 green 19.5 blue 80.5\n\
60s engine: blue can carry all of it -> Degraded, green aborted, red 0 green 0 blue 100\n\
60s engine: 3/3 nodes have it after 0s -> Degraded, green aborted, all on blue, red 0 green 0 blue 100\n\
"
    );
}

#[test]
fn in_an_emergency_all_goes_back_at_once() {
    let mut stage = too_much_for_blue();
    stage.order(Verb::AbortEmergency);
    assert_eq!((stage.weight("blue"), stage.phase()), (TOTAL_WEIGHT, Phase::Degraded));
    assert_eq!(
        stage.refused(Verb::AbortEmergency),
        "the rollout to green was aborted: retry it, undo, or edit the file's target"
    );

    let mut stage = too_much_for_blue();
    stage.order(Verb::Abort);
    stage.refused(Verb::Abort);
    stage.order(Verb::AbortEmergency);
    assert_eq!((stage.weight("blue"), stage.phase()), (TOTAL_WEIGHT, Phase::Degraded));
    assert!(stage.message().starts_with("aborted: by command; all traffic on blue: on its way"), "{}", stage.message());
    assert_eq!(stage.entries.last().expect("entry").why, "what is left goes back at once, whatever can be carried");
    stage.restart();
    stage.room(&[("blue", 0, "all are gone")]);
    assert_eq!(stage.weight("blue"), TOTAL_WEIGHT);
}

#[test]
fn a_stable_version_that_lost_endpoints_keeps_what_it_has() {
    let mut stage = at_the_gate(TOTAL_WEIGHT);
    stage.room(&[("blue", 1_000, "9 of 10 are gone")]);
    stage.order(Verb::Abort);
    assert_eq!((stage.weight("blue"), stage.weight("green")), (4_000, 6_000));
}

#[test]
fn a_verdict_goes_back_no_further_than_a_command() {
    let mut stage = too_much_for_blue();
    stage.input(Input::Failed("group shop: cart was aborted".to_owned()));
    assert_eq!((stage.weight("blue"), stage.phase()), (7_000, Phase::Degraded));
}

/// Each has all traffic there, and is through once the fleet has it.
#[track_caller]
fn all_on_blue(stages: [Stage; 2]) {
    for mut stage in stages {
        assert_eq!(stage.weight("blue"), TOTAL_WEIGHT);
        stage.converge();
        assert_eq!((stage.phase(), stage.machine.stable()), (Phase::Healthy, &"blue".into()));
    }
}

#[test]
fn an_edit_back_goes_as_far_as_it_can_be_carried() {
    let mut stage = too_much_for_blue();
    stage.target("blue");
    assert_eq!((stage.weight("blue"), stage.phase()), (7_000, Phase::Paused));
    assert_eq!(
        stage.message(),
        "all traffic on blue: 70 % so far, waiting for capacity of blue: 3 of 10 are gone (0s); serin abort checkout \
         --emergency moves all at once"
    );
    stage.converge();
    assert_eq!(stage.phase(), Phase::Paused, "not before all of it is there");
    let mut forced = stage.fork();
    forced.order(Verb::AbortEmergency);
    stage.room(&[]);
    all_on_blue([stage, forced]);
}

#[test]
fn who_takes_anothers_place_waits_until_that_is_gone() {
    let mut stage = too_much_for_blue();
    stage.target("red");
    assert_eq!((stage.weight("blue"), stage.weight("green"), stage.weight("red")), (7_000, 3_000, 0));
    assert_eq!(stage.phase(), Phase::Paused);
    stage.order(Verb::Pause);
    stage.room(&[("blue", 9_000, "1 of 10 is gone")]);
    assert_eq!(stage.weight("blue"), 9_000, "what goes back is not held");
    stage.order(Verb::Resume);
    stage.room(&[]);
    assert_eq!((stage.weight("blue"), stage.weight("green"), stage.weight("red")), (6_000, 0, 4_000));
}

#[test]
fn a_way_back_to_an_older_version_goes_as_far_as_it_can_be_carried() {
    let mut stage = Stage::of(Rollout { rollback_window: 1, ..rollout("blue", canary(&[])) });
    stage.target("green");
    stage.converge();
    assert_eq!(stage.phase(), Phase::Healthy);
    stage.room(&[("blue", 4_000, "6 of 10 are gone")]);
    stage.order(Verb::Undo(None));
    assert_eq!((stage.weight("blue"), stage.weight("green"), stage.phase()), (4_000, 6_000, Phase::Paused));
    assert_eq!(
        stage.message(),
        "all traffic on blue: 40 % so far, waiting for capacity of blue: 6 of 10 are gone (0s); serin promote checkout \
         --full moves all at once"
    );
    stage.order(Verb::Pause);
    stage.room(&[("blue", 5_000, "5 of 10 are gone")]);
    assert_eq!(stage.weight("blue"), 4_000, "held by a person");
    stage.order(Verb::Resume);
    assert_eq!(stage.weight("blue"), 5_000);
    let mut forced = stage.fork();
    forced.order(Verb::PromoteFull);
    let mut aborted = stage.fork();
    aborted.order(Verb::Abort);
    assert_eq!(aborted.weight("green"), TOTAL_WEIGHT);
    stage.room(&[]);
    all_on_blue([stage, forced]);
}

#[test]
fn from_a_version_that_is_no_more_all_goes_back_at_once() {
    let mut stage = too_much_for_blue();
    stage.order(Verb::Abort);
    stage.edit(|spec| spec.versions.retain(|version| *version.name != *"green"));
    assert_eq!(stage.weight("blue"), TOTAL_WEIGHT);
}

#[test]
fn it_says_of_what_it_wants_to_know() {
    let wants = |stage: &Stage| stage.machine.wants().into_iter().map(|(_, parts)| parts).collect::<Vec<_>>();
    let mut stage = Stage::new(steps());
    assert_eq!(stage.machine.wants()[0], ("red".into(), 4_000));
    assert_eq!(wants(&stage), [4_000, 4_000, TOTAL_WEIGHT], "of who may begin, and of who carries all");
    assert_eq!(stage.machine.rising(), None);
    stage.target("green");
    assert_eq!((stage.machine.rising(), stage.machine.heading()), (Some(&"green".into()), &"green".into()));
    assert_eq!(wants(&stage), [4_000, 6_000, TOTAL_WEIGHT]);
    stage.converge();
    stage.wait(60);
    assert_eq!(wants(&stage), [4_000, TOTAL_WEIGHT, TOTAL_WEIGHT]);
    assert_eq!(wants(&Stage::new(weights(10_000, 0))), [0; 0]);
}

#[test]
fn a_record_of_an_earlier_release_knows_no_limits() {
    let stage = too_much_for_blue();
    let mut json = serde_json::to_value(stage.machine.record()).expect("json");
    let fields = json.as_object_mut().expect("object");
    assert!(fields.remove("room").is_some());
    assert!(!fields.contains_key("retreat"));
    fields["gates"].as_object_mut().expect("object").remove("paced");
    let record: Record = serde_json::from_value(json).expect("record");
    let (mut machine, entries) = Machine::restore(stage.now, record, Arc::new(stage.spec.clone())).expect("restored");
    assert!(entries.is_empty());
    let command = Command { verb: Verb::Abort, actor: "alice".into(), reason: None, seen: None };
    machine.command(stage.now, command).expect("aborted");
    assert_eq!(machine.traffic().split, traffic::whole(&stage.spec, "blue"));
}
