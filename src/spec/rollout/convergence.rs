//! `spec.convergence`: when a step counts.

use std::sync::Arc;

use super::{duration, scalar};
use crate::spec::fields::{Fields, unexpected};
use crate::spec::strategy::{Convergence, OnNack, OnTimeout, Quorum};
use crate::spec::yaml::{Data, Node};
use crate::spec::{NodeSelector, Reporter, nodes};

const KEYS: [&str; 7] = ["quorum", "timeout", "onTimeout", "onNack", "staleAfter", "expectedNodes", "canaryNodes"];

const ON_TIMEOUT: [(&str, OnTimeout); 3] =
    [("pause", OnTimeout::Pause), ("abort", OnTimeout::Abort), ("continue", OnTimeout::Continue)];

const ON_NACK: [(&str, OnNack); 2] = [("abort", OnNack::Abort), ("pause", OnNack::Pause)];

/// Reads the value of `convergence:`. What is left out, or wrong and so reported, is at its default.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Convergence {
    let Some(fields) = Fields::read(node, "convergence", &KEYS, reporter) else { return Convergence::default() };
    let default = Convergence::default();
    Convergence {
        quorum: fields.get("quorum").and_then(|node| quorum(node, reporter)).unwrap_or(default.quorum),
        timeout: fields
            .get("timeout")
            .and_then(|node| duration::positive(node, "convergence.timeout", reporter))
            .unwrap_or(default.timeout),
        on_timeout: fields
            .get("onTimeout")
            .and_then(|node| scalar::word(node, "convergence.onTimeout", &ON_TIMEOUT, reporter))
            .unwrap_or(default.on_timeout),
        on_nack: fields
            .get("onNack")
            .and_then(|node| scalar::word(node, "convergence.onNack", &ON_NACK, reporter))
            .unwrap_or(default.on_nack),
        stale_after: fields
            .get("staleAfter")
            .and_then(|node| duration::positive(node, "convergence.staleAfter", reporter))
            .unwrap_or(default.stale_after),
        expected_nodes: fields
            .get("expectedNodes")
            .and_then(|node| scalar::whole(node, "convergence.expectedNodes", 1..=u32::MAX, reporter)),
        canary_nodes: fields.get("canaryNodes").and_then(|node| canary_nodes(node, reporter)),
    }
}

fn canary_nodes(node: &Node, reporter: &mut Reporter) -> Option<Arc<NodeSelector>> {
    let nodes = nodes::all_or_some(Some(node), reporter)?;
    if nodes.is_everything() {
        let help = Some("leave it out if all are to get changes at once".to_owned());
        reporter.error(node.position, "convergence.canaryNodes takes every node: all would be first", "{}", help);
        return None;
    }
    Some(nodes)
}

fn quorum(node: &Node, reporter: &mut Reporter) -> Option<Quorum> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let expected = "a percentage from 1% to 100% or a number of nodes from 1 up";
    let help = match &node.data {
        Data::String(text) => match text.strip_suffix('%').and_then(number) {
            Some(percent @ 1..=100) => return Some(Quorum::Percent(percent)),
            Some(_) => None,
            None => number(text).map(|count| format!("write {count} for nodes, {count}% for a share")),
        },
        Data::Number(text) => match number(text) {
            Some(count @ 1..) => return Some(Quorum::Nodes(count)),
            Some(_) => None,
            None => text
                .parse::<f64>()
                .is_ok_and(|share| share > 0.0 && share < 1.0)
                .then(|| "a share is written with %: 90%".to_owned()),
        },
        _ => None,
    };
    unexpected(node, "convergence.quorum", expected, help, reporter)
}
