//! How many rollouts there are, and which of them a proxy sends traffic through.

use std::fmt;
use std::str::FromStr;

/// So many rollouts, of which each proxy uses so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    /// Rollouts under way.
    pub(crate) rollouts: u32,
    /// How many of them one proxy sends traffic through; it is served all of them.
    pub(crate) used: u32,
}

impl Case {
    /// Proxies that use the same rollouts are a group; so many there are.
    pub(crate) fn groups(self) -> u32 {
        self.rollouts.div_ceil(self.used)
    }

    /// The group of a proxy.
    pub(crate) fn group(self, node: u32) -> u32 {
        node % self.groups()
    }

    /// The rollouts that a group uses.
    pub(crate) fn used_by(self, group: u32) -> impl Iterator<Item = u32> {
        (0..self.used).map(move |index| (group * self.used + index) % self.rollouts)
    }

    /// For each rollout, how many of so many proxies use it.
    pub(crate) fn users(self, nodes: u32) -> Vec<u64> {
        let mut users = vec![0; self.rollouts as usize];
        for node in 0..nodes {
            for rollout in self.used_by(self.group(node)) {
                users[rollout as usize] += 1;
            }
        }
        users
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (rollouts, used) = parts.ok_or("write it like 1000x20")?;
        if used == 0 || used > rollouts {
            return Err(format!("of {rollouts} rollouts a proxy can use 1 to {rollouts}"));
        }
        Ok(Self { rollouts, used })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rollouts, self.used)
    }
}
