use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

use super::hooks::hook;
use super::windows::nights;
use super::*;
use crate::rollout::traffic::part;
use crate::spec::{BackgroundAnalysis, OnNack, OnTimeout, TOTAL_WEIGHT, WebhookKind, WindowVerdict, verdict};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    Target(&'static str),
    Steps(Vec<Step>),
    Wait(u64),
    /// So many of four nodes have it.
    Evidence(usize),
    Nack,
    Command(Verb),
    /// To the question of this index, if there are so many.
    Answer(usize, Answer),
    /// To a question that was asked once.
    Late(usize, Answer),
    Barrier(bool),
    /// What versions can carry.
    Room(Vec<(&'static str, u32)>),
    /// The record is damaged.
    Lost,
}

fn answer() -> impl Generator<Value = Answer> {
    prop_oneof![
        5 => Just(Answer::Yes),
        1 => Just(Answer::No("answered 403".to_owned())),
        1 => Just(Answer::Unreached("connection refused".to_owned())),
        1 => Just(Answer::Inconclusive("too few requests".to_owned())),
    ]
}

fn step() -> impl Generator<Value = Step> {
    prop_oneof![
        (0..=TOTAL_WEIGHT).prop_map(Step::SetWeight),
        (0..100u64).prop_map(pause),
        Just(Step::Pause(None)),
        Just(header_route("qa")),
        Just(mirror(20)),
        Just(mirror(0)),
        Just(Step::Analysis(vec!["golden".into()])),
    ]
}

fn verb() -> impl Generator<Value = Verb> {
    prop_oneof![
        Just(Verb::Pause),
        Just(Verb::Resume),
        Just(Verb::Promote),
        Just(Verb::PromoteFull),
        Just(Verb::Abort),
        Just(Verb::AbortEmergency),
        Just(Verb::Retry),
        (0..4u64).prop_map(|revision| Verb::Undo((revision > 0).then_some(revision))),
    ]
}

fn room() -> impl Generator<Value = Vec<(&'static str, u32)>> {
    let version = prop_oneof![Just("red"), Just("green"), Just("blue")];
    let most = prop_oneof![1 => Just(0), 3 => 0..=TOTAL_WEIGHT];
    vec((version, most), 0..3)
}

fn event() -> impl Generator<Value = Event> {
    prop_oneof![
        2 => prop_oneof![Just("red"), Just("green"), Just("blue")].prop_map(Event::Target),
        1 => vec(step(), 0..6).prop_map(Event::Steps),
        4 => prop_oneof![9 => 0..200u64, 1 => Just(3_600), 1 => Just(12 * 3_600)].prop_map(Event::Wait),
        8 => prop_oneof![Just(4), 0..=4usize].prop_map(Event::Evidence),
        1 => Just(Event::Nack),
        4 => verb().prop_map(Event::Command),
        8 => (0..3usize, answer()).prop_map(|(index, answer)| Event::Answer(index, answer)),
        1 => (0..100usize, answer()).prop_map(|(index, answer)| Event::Late(index, answer)),
        2 => any::<bool>().prop_map(Event::Barrier),
        2 => room().prop_map(Event::Room),
        1 => Just(Event::Lost),
    ]
}

pub(super) fn spec() -> impl Generator<Value = Rollout> {
    let strategy = prop_oneof![
        3 => (vec(step(), 0..6), prop_oneof![Just(0), 1..4usize]).prop_map(|(steps, starting_step)| {
            let templates = vec!["golden".into()];
            let analysis = (starting_step > 0).then_some(BackgroundAnalysis { templates, starting_step });
            Strategy::Canary(Canary { steps, analysis, ..Canary::default() })
        }),
        1 => (any::<bool>(), 0..100u64, any::<bool>(), any::<bool>()).prop_map(|(enabled, time, preview, judged)| {
            let templates = if judged { vec!["golden".into()] } else { Vec::new() };
            Strategy::BlueGreen(BlueGreen {
                preview: if preview { header("x-preview") } else { Vec::new() },
                auto_promotion_enabled: enabled,
                auto_promotion: Some(secs(time)),
                switch_at: Some(START + secs(time * 3)),
                pre_promotion_analysis: templates.clone(),
                post_promotion_analysis: templates,
                ..BlueGreen::default()
            })
        }),
    ];
    let on_timeout = prop_oneof![Just(OnTimeout::Pause), Just(OnTimeout::Abort), Just(OnTimeout::Continue)];
    let hooks = prop_oneof![Just(Vec::new()), vec(prop::sample::select(&WebhookKind::ALL), 0..6)];
    (
        strategy,
        on_timeout,
        any::<bool>(),
        0..3u32,
        any::<bool>(),
        hooks,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(|(strategy, timeout, nack, window, abort, hooks, group, night, ahead)| {
            let mut spec = rollout("blue", strategy);
            spec.convergence.on_timeout = timeout;
            spec.convergence.on_nack = if nack { OnNack::Abort } else { OnNack::Pause };
            spec.convergence.canary_nodes = ahead.then(Arc::default);
            spec.rollback_window = window;
            spec.progress_deadline_abort = abort;
            let named = hooks.iter().enumerate();
            spec.webhooks = named.map(|(index, kind)| hook(&format!("hook-{index}"), *kind)).collect();
            spec.promotion_windows = if night { nights() } else { Vec::new() };
            spec.group = group.then(|| "shop".into());
            spec
        })
}

fn apply(stage: &mut Stage, event: &Event) {
    match event {
        Event::Target(target) => drop(stage.target(target)),
        Event::Steps(steps) => drop(stage.edit(|spec| {
            if let Strategy::Canary(canary) = &mut spec.strategy {
                canary.steps.clone_from(steps);
            }
        })),
        Event::Wait(time) => drop(stage.wait(*time)),
        Event::Evidence(converged) => {
            stage.nodes = 4;
            let missing = &["edge-1", "edge-2", "edge-3", "edge-4"][*converged..];
            stage.evidence(missing);
        }
        Event::Nack => drop(stage.nack("edge-1")),
        Event::Lost => {
            let spec = Arc::new(stage.spec.clone());
            let (machine, entries) = Machine::stopped(stage.now, spec, stage.entries.last(), "lost".to_owned());
            stage.machine = machine;
            stage.write(&entries);
        }
        Event::Command(verb) => {
            // A refusal is an answer too.
            let _ = stage.command(*verb);
        }
        Event::Answer(index, answer) => {
            if let Some(ask) = stage.machine.asks().get(*index) {
                stage.input(Input::Answer { decision: Arc::clone(&ask.decision), answer: answer.clone() });
            }
        }
        Event::Late(index, answer) => {
            let kinds = WebhookKind::ALL.map(WebhookKind::word);
            let key = kinds.get(index % 10).map_or("analysis/golden".to_owned(), |kind| format!("{kind}/hook-0"));
            let decision = format!("checkout/2/{}/{key}#1", index / 10).into();
            if stage.machine.asks().iter().all(|ask| ask.decision != decision) {
                let before = stage.machine.record();
                assert!(stage.input(Input::Answer { decision, answer: answer.clone() }).is_empty());
                assert_eq!(stage.machine.record(), before, "an answer that nobody asked for changes nothing");
            }
        }
        Event::Room(limits) => {
            let limits: Vec<_> = limits.iter().map(|(version, most)| (*version, *most, "it is small")).collect();
            stage.room(&limits);
        }
        Event::Barrier(open) => drop(stage.input(Input::Barrier((!open).then(|| "cart of group shop".to_owned())))),
    }
}

/// All that can be seen of it.
fn face(stage: &Stage) -> (Record, Status, Option<Duration>, Vec<Ask>) {
    (stage.machine.record(), stage.status(), stage.machine.next_deadline(), stage.machine.asks())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_split_is_whole_and_nothing_waits_in_the_past(spec in spec(), events in vec(event(), 0..40)) {
        let mut stage = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
            let split = &stage.machine.traffic().split.0;
            prop_assert_eq!(split.iter().map(|(_, weight)| *weight).sum::<u32>(), TOTAL_WEIGHT);
            prop_assert_eq!(split.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["red", "green", "blue"]);
            if !matches!(event, Event::Command(_)) {
                prop_assert!(stage.machine.next_deadline().is_none_or(|deadline| deadline > stage.now));
                prop_assert!(stage.input(Input::Tick).is_empty(), "nothing is left undone");
            }
        }
    }

    #[test]
    fn a_deadline_brings_something_about(spec in spec(), events in vec(event(), 0..40)) {
        let mut stage = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
        }
        stage.input(Input::Tick);
        for _ in 0..50 {
            let Some(deadline) = stage.machine.next_deadline() else { break };
            let before = deadline.saturating_sub(Duration::from_millis(1));
            if before > stage.now {
                stage.now = before;
                // That a window shuts is noticed, not waited for.
                let noticed = |entry: &Entry| entry.why.contains("waits for a promotion window");
                prop_assert!(stage.input(Input::Tick).iter().all(noticed), "too early");
            }
            let was = stage.machine.next_deadline();
            stage.now = deadline;
            let entries = stage.input(Input::Tick);
            prop_assert!(!entries.is_empty() || stage.machine.next_deadline() != was);
        }
    }

    #[test]
    fn the_new_version_never_rises_while_it_is_held(spec in spec(), events in vec(event(), 0..60)) {
        let mut stage = Stage::of(spec);
        for event in &events {
            let before = stage.status();
            let split = before.weights.clone();
            let held = before.message.contains("until serin resume");
            let aborted = before.message.starts_with("aborted");
            let open = before.message.contains("until promoted");
            let pending = before.phase == Phase::Progressing && !before.message.contains("analysis");
            let follow = before.message.contains("the others follow");
            apply(&mut stage, event);
            let target = before.target.clone().expect("target");
            let rose = stage.weight(&target) > split.0.iter().find(|(name, _)| *name == target).expect("entry").1;
            let opened = match event {
                // What gates let go on is for the next property.
                Event::Answer(..) | Event::Late(..) | Event::Barrier(_) | Event::Room(_) => !(held || aborted || open),
                // These say themselves what is wanted now.
                Event::Target(_) | Event::Steps(_) => true,
                Event::Command(Verb::Pause | Verb::Abort | Verb::AbortEmergency) | Event::Nack | Event::Lost => false,
                Event::Command(_) => !pending || matches!(event, Event::Command(Verb::PromoteFull | Verb::Undo(_))) || held,
                Event::Wait(_) => !(held || aborted || open)
                    && (!pending || follow || stage.spec.convergence.on_timeout != OnTimeout::Pause),
                Event::Evidence(converged) => !(held || aborted || open) && *converged == 4,
            };
            let back = stage.status().stable == Some(target) && stage.phase() != Phase::Healthy;
            prop_assert!(!rose || opened || back, "{:?} {}", event, before.message);
        }
    }

    #[test]
    fn the_new_version_never_rises_while_a_gate_is_shut(spec in spec(), events in vec(event(), 0..60)) {
        let mut stage = Stage::of(Rollout { rollback_window: 0, ..spec });
        for event in &events {
            let before = stage.status();
            let shut = stage.machine.wait().map(|wait| wait.key());
            let asks = stage.machine.asks();
            apply(&mut stage, event);
            let target = before.target.clone().expect("target");
            let part = |split: &Split| split.0.iter().find(|(name, _)| *name == target).expect("entry").1;
            let Some(shut) = shut else { continue };
            let opened = match event {
                Event::Target(_) | Event::Steps(_) | Event::Command(Verb::PromoteFull | Verb::Undo(_)) => continue,
                Event::Command(Verb::Promote) => shut != "barrier" && shut != "window" && !shut.starts_with("capacity"),
                Event::Command(Verb::Resume) => shut.starts_with("background"),
                Event::Command(Verb::AbortEmergency) => before.stable.as_ref() == Some(&target),
                Event::Room(_) => shut.starts_with("capacity"),
                // It opens by itself.
                Event::Wait(_) => shut == "window" && verdict(&stage.spec.promotion_windows, stage.now) == WindowVerdict::Open,
                Event::Command(_) | Event::Evidence(_) | Event::Nack | Event::Late(..) | Event::Lost => false,
                Event::Barrier(open) => *open && shut == "barrier",
                Event::Answer(index, answer) => {
                    let asked = asks.get(*index).is_some_and(|ask| ask.decision.contains(&shut));
                    asked && *answer == Answer::Yes
                }
            };
            prop_assert!(opened || part(&stage.status().weights) <= part(&before.weights), "{event:?} past {shut}");
        }
    }

    #[test]
    fn the_new_version_never_rises_at_night(
        spec in spec(),
        events in vec(prop_oneof![
            6 => event(),
            2 => Just(Event::Nack),
            2 => Just(Event::Wait(12 * 3_600)),
            2 => prop_oneof![Just(Verb::Resume), Just(Verb::Promote)].prop_map(Event::Command),
        ], 0..60),
    ) {
        let mut stage = Stage::of(Rollout { rollback_window: 0, promotion_windows: nights(), ..spec });
        for event in &events {
            let before = stage.status();
            let shut = |stage: &Stage| verdict(&stage.spec.promotion_windows, stage.now) != WindowVerdict::Open;
            let free = before.undone || stage.machine.record().gates.free || !shut(&stage);
            apply(&mut stage, event);
            // After a step that asks for less, what the fleet had is more.
            let past = matches!(event, Event::Command(Verb::PromoteFull | Verb::Undo(_)) | Event::Nack);
            if free || past || !shut(&stage) {
                continue;
            }
            let after = stage.status();
            let target = after.target.clone().expect("target");
            let part = |split: &Split| split.0.iter().find(|(name, _)| *name == target).expect("entry").1;
            let rose = part(&after.weights) > part(&before.weights);
            prop_assert!(!rose || after.stable == Some(target.clone()), "{event:?} at night: {}", before.message);
        }
    }

    #[test]
    fn decisions_are_never_repeated_and_outlive_a_restart(spec in spec(), events in vec(event(), 0..60)) {
        let mut stage = Stage::of(spec);
        let mut closed = std::collections::BTreeSet::new();
        let mut open = Vec::new();
        for event in &events {
            if let Event::Answer(index, Answer::Unreached(_)) = event
                && let Some(Ask { decision, .. }) = stage.machine.asks().get(*index)
                && ["/event/", "/post-rollout/"].iter().any(|kind| decision.contains(kind))
            {
                // Told again.
                open.retain(|id| id != decision);
            }
            apply(&mut stage, event);
            stage.input(Input::Tick);
            let asks = stage.machine.asks();
            stage.restart();
            prop_assert_eq!(&asks, &stage.machine.asks());
            let ids: Vec<_> = asks.iter().map(|ask| Arc::clone(&ask.decision)).collect();
            closed.extend(open.into_iter().filter(|id| !ids.contains(id)));
            for (index, id) in ids.iter().enumerate() {
                prop_assert!(!closed.contains(id), "{id} again");
                prop_assert!(!ids[..index].contains(id), "{id} twice");
            }
            open = ids;
        }
    }

    #[test]
    fn an_abort_reaches_the_stable_version_in_one_transition(
        spec in spec(),
        events in vec(event(), 0..40),
        emergency in any::<bool>(),
    ) {
        let mut stage = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
            let mut aborted = stage.fork();
            if !emergency {
                aborted.room(&[]);
            }
            let generation = aborted.machine.generation();
            let verb = if emergency { Verb::AbortEmergency } else { Verb::Abort };
            let Ok(entries) = aborted.command(verb) else { continue };
            prop_assert_eq!(entries.iter().filter(|entry| entry.from.weights != entry.to.weights).count().max(1), 1);
            let why = &entries[0].why;
            prop_assert!(why.starts_with("aborted") || emergency && why.starts_with("what is left goes back"));
            prop_assert!(aborted.machine.generation() <= generation + 1);
            let stable = aborted.status().stable.expect("stable");
            prop_assert_eq!(aborted.weight(&stable), TOTAL_WEIGHT);
            prop_assert!(aborted.machine.traffic().header_routes.is_empty());
            prop_assert!(aborted.machine.traffic().mirrors.is_empty());
            let nowhere = aborted.status().target.is_some_and(|target| target == stable);
            prop_assert!(aborted.phase() == Phase::Degraded || nowhere);
        }
    }

    #[test]
    fn what_a_rejection_leaves_in_force_was_acknowledged_before(
        mut spec in spec(),
        events in vec(prop_oneof![3 => event(), 1 => Just(Event::Nack)], 0..60),
    ) {
        spec.convergence.on_nack = OnNack::Pause;
        if spec.convergence.on_timeout == OnTimeout::Continue {
            spec.convergence.on_timeout = OnTimeout::Pause;
        }
        let mut stage = Stage::of(spec);
        let mut acknowledged = vec![stage.machine.traffic().clone()];
        for event in &events {
            // What somebody goes on with is the last good one by their decision.
            let decides = ["longer than", "no progress", "the fleet is back on"].iter().any(|words| stage.message().contains(words));
            if decides && matches!(event, Event::Command(Verb::Promote))
                || matches!(event, Event::Steps(_) | Event::Lost)
            {
                continue;
            }
            if matches!(event, Event::Evidence(4)) {
                acknowledged.push(stage.machine.traffic().clone());
            }
            apply(&mut stage, event);
            let status = stage.status();
            let held = status.message.contains("the fleet is back on");
            prop_assert!(!held || status.phase == Phase::Paused);
            prop_assert!(!held || acknowledged.contains(stage.machine.traffic()), "{}", status.message);
        }
    }

    #[test]
    fn nobody_gets_more_than_canary_nodes_have_kept(
        steps in vec(step(), 1..6),
        abort in any::<bool>(),
        events in vec(event(), 0..60),
    ) {
        let mut spec = rollout("blue", canary(&steps));
        spec.convergence.canary_nodes = Some(Arc::default());
        spec.convergence.on_nack = if abort { OnNack::Abort } else { OnNack::Pause };
        let mut stage = Stage::of(spec);
        let mut kept: Option<(u64, Duration)> = None;
        for event in &events {
            let decides = ["longer than", "no progress", "the fleet is back on"].iter().any(|words| stage.message().contains(words));
            if decides && matches!(event, Event::Command(Verb::Promote)) {
                continue;
            }
            let (generation, before) = (stage.machine.generation(), stage.status());
            let ahead = stage.machine.ahead().cloned();
            match event {
                Event::Evidence(4) if ahead.is_some() => kept = kept.or(Some((generation, stage.now))),
                Event::Evidence(_) | Event::Nack => kept = None,
                _ => {}
            }
            apply(&mut stage, event);
            let after = stage.status();
            let target = after.target.expect("target");
            let weight = |split: &Split| split.0.iter().find(|(name, _)| *name == target).expect("entry").1;
            if weight(&after.weights) > weight(&before.weights) && before.stable.as_ref() != Some(&target) {
                prop_assert_eq!(ahead.as_ref(), Some(stage.machine.traffic()));
                let since = kept.filter(|(of, _)| *of == generation).map(|(_, since)| since);
                prop_assert!(since.is_some_and(|since| since + secs(10) <= stage.now), "{:?}", event);
            }
            kept = kept.filter(|_| stage.machine.generation() == generation);
        }
    }

    #[test]
    fn a_restart_at_any_point_changes_nothing(spec in spec(), events in vec((event(), any::<bool>()), 0..40)) {
        let mut steady = Stage::of(spec.clone());
        let mut restarted = Stage::of(spec);
        for (event, restart) in &events {
            apply(&mut steady, event);
            apply(&mut restarted, event);
            steady.input(Input::Tick);
            restarted.input(Input::Tick);
            if *restart {
                prop_assert!(restarted.restart().is_empty());
            }
            prop_assert_eq!(face(&steady), face(&restarted));
        }
        prop_assert_eq!(steady.transcript(), restarted.transcript());
    }

    #[test]
    fn the_journal_is_without_gaps_and_the_same_for_the_same_inputs(spec in spec(), events in vec(event(), 0..40)) {
        let mut stage = Stage::of(spec.clone());
        let mut again = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
            apply(&mut again, event);
            prop_assert_eq!(&stage.entries.last().expect("entry").to.weights, &stage.machine.traffic().split);
        }
        for (index, pair) in stage.entries.windows(2).enumerate() {
            prop_assert_eq!(pair[1].sequence, index as u64 + 2);
            prop_assert_eq!(&pair[0].to.weights, &pair[1].from.weights);
        }
        prop_assert_eq!(stage.entries, again.entries);
    }

    #[test]
    fn nothing_rises_above_what_it_can_carry(spec in spec(), events in vec(event(), 0..60)) {
        let mut stage = Stage::of(spec);
        for event in &events {
            let before = stage.machine.traffic().clone();
            apply(&mut stage, event);
            let record = stage.machine.record();
            // Somebody takes it upon themselves, or what a step or a rejection takes from the new version goes back.
            let forced = record.gates.free && !record.gates.paced
                || matches!(event, Event::Command(Verb::AbortEmergency) | Event::Nack | Event::Lost);
            let back = stage.machine.rising().is_some() && record.receding().is_none();
            for (version, weight) in &stage.machine.traffic().split.0 {
                let rose = *weight > part(&before, version);
                let own = back && version == stage.machine.stable();
                let most = record.room.most(version);
                prop_assert!(!rose || forced || own || *weight <= most, "{version} {weight} above {most}: {event:?}");
            }
        }
    }

    #[test]
    fn what_goes_back_never_turns_round_and_arrives(
        spec in spec(),
        events in vec(event(), 0..40),
        rooms in vec(room(), 0..6),
        emergency in any::<bool>(),
    ) {
        let mut stage = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
            let mut aborted = stage.fork();
            let mut weight = aborted.weight(&aborted.machine.stable().clone());
            if let Some(room) = rooms.first() {
                apply(&mut aborted, &Event::Room(room.clone()));
                weight = aborted.weight(&aborted.machine.stable().clone());
            }
            if aborted.command(Verb::Abort).is_err() {
                continue;
            }
            let stable = aborted.machine.stable().clone();
            for room in &rooms {
                apply(&mut aborted, &Event::Room(room.clone()));
                aborted.restart();
                let now = aborted.weight(&stable);
                let most = aborted.machine.record().room.most(&stable);
                prop_assert!(now >= weight && now + 100 > most.min(TOTAL_WEIGHT), "{weight} to {now} of {most}");
                prop_assert_eq!(now == TOTAL_WEIGHT, aborted.machine.record().retreat.is_none());
                weight = now;
            }
            if emergency {
                let _ = aborted.command(Verb::AbortEmergency);
            } else {
                aborted.room(&[]);
            }
            prop_assert_eq!(aborted.weight(&stable), TOTAL_WEIGHT);
        }
    }

    #[test]
    fn a_background_verdict_that_fails_aborts_in_one_transition(spec in spec(), events in vec(event(), 0..60)) {
        let mut stage = Stage::of(spec);
        for event in &events {
            apply(&mut stage, event);
            let beside = |ask: &Ask| matches!(ask.question, Question::Analysis { background: true, .. });
            let mut failed = stage.fork();
            let Some(ask) = failed.machine.asks().into_iter().find(beside) else { continue };
            prop_assert!(failed.machine.rising().is_some());
            failed.room(&[]);
            let answer = Answer::No("errors".to_owned());
            let entries = failed.input(Input::Answer { decision: ask.decision, answer });
            prop_assert_eq!(&entries[0].why, "aborted: background analysis golden fails: errors");
            prop_assert_eq!(failed.phase(), Phase::Degraded);
            prop_assert_eq!(failed.weight(&failed.machine.stable().clone()), TOTAL_WEIGHT);
            prop_assert!(failed.machine.asks().iter().all(|ask| !beside(ask)));
        }
    }
}
