use super::hooks::hook;
use super::*;
use crate::spec::{OnNack, OnTimeout, PromotionWindow, WebhookKind, parse_file};

/// The tests begin on a Friday at 08:00 UTC: an hour before this window of each day is over.
pub(super) fn nights() -> Vec<Arc<PromotionWindow>> {
    let text = "
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: checkout}
spec:
  versions: {blue: {endpoints: [\"10.0.0.1:80\"]}, green: {endpoints: [\"10.0.0.2:80\"]}}
  target: blue
  strategy: {canary: {}}
  promotionWindows: [{kind: Deny, rrule: FREQ=DAILY, start: 2026-01-01T21:00:00, duration: 12h}]
";
    let (file, mistakes) = parse_file(&"a.yaml".into(), text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    file.rollouts[0].promotion_windows.clone()
}

fn at_night(strategy: Strategy) -> Stage {
    let mut stage = Stage::of(Rollout { promotion_windows: nights(), ..rollout("blue", strategy) });
    stage.transcript();
    stage
}

const SHUT: &str = "waiting for a promotion window: a Deny window is on (FREQ=DAILY)";

#[test]
fn nothing_starts_and_nothing_rises_while_a_window_is_shut() {
    let mut stage = at_night(canary(&[Step::SetWeight(1_000), pause(12 * 3_600), Step::SetWeight(500), mirror(5)]));
    stage.edit(|spec| spec.webhooks = vec![hook("approve", WebhookKind::ConfirmRollout)]);
    stage.target("green");
    assert_eq!((stage.phase(), stage.message()), (Phase::Paused, format!("{SHUT}, at least 1h more (0s)")));
    assert_eq!(stage.machine.next_deadline(), Some(START + secs(3_600)));
    assert_eq!(stage.machine.asks(), [], "who approves, approves what comes next");
    let refused = format!("no pause or gate to promote past: {SHUT}; promote --full does not wait for it");
    assert_eq!(stage.refused(Verb::Promote), refused);
    stage.edit(|spec| spec.webhooks.clear());
    stage.wait(3_600);
    stage.converge();
    stage.wait(12 * 3_600);
    assert_eq!(stage.weight("green"), 500, "less is no promotion, at 21:00 either");
    stage.converge();
    stage.converge();
    assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(12 * 3_600)));
    stage.now += secs(12 * 3_600 - 1);
    stage.input(Input::Tick);
    assert_eq!(stage.weight("green"), 500);
    stage.wait(1);
    stage.converge();
    assert_eq!(
        stage.transcript(),
        "\
0s file: the file's target is green; waits for a promotion window: a Deny window is on (FREQ=DAILY) -> Paused, green not begun, red 0 green 0 blue 100\n\
3600s engine: starts -> Progressing, green step 1/4 setWeight 10, red 0 green 10 blue 90\n\
3600s engine: 3/3 nodes have it after 0s -> Paused, green step 2/4 pause 12h, red 0 green 10 blue 90\n\
46800s engine: the pause of 12h is over -> Progressing, green step 3/4 setWeight 5, red 0 green 5 blue 95\n\
46800s engine: 3/3 nodes have it after 0s -> Progressing, green step 4/4 setMirrorRoute shadow 5, red 0 green 5 blue 95\n\
46800s engine: 3/3 nodes have it after 0s; all steps are done; waits for a promotion window: a Deny window is on (FREQ=DAILY) -> Paused, green step 4/4 setMirrorRoute shadow 5, red 0 green 5 blue 95\n\
90000s engine: 3/3 nodes have it after 0s; all steps are done -> Progressing, all to green, red 0 green 100 blue 0\n\
90000s engine: 3/3 nodes have it after 0s -> Healthy, green stable, red 0 green 100 blue 0\n\
"
    );
}

#[test]
fn a_switch_waits_for_its_window() {
    let mut stage = at_night(Strategy::BlueGreen(BlueGreen { preview: header("x-preview"), ..BlueGreen::default() }));
    stage.now += secs(13 * 3_600 - 1);
    stage.target("green");
    assert_eq!(stage.machine.traffic().header_routes.len(), 1);
    stage.wait(1);
    stage.converge();
    assert_eq!((stage.weight("green"), stage.message()), (0, format!("{SHUT}, at least 12h more (0s)")));
    stage.wait(12 * 3_600);
    assert_eq!(stage.weight("green"), 10_000);
}

/// Green has 10 %, 50 % was rejected, and the window has shut since.
fn rejected_at_night(edit: impl FnOnce(&mut Rollout)) -> Stage {
    let mut stage = at_night(plan(5_000));
    stage.now += secs(12 * 3_600);
    stage.edit(|spec| spec.convergence.on_nack = OnNack::Pause);
    stage.edit(edit);
    stage.target("green");
    stage.converge();
    stage.wait(60);
    stage.nack("edge-3");
    stage.converge();
    stage.wait(3_600);
    assert_eq!((stage.phase(), stage.weight("green")), (Phase::Paused, 1_000));
    stage
}

fn plan(weight: u32) -> Strategy {
    canary(&[Step::SetWeight(1_000), pause(60), Step::SetWeight(weight), Step::Pause(None)])
}

#[test]
fn what_was_rejected_is_not_tried_again_while_a_window_is_shut() {
    let mut stage = rejected_at_night(|_| {});
    let shut = "a promotion window: a Deny window is on (FREQ=DAILY); promote --full does not wait for it";
    assert_eq!(stage.refused(Verb::Resume), format!("not now: waiting for {shut}"));
    assert_eq!(stage.refused(Verb::Promote), format!("no pause or gate to promote past: waiting for {shut}"));
    stage.order(Verb::Pause);
    assert!(stage.refused(Verb::Promote).ends_with(shut));
    assert!(stage.refused(Verb::Resume).ends_with(shut));
    stage.wait(12 * 3_600);
    stage.order(Verb::Resume);
    assert_eq!(stage.weight("green"), 5_000);
    let mut stage = rejected_at_night(|_| {});
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.weight("green"), 10_000);
}

#[test]
fn an_edit_of_what_was_rejected_raises_nothing_past_what_is_in_force() {
    let mut stage = rejected_at_night(|_| {});
    stage.edit(|spec| spec.strategy = plan(4_000));
    assert_eq!((stage.weight("green"), stage.message()), (1_000, "paused for 1m, 1m left".to_owned()));
    stage.wait(60);
    assert_eq!((stage.weight("green"), stage.message()), (1_000, format!("{SHUT}, at least 11h58m more (0s)")));
    stage.wait(12 * 3_600);
    assert_eq!(stage.weight("green"), 4_000);

    let mut fewer = rejected_at_night(|_| {});
    fewer.edit(|spec| spec.strategy = canary(&[Step::SetWeight(1_000), Step::SetWeight(5_000)]));
    assert_eq!(fewer.weight("green"), 1_000, "the same weight at an earlier step");

    let mut other = rejected_at_night(|_| {});
    other.target("red");
    assert_eq!((other.weight("red"), other.message()), (0, format!("{SHUT}, at least 11h59m more (0s)")));

    let mut end = rejected_at_night(|spec| spec.strategy = canary(&[Step::SetWeight(1_000), pause(60)]));
    end.edit(|spec| drop(spec.versions.remove(0)));
    assert_eq!((end.phase(), end.weight("green")), (Phase::Paused, 1_000));
}

#[test]
fn nobody_follows_the_canary_nodes_while_a_window_is_shut() {
    let ahead = |timeout| {
        let mut stage = at_night(plan(5_000));
        stage.now += secs(13 * 3_600 - 5);
        stage.edit(|spec| {
            spec.convergence.canary_nodes = Some(Arc::default());
            spec.convergence.on_timeout = timeout;
        });
        stage.target("green");
        assert!(stage.machine.ahead().is_some());
        stage.transcript();
        stage
    };
    let mut stage = ahead(OnTimeout::Pause);
    stage.converge();
    stage.wait(10);
    assert_eq!(
        (stage.weight("green"), stage.phase(), stage.message()),
        (0, Phase::Paused, format!("{SHUT}, at least 11h59m more (0s)"))
    );
    assert_eq!(stage.machine.next_deadline(), Some(stage.now + secs(12 * 3_600 - 5)));
    assert!(stage.refused(Verb::Promote).contains("waiting for a promotion window"));
    stage.wait(12 * 3_600 - 5);
    assert_eq!(
        stage.transcript(),
        "\
46805s engine: 3/3 canary nodes have it after 0s; waits for a promotion window: a Deny window is on (FREQ=DAILY) -> Paused, green step 1/4 setWeight 10, canary nodes first, red 0 green 0 blue 100\n\
90000s engine: 3/3 canary nodes have it after 0s and kept it for 10s: the others follow -> Progressing, green step 1/4 setWeight 10, red 0 green 10 blue 90\n\
"
    );

    let mut late = ahead(OnTimeout::Pause);
    late.evidence(&["edge-1"]);
    late.wait(30);
    assert!(late.refused(Verb::Promote).contains("waiting for a promotion window"));
    let mut late = ahead(OnTimeout::Continue);
    late.evidence(&["edge-1"]);
    late.wait(30);
    assert_eq!((late.weight("green"), late.message()), (0, format!("{SHUT}, at least 11h59m more (0s)")));
    late.wait(12 * 3_600 - 25);
    assert_eq!(late.weight("green"), 1_000);
    let mut full = ahead(OnTimeout::Pause);
    full.order(Verb::PromoteFull);
    full.converge();
    full.wait(10);
    assert_eq!(full.weight("green"), 10_000);
}

#[test]
fn no_window_keeps_from_going_back_or_straight_to_the_end() {
    let steps = || canary(&[Step::SetWeight(1_000), Step::Pause(None)]);
    let mut stage = at_night(steps());
    stage.target("green");
    assert_eq!(stage.order(Verb::Abort).len(), 1);
    stage.order(Verb::Retry);
    assert_eq!(stage.weight("green"), 0);
    stage.target("blue");
    assert_eq!(stage.phase(), Phase::Healthy);
    stage.target("green");
    stage.order(Verb::PromoteFull);
    assert_eq!(stage.weight("green"), 10_000);
    stage.order(Verb::Abort);
    assert_eq!(stage.weight("blue"), 10_000);
    stage.order(Verb::Retry);
    stage.order(Verb::PromoteFull);
    stage.converge();
    stage.order(Verb::Undo(None));
    assert_eq!(stage.weight("blue"), 1_000, "undo goes its steps at any time");
}
