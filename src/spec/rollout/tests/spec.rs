//! The keys beside the strategy: convergence, deadlines, the rollback window.

use std::time::Duration;

use super::{GOOD, good, refused, with};
use crate::spec::{Convergence, OnNack, OnTimeout, Quorum};

fn rollout(keys: &str) -> String {
    with(4, &format!("spec:\n  {keys}"))
}

#[test]
fn left_out_keys_have_defaults() {
    let rollout = good(&GOOD.join("\n"));
    assert_eq!(rollout.convergence, Convergence::default());
    assert_eq!((rollout.progress_deadline, rollout.progress_deadline_abort), (Duration::from_secs(600), false));
    assert_eq!(rollout.rollback_window, 0);
}

#[test]
fn given_keys_are_read() {
    let rollout = good(&rollout(
        "convergence:
    quorum: 90%
    timeout: 1m
    onTimeout: continue
    onNack: pause
    staleAfter: 2m30s
    expectedNodes: 12
  progressDeadlineSeconds: 1
  progressDeadlineAbort: true
  rollbackWindow: {revisions: 3}",
    ));
    let convergence = Convergence {
        quorum: Quorum::Percent(90),
        timeout: Duration::from_secs(60),
        on_timeout: OnTimeout::Continue,
        on_nack: OnNack::Pause,
        stale_after: Duration::from_secs(150),
        expected_nodes: Some(12),
        canary_nodes: None,
    };
    assert_eq!(rollout.convergence, convergence);
    assert_eq!((rollout.progress_deadline, rollout.progress_deadline_abort), (Duration::from_secs(1), true));
    assert_eq!(rollout.rollback_window, 3);
}

#[test]
fn a_quorum_is_a_share_or_a_number() {
    for (text, quorum) in [("1%", Quorum::Percent(1)), ("'100%'", Quorum::Percent(100)), ("5", Quorum::Nodes(5))] {
        assert_eq!(good(&rollout(&format!("convergence: {{quorum: {text}}}"))).convergence.quorum, quorum);
    }
}

#[test]
fn convergence_is_checked() {
    let quorum = "convergence.quorum must be a percentage from 1% to 100% or a number of nodes from 1 up, found";
    let duration = "must be a duration such as 30s, 5m or 1h30m, found";
    for (text, expected) in [
        ("|100%", "convergence must be a mapping, found \"100%\""),
        ("{|qorum: 5}", "unknown key \"qorum\" in convergence (did you mean \"quorum\"?)"),
        ("{quorum: |0%}", &format!("{quorum} \"0%\"")),
        ("{quorum: |101%}", &format!("{quorum} \"101%\"")),
        ("{quorum: |99.5%}", &format!("{quorum} \"99.5%\"")),
        ("{quorum: |'%'}", &format!("{quorum} \"%\"")),
        ("{quorum: |0}", &format!("{quorum} 0")),
        ("{quorum: |0.9}", &format!("{quorum} 0.9 (a share is written with %: 90%)")),
        ("{quorum: |'90'}", &format!("{quorum} \"90\" (write 90 for nodes, 90% for a share)")),
        ("{quorum: |all}", &format!("{quorum} \"all\"")),
        ("{timeout: |soon}", &format!("convergence.timeout {duration} \"soon\"")),
        ("{timeout: |0s}", "convergence.timeout must be longer than nothing, found \"0s\""),
        ("{staleAfter: |0}", "convergence.staleAfter must be longer than nothing, found 0"),
        (
            "{onTimeout: |Pause}",
            "convergence.onTimeout must be one of pause, abort, continue, found \"Pause\" (did you mean \"pause\"?)",
        ),
        ("{onTimeout: |true}", "convergence.onTimeout must be one of pause, abort, continue, found true"),
        ("{onNack: |continue}", "convergence.onNack must be one of abort, pause, found \"continue\""),
        ("{expectedNodes: |0}", "convergence.expectedNodes must be a whole number from 1 up, found 0"),
        (
            "{expectedNodes: |'12'}",
            "convergence.expectedNodes must be a whole number from 1 up, found \"12\" (write 12, without quotes)",
        ),
        ("{expectedNodes: |many}", "convergence.expectedNodes must be a whole number from 1 up, found \"many\""),
    ] {
        refused(&rollout(&format!("convergence: {text}")), expected);
    }
}

#[test]
fn canary_nodes_are_read() {
    let rollout = good(&rollout("convergence: {canaryNodes: {id: 'edge-a-*'}}"));
    let nodes = rollout.convergence.canary_nodes.clone();
    assert_eq!(nodes.and_then(|nodes| nodes.id.clone()).map(|id| id.as_str().to_owned()), Some("edge-a-*".into()));
}

#[test]
fn canary_nodes_are_checked() {
    for (text, expected) in [
        ("{|ids: a}", "unknown key \"ids\" in nodes (did you mean \"id\"?)"),
        (
            "|{}",
            "convergence.canaryNodes takes every node: all would be first (leave it out if all are to get changes at \
             once)",
        ),
    ] {
        refused(&rollout(&format!("convergence: {{canaryNodes: {text}}}")), expected);
    }
}

#[test]
fn a_group_is_read() {
    for text in ["{name: shop, barrier: step}", "{name: shop}"] {
        assert_eq!(good(&rollout(&format!("group: {text}"))).group.as_deref(), Some("shop"));
    }
    assert_eq!(good(&GOOD.join("\n")).group, None);
}

#[test]
fn a_group_is_checked() {
    for (text, expected) in [
        ("|shop", "group must be a mapping, found \"shop\""),
        ("|{}", "group.name is missing: the rollouts that name it move together"),
        ("{|nam: shop}", "unknown key \"nam\" in group (did you mean \"name\"?)"),
        (
            "{name: shop, barrier: |steps}",
            "group.barrier must be one of step, found \"steps\" (did you mean \"step\"?)",
        ),
    ] {
        refused(&rollout(&format!("group: {text}")), expected);
    }
    let weights = with(6, "  strategy: {weights: {blue: 100}}\n  |group: {name: shop}");
    refused(
        &weights,
        "group cannot stand beside the strategy weights (groups move step by step, weights have no steps)",
    );
}

#[test]
fn deadlines_and_the_rollback_window_are_checked() {
    for (text, expected) in [
        ("progressDeadlineSeconds: |0", "progressDeadlineSeconds must be a whole number from 1 to 315360000, found 0"),
        (
            "progressDeadlineSeconds: |10m",
            "progressDeadlineSeconds must be a whole number of seconds, found \"10m\" (write 600 as a bare number)",
        ),
        (
            "progressDeadlineSeconds: |500ms",
            "progressDeadlineSeconds must be a whole number from 1 to 315360000, found \"500ms\"",
        ),
        (
            "progressDeadlineAbort: |'on'",
            "progressDeadlineAbort must be true or false, found \"on\" (write true, without quotes)",
        ),
        ("rollbackWindow: |3", "rollbackWindow must be a mapping, found 3"),
        (
            "rollbackWindow: |{}",
            "rollbackWindow.revisions is missing: it is how far back a version may have been stable",
        ),
        ("rollbackWindow: {|revision: 3}", "unknown key \"revision\" in rollbackWindow (did you mean \"revisions\"?)"),
        ("rollbackWindow: {revisions: |-1}", "rollbackWindow.revisions must be a whole number from 0 up, found -1"),
    ] {
        refused(&rollout(text), expected);
    }
}
