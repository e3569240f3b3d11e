//! How the fleet stands on one rollout: the groups that see it, without what is not its doing.
//!
//! A node that waits for anything counts as behind; one that has all but what it rejected only where that has to do with
//! the rollout. A node without a stream counts as behind until `staleAfter`, then not at all. While canary nodes are
//! ahead, they alone count.

use std::time::Duration;

use crate::fleet::{GroupStanding, Rejected, Standing};
use crate::rollout::{Evidence, Machine, Nack};
use crate::spec::Rollout;
use crate::translate::World;

/// How many of the nodes that are away are named.
const NAMED: usize = 10;

/// The evidence about a rollout's present traffic, which `world` carries and `standing` is about; and when it changes by
/// itself because a node that is away turns stale.
pub(super) fn of(
    world: &World,
    standing: &Standing,
    rollout: &Rollout,
    machine: &Machine,
    now: Duration,
) -> (Evidence, Option<Duration>) {
    let mut evidence = Evidence { generation: machine.generation(), ..Evidence::default() };
    let mut stale = None;
    let all = machine.ahead().is_none();
    let seats = world.audience(rollout).into_iter().filter(|seat| all || seat.canary).map(|seat| seat.group);
    let seen: Vec<_> = seats.filter_map(|group| standing.groups.get(&*group)).collect();
    // Of nodes that an earlier process saw and that have not come back, nobody knows what they see.
    let unknown = standing.groups.iter().filter(|(name, _)| !world.knows(name)).map(|(_, group)| group);
    for group in seen.into_iter().chain(unknown) {
        let nacks: Vec<&Rejected> = group.rejected.iter().filter(|nack| concerns(world, rollout, nack)).collect();
        let refusing = refusing(group, &nacks);
        let stale_after = rollout.convergence.stale_after;
        let away = &group.away[group.away.partition_point(|away| away.since + stale_after <= now)..];
        stale = stale.into_iter().chain(away.first().map(|away| away.since + stale_after)).min();
        evidence.nodes += group.nodes + away.len();
        evidence.converged += group.nodes - group.pending - refusing;
        evidence.missing.extend(group.some_pending.iter().cloned());
        evidence.missing.extend(away.iter().take(NAMED).map(|away| away.node.clone()));
        evidence.missing.extend(nacks.iter().filter(|nack| !nack.pending).map(|nack| nack.node.clone()));
        evidence.rejecting.extend(nacks.iter().map(|nack| nack.node.clone()));
        evidence.nacks.extend(nacks.into_iter().map(nack));
        evidence.slowest = evidence.slowest.or_else(|| group.latest.clone());
    }
    (evidence, stale)
}

/// Whether a rejection has to do with the rollout. One that names nothing may.
fn concerns(world: &World, rollout: &Rollout, rejected: &Rejected) -> bool {
    let suspects = &rejected.rejection.suspects;
    suspects.is_empty() || suspects.keys().any(|name| world.carries(rollout, rejected.rejection.ty, name))
}

/// How many nodes have all but what they rejected of the rollout.
fn refusing(group: &GroupStanding, nacks: &[&Rejected]) -> usize {
    let of = |nacks: &mut dyn Iterator<Item = &Rejected>| {
        let nodes: std::collections::BTreeSet<_> = nacks.filter(|nack| !nack.pending).map(|nack| &nack.node).collect();
        nodes.len()
    };
    let told = of(&mut group.rejected.iter());
    of(&mut nacks.iter().copied()) + group.rejecting.saturating_sub(told)
}

fn nack(rejected: &Rejected) -> Nack {
    let Rejected { node, rejection, .. } = rejected;
    Nack {
        node: node.clone(),
        ty: rejection.ty.short_name().to_owned(),
        resources: rejection.suspects.keys().map(ToString::to_string).collect(),
        error: rejection.error.clone(),
    }
}
