use std::collections::BTreeMap;

use proptest::option;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::rollout::load::Load;
use crate::rollout::simulate::{End, Row, Setting, Simulation, simulate};
use crate::spec::{Webhook, WebhookKind};

fn timeline(strategy: Strategy, setting: &Setting) -> String {
    let Simulation { rows, end, .. } = simulate(&Arc::new(rollout("blue", strategy)), &"green".into(), setting);
    let row = |row: &Row| {
        let green = row.weights.0.iter().find(|(name, _)| **name == *"green").expect("version").1;
        format!("{:?} {:?}, {}, green {}: {}\n", row.at, row.phase, row.step, green / 100, row.what)
    };
    rows.iter().map(row).collect::<String>() + &end.message
}

fn plan() -> Strategy {
    canary(&[Step::SetWeight(1_000), pause(600), Step::SetWeight(5_000), Step::Pause(None)])
}

#[test]
fn stops_where_somebody_is_waited_for() {
    assert_eq!(
        timeline(plan(), &Setting::default()),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Paused, green step 4/4 pause until promoted, green 50: 10/10 nodes have it after 1s\n\
paused until promoted: serin promote checkout"
    );
}

#[test]
fn goes_to_the_end_when_told_to() {
    assert_eq!(
        timeline(plan(), &Setting { promote: true, ..Setting::default() }),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Paused, green step 4/4 pause until promoted, green 50: 10/10 nodes have it after 1s\n\
602s Progressing, all to green, green 100: promoted past: pause until promoted\n\
603s Healthy, green stable, green 100: 10/10 nodes have it after 1s\n\
green carries all traffic"
    );
}

#[test]
fn a_rejection_on_the_way() {
    let setting = Setting { nack: Some(("edge-3".to_owned(), 3)), ..Setting::default() };
    assert_eq!(
        timeline(plan(), &setting),
        "\
0ns Progressing, green step 1/4 setWeight 10, green 10: the file's target is green\n\
1s Paused, green step 2/4 pause 10m, green 10: 10/10 nodes have it after 1s\n\
601s Progressing, green step 3/4 setWeight 50, green 50: the pause of 10m is over\n\
602s Degraded, green aborted, green 0: aborted: edge-3 rejected RDS: simulated rejection\n\
603s Degraded, green aborted, all on blue, green 0: 10/10 nodes have it after 1s\n\
aborted: edge-3 rejected RDS: simulated rejection; all traffic on blue: 10/10 nodes have it after 1s; the file still names green: serin retry checkout, or edit target"
    );
}

#[test]
fn proxies_that_never_answer_hold_it_until_promoted() {
    let strategy = || canary(&[Step::SetWeight(1_000), pause(60)]);
    let silent = Setting { silent: 2, ..Setting::default() };
    assert_eq!(
        timeline(strategy(), &silent),
        "\
0ns Progressing, green step 1/2 setWeight 10, green 10: the file's target is green\n\
30s Paused, green step 1/2 setWeight 10, green 10: not on the fleet after 30s: waiting for 2 of 10 nodes: silent-1, silent-2\n\
601s Degraded, green step 1/2 setWeight 10, green 10: no progress for 10m: waiting for 2 of 10 nodes: silent-1, silent-2\n\
no progress for 10m: waiting for 2 of 10 nodes: silent-1, silent-2"
    );
    assert_eq!(
        timeline(strategy(), &Setting { promote: true, ..silent }),
        "\
0ns Progressing, green step 1/2 setWeight 10, green 10: the file's target is green\n\
30s Paused, green step 1/2 setWeight 10, green 10: not on the fleet after 30s: waiting for 2 of 10 nodes: silent-1, silent-2\n\
30s Paused, green step 2/2 pause 1m, green 10: promoted past: waiting for 2 of 10 nodes: silent-1, silent-2\n\
90s Progressing, all to green, green 100: the pause of 1m is over; all steps are done\n\
120s Paused, all to green, green 100: not on the fleet after 30s: waiting for 2 of 10 nodes: silent-1, silent-2\n\
120s Healthy, green stable, green 100: promoted past: waiting for 2 of 10 nodes: silent-1, silent-2\n\
green carries all traffic"
    );
}

#[test]
fn a_rejection_comes_with_the_step_that_brings_traffic() {
    let blue_green = Strategy::BlueGreen(BlueGreen { preview: header("x-preview"), ..BlueGreen::default() });
    // Step 2 of the plan is a pause, the fifth of its four steps the move to the end.
    for (strategy, step, nacked) in [
        (plan(), 1, true),
        (plan(), 2, false),
        (plan(), 5, true),
        (plan(), 6, false),
        (blue_green.clone(), 1, true),
        (blue_green.clone(), 2, true),
        (blue_green, 3, false),
    ] {
        let setting = Setting { nack: Some(("edge-3".to_owned(), step)), promote: true, ..Setting::default() };
        let simulation = simulate(&Arc::new(rollout("blue", strategy)), &"green".into(), &setting);
        let phase = if nacked { Phase::Degraded } else { Phase::Healthy };
        assert_eq!((simulation.nacked, simulation.end.phase), (nacked, phase), "step {step}");
    }
}

/// A canary that everybody is asked about.
fn asking() -> Arc<Rollout> {
    let hook = |kind: WebhookKind| {
        Arc::new(Webhook {
            name: kind.word().into(),
            kind,
            url: "http://127.0.0.1:1/".into(),
            timeout: secs(10),
            retries: 0,
            metadata: BTreeMap::new(),
        })
    };
    let mut spec =
        rollout("blue", canary(&[Step::SetWeight(1_000), pause(86_400), Step::Analysis(vec!["golden".into()])]));
    spec.webhooks = WebhookKind::ALL.map(hook).into();
    spec.group = Some("shop".into());
    Arc::new(spec)
}

#[test]
fn whoever_is_asked_says_yes_unless_told_otherwise() {
    let done = (Phase::Healthy, 86_402, "green carries all traffic");
    let gate = "waiting for confirm-promotion hook `confirm-promotion`: simulated no (asked 2 times, 10s)";
    for (hook, template, promote, expected) in [
        (None, true, false, done),
        (Some(("event", false)), true, false, done),
        (Some(("rollback", false)), true, false, done),
        (Some(("rollback", true)), true, false, (Phase::Degraded, 1, "aborted: rollback hook `rollback` says yes; ")),
        (
            Some(("pre-rollout", false)),
            true,
            false,
            (Phase::Degraded, 0, "aborted: pre-rollout hook `pre-rollout`: simulated no; "),
        ),
        (
            Some(("rollout", false)),
            true,
            false,
            (Phase::Degraded, 2, "aborted: rollout hook `rollout`: simulated no; "),
        ),
        (None, false, false, (Phase::Degraded, 86_402, "aborted: analysis golden fails: simulated no; ")),
        (Some(("confirm-promotion", false)), true, false, (Phase::Paused, 86_411, gate)),
        (Some(("confirm-promotion", false)), true, true, (Phase::Healthy, 86_412, "green carries all traffic")),
    ] {
        let setting = Setting {
            hooks: hook.map(|(name, said)| (name.into(), said)).into_iter().collect(),
            templates: [("golden".into(), template)].into(),
            promote,
            ..Setting::default()
        };
        let End { at, phase, message, promotable } = simulate(&asking(), &"green".into(), &setting).end;
        let (expected_phase, seconds, words) = expected;
        assert_eq!((phase, at), (expected_phase, secs(seconds)), "{hook:?} {template} {promote}: {message}");
        assert!(message.starts_with(words), "{hook:?} {template} {promote}: {message}");
        assert_eq!(promotable, message == gate, "{hook:?} {template} {promote}");
    }
}

#[test]
fn a_plan_of_very_many_steps_comes_to_its_end() {
    let steps: Vec<_> = (1..=10_000).flat_map(|weight| [Step::SetWeight(weight), pause(1)]).collect();
    let simulation = simulate(&Arc::new(rollout("blue", canary(&steps))), &"green".into(), &Setting::default());
    assert_eq!((simulation.end.phase, simulation.rows.len()), (Phase::Healthy, 20_002));
}

proptest! {
    #[test]
    fn a_simulation_is_what_its_setting_makes_it(
        spec in super::properties::spec(),
        silent in 0..2usize,
        nack in option::of(1..8usize),
        promote: bool,
        latency in 0..100_000u64,
    ) {
        let setting = Setting {
            silent,
            nack: nack.map(|step| ("edge-3".to_owned(), step)),
            promote,
            latency: Duration::from_millis(latency),
            start: START + Duration::from_nanos(1),
            ..Setting::default()
        };
        let simulation = simulate(&Arc::new(spec.clone()), &"green".into(), &setting);
        prop_assert_eq!(&simulation, &simulate(&Arc::new(spec), &"green".into(), &setting));
        let times: Vec<_> = simulation.rows.iter().map(|row| row.at).chain([simulation.end.at]).collect();
        prop_assert!(times[0].is_zero() && times.is_sorted(), "{:?}", times);
        prop_assert!(!(promote && simulation.end.promotable));
        // Each request goes somewhere.
        let load = Load { rps: 40.0, ..Load::default() };
        for (tally, time) in load.tallies(&simulation).iter().zip(times) {
            let requests: f64 = tally.iter().map(|tally| tally.requests).sum();
            prop_assert!((requests - 40.0 * time.as_secs_f64()).abs() < 1e-3, "{} in {:?}", requests, time);
        }
    }
}
