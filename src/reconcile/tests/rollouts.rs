//! Whole rollouts.

use super::rig::{Rig, document, green};
use super::*;
use crate::fleet::{StreamEvent, StreamId};
use crate::rollout::{Command, Phase, Verb};
use crate::xds::ResourceType;

const CANARY: &str = "{canary: {steps: [{setWeight: 10}, {pause: {duration: 60s}}, {setWeight: 50}, {pause: {}}]}}";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_canary_goes_on_when_the_fleet_has_its_step() {
    let mut rig = Rig::new(&document("blue", CANARY), 2);
    rig.edit(&document("green", CANARY));
    assert_eq!(green(&rig.world, "n1"), 1_000);
    rig.settle(1);
    rig.tell();
    assert_eq!(rig.status().message, "waiting for 1 of 2 nodes: n2");
    rig.pass(seconds(1));
    rig.settle(2);
    rig.tell();
    let status = rig.status();
    assert_eq!((status.phase, status.step.expect("step").index), (Phase::Paused, 2));
    let convergence = status.convergence.expect("convergence");
    assert_eq!((convergence.converged, convergence.nodes, convergence.slowest.as_deref()), (2, 2, Some("n2")));

    rig.pass(seconds(59));
    assert_eq!(green(&rig.world, "n1"), 1_000);
    rig.pass(seconds(1));
    assert_eq!(green(&rig.world, "n1"), 5_000);
    rig.settle_all();
    assert_eq!(rig.status().message, "paused until promoted: serin promote checkout");
    rig.command(Verb::Promote).expect("promoted");
    rig.settle_all();
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Healthy, 10_000));
    rig.seen.dedup();
    assert_eq!(rig.seen, [0, 1_000, 5_000, 10_000]);
    let sequences: Vec<_> = rig.disk.journal.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
}

#[test]
fn nothing_rises_that_is_not_written_down() {
    let two = |one: &str, other: &str| {
        format!("{}---\n{}", document(one, CANARY), document(other, CANARY).replace("name: checkout", "name: cart"))
    };
    let mut rig = Rig::new(&two("blue", "green"), 1);
    rig.disk.full = true;
    rig.edit(&two("green", "green"));
    assert_eq!((green(&rig.world, "n1"), rig.status().weights.0[1].1), (0, 1_000));
    assert!(rig.status().message.starts_with("held until --state can be written to"), "{}", rig.status().message);

    // What else moves is served, and the rise not with it; nor does it count as delivered.
    rig.edit(&two("green", "blue"));
    rig.settle_all();
    assert_eq!(green(&rig.world, "n1"), 0);
    rig.pass(seconds(1));
    assert_eq!(rig.status().step.expect("step").index, 1);

    rig.disk.full = false;
    rig.pass(seconds(1));
    assert_eq!(green(&rig.world, "n1"), 1_000);
    rig.settle_all();
    rig.disk.full = true;
    rig.command(Verb::Abort).expect("aborted");
    assert_eq!(green(&rig.world, "n1"), 0, "the way back does not wait");
}

#[test]
fn a_restart_on_a_full_disk_serves_what_was_served() {
    let mut rig = Rig::new(&document("blue", CANARY), 1);
    rig.edit(&document("green", CANARY));
    rig.settle_all();
    rig.disk.full = true;
    rig.restart(seconds(1));
    assert_eq!(green(&rig.world, "n1"), 1_000);
}

#[test]
fn an_abort_puts_all_back_in_one_push() {
    let mut rig = Rig::new(&document("blue", CANARY), 2);
    rig.edit(&document("green", CANARY));
    rig.settle_all();
    rig.seen.clear();
    let status = rig.command(Verb::Abort).expect("aborted");
    assert_eq!((status.phase, &*rig.seen), (Phase::Degraded, &[0][..]));
    rig.settle_all();
    assert!(rig.status().message.contains("2/2 nodes have it"), "{}", rig.status().message);
}

#[test]
fn a_rejection_that_concerns_the_rollout_ends_it_and_another_does_not() {
    let two =
        format!("{}---\n{}", document("blue", CANARY), document("blue", "{blueGreen: {}}").replace("checkout", "cart"));
    let mut rig = Rig::new(&two, 2);
    rig.reject(1, ResourceType::Cluster, "cart/green");
    rig.tell();
    rig.edit(&two.replacen("target: blue", "target: green", 1));
    rig.settle(2);
    rig.settle_but(1, ResourceType::Cluster);
    rig.tell();
    assert_eq!((rig.status().phase, rig.status().step.expect("step").index), (Phase::Paused, 2), "not its business");

    rig.reject(2, ResourceType::Route, "web");
    rig.tell();
    let status = rig.status();
    assert_eq!((status.phase, green(&rig.world, "n1")), (Phase::Degraded, 0));
    assert!(status.message.contains("n2 rejected RDS web: web is not to my taste"), "{}", status.message);
}

#[test]
fn a_node_that_is_away_is_waited_for_until_it_is_stale() {
    let mut rig = Rig::new(&document("blue", CANARY), 2);
    rig.disconnect(2);
    rig.edit(&document("green", CANARY));
    rig.settle(1);
    rig.tell();
    assert_eq!(rig.status().message, "waiting for 1 of 2 nodes: n2");
    rig.pass(seconds(59));
    assert_eq!(rig.status().step.expect("step").index, 1);
    let deadline = rig.reconciler.next_deadline().expect("a deadline");
    assert!(deadline <= seconds(60), "{deadline:?}");
    rig.pass(seconds(1));
    assert_eq!(rig.status().step.expect("step").index, 2, "{}", rig.status().message);
}

#[test]
fn a_restart_waits_for_the_nodes_that_were_there() {
    let mut rig = Rig::new(&document("blue", CANARY), 2);
    rig.edit(&document("green", CANARY));
    rig.restart(seconds(5));
    rig.tell();
    assert_eq!(green(&rig.world, "n1"), 1_000);
    assert!(rig.status().message.starts_with("waiting for 2 of 2 nodes"), "{}", rig.status().message);
    (1..=2).for_each(|node| rig.connect(node));
    rig.settle_all();
    assert_eq!(rig.status().step.expect("step").index, 2);
}

#[test]
fn a_rollout_that_was_taken_out_goes_on_when_it_is_back() {
    let mut rig = Rig::new(&document("blue", CANARY), 1);
    rig.edit(&document("green", CANARY));
    rig.settle_all();
    rig.input(Input::Spec(Arc::default()));
    assert!(rig.ask(|reply| Message::Get("checkout".into(), reply)).is_none());
    rig.input(Input::Spec(spec(&document("green", CANARY))));
    assert_eq!(green(&rig.world, "n1"), 1_000);
}

#[test]
fn questions_about_nobody_have_no_answer() {
    let mut rig = Rig::new(&document("blue", CANARY), 1);
    assert!(rig.ask(|reply| Message::Get("nobody".into(), reply)).is_none());
    assert!(rig.ask(|reply| Message::User("nobody".into(), "u".into(), reply)).is_none());
    let reason = rig.ask(|reply| Message::User("checkout".into(), "u".into(), reply)).expect("checkout");
    assert!(reason.expect_err("no affinity").contains("no sessionAffinity"));
    assert_eq!(rig.ask(Message::List).len(), 1);
}

#[test]
fn a_group_goes_step_by_step_and_fails_as_one() {
    let pair = |target: &str| {
        let one = document(target, "{canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}\n  group: {name: shop}");
        let other = document(target, "{canary: {steps: [{setWeight: 20}, {pause: {}}]}}\n  group: {name: shop}");
        format!("{one}---\n{}", other.replace("name: checkout", "name: cart"))
    };
    let mut rig = Rig::new(&pair("blue"), 1);
    rig.edit(&pair("green"));
    rig.settle_all();
    let mut at = |name: &str| {
        let status = rig.ask(|reply| Message::Get(name.into(), reply)).expect("there");
        (status.step.expect("a step").index, status.message)
    };
    assert_eq!(at("cart").0, 2, "a pause until promoted");
    let (step, message) = at("checkout");
    assert_eq!(step, 2);
    assert!(message.contains("cart of group shop"), "it must not take all traffic before the other: {message}");

    let abort = Command { verb: Verb::Abort, actor: "ann".into(), reason: None, seen: None };
    let status = rig.ask(|reply| Message::Command("cart".into(), abort, reply)).expect("cart").expect("aborted");
    assert_eq!((status.phase, rig.status().phase), (Phase::Degraded, Phase::Degraded));
    assert!(rig.status().message.contains("group shop: cart was aborted"), "{}", rig.status().message);
    assert_eq!(green(&rig.world, "n1"), 0);
}

/// The session withdraws a rejection when it hears of the mended resource, and the fleet hears of that later still.
#[test]
fn what_was_rejected_before_says_nothing_of_what_is_wanted_now() {
    let mut rig = Rig::new(&document("blue", CANARY), 1);
    rig.reject(1, ResourceType::Route, "web");
    rig.tell();
    rig.edit(&document("green", CANARY));
    rig.tell();
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Progressing, 1_000));
    assert_eq!(rig.status().message, "waiting for 1 of 1 nodes: n1");
}

#[test]
fn a_process_without_memory_moves_nothing_that_the_fleet_has_otherwise() {
    let mut rig = Rig::new(&document("blue", CANARY), 1);
    rig.edit(&document("green", CANARY));
    rig.settle_all();
    rig.disk.records.clear();
    rig.restart(seconds(1));
    assert!(rig.world.is_guess());
    rig.connect(1);
    rig.fleet.handle(rig.now, StreamId(1), StreamEvent::Foreign);
    rig.tell();
    let status = rig.status();
    assert_eq!((status.phase, rig.world.is_guess()), (Phase::Degraded, true), "{}", status.message);
    assert!(status.message.contains("the state directory is new"), "{}", status.message);
    // Another target is another guess; a command is a decision.
    rig.edit(&document("blue", CANARY));
    assert_eq!((rig.status().phase, rig.world.is_guess()), (Phase::Degraded, true));
    rig.command(Verb::Retry).expect("retried");
    assert!(!rig.world.is_guess());
    rig.settle_all();
    assert_eq!((rig.status().phase, green(&rig.world, "n1")), (Phase::Healthy, 0));
}

#[test]
fn an_edit_of_one_rollout_keeps_the_record_of_no_other() {
    let two = format!(
        "{}---\n{}",
        document("blue", CANARY),
        document("blue", CANARY).replace("name: checkout", "name: cart")
    );
    let mut rig = Rig::new(&two, 1);
    let input = Input::Spec(spec(&two.replacen("target: blue", "target: green", 1)));
    let effects = rig.reconciler.handle(rig.now, input);
    let saved = effects.iter().filter_map(|effect| match effect {
        Effect::Save(record) => Some(record.name().to_owned()),
        _ => None,
    });
    assert_eq!(saved.collect::<Vec<_>>(), ["checkout"]);
    let moved = effects.iter().any(|effect| matches!(effect, Effect::Journal(entries) if entries.len() == 1));
    assert!(moved, "and writes down its own move alone");
}

#[test]
fn what_is_drawn_of_many_comes_in_parts() {
    let expected: Vec<_> = (0..1_100).map(|i| format!("checkout-{i}")).collect();
    let expected: BTreeSet<_> = expected.into_iter().chain(["checkout".to_owned()]).collect();
    let many = expected.iter().map(|name| document("blue", CANARY).replace("name: checkout", &format!("name: {name}")));
    let mut rig = Rig::new(&many.collect::<Vec<_>>().join("---\n"), 0);
    let mut names: Vec<Arc<str>> = Vec::new();
    loop {
        let after = names.last().cloned();
        let part = rig.ask(|reply| Message::Gauges(after, reply));
        if part.is_empty() {
            break;
        }
        assert!(part.len() <= 500, "{}", part.len());
        names.extend(part.into_iter().map(|gauges| gauges.name));
    }
    assert!(names.iter().map(|name| &**name).eq(expected.iter().map(String::as_str)), "{names:?}");
}
