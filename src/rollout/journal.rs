//! What is written down of each transition: when, from what to what, who, why, and the figures behind it.
//!
//! Entries are values; the store appends them. Numbered without gaps, so that one that is written twice (at least once
//! is the promise) can be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::millis;
use super::status::Phase;
use super::words::shares;
use crate::spec::Split;

/// One transition of one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When: milliseconds since the Unix epoch.
    #[serde(with = "millis")]
    pub at: Duration,
    /// Of which rollout.
    pub rollout: Arc<str>,
    /// Its how-manieth transition, from 1.
    pub sequence: u64,
    /// The revision it belongs to.
    pub revision: u64,
    /// How the rollout stood before.
    pub from: Standing,
    /// How it stands now.
    pub to: Standing,
    /// The version to go back to. Empty in entries of releases that did not write it.
    #[serde(default)]
    pub stable: Arc<str>,
    /// The version that is to be stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Arc<str>>,
    /// Who made it so.
    pub actor: Actor,
    /// Why, in words.
    pub why: String,
    /// The fleet at that moment, as far as it was known about the traffic in force before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// How a rollout stands, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its phase.
    pub phase: Phase,
    /// What it is at, in words.
    pub at: String,
    /// The split in force.
    pub weights: Split,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}, {}", self.phase, self.at, shares(&self.weights))
    }
}

/// Who makes a transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Actor {
    /// An edit of the file.
    File,
    /// The engine itself.
    Engine,
    /// A person or program, by a command.
    Operator(Arc<str>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Engine => "engine",
            Self::Operator(name) => name,
        })
    }
}

/// Counts of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Nodes that had acknowledged.
    pub converged: usize,
    /// Nodes that should have.
    pub nodes: usize,
    /// How long the fleet had taken, or been waited for: milliseconds.
    #[serde(with = "millis", rename = "waitedMs")]
    pub waited: Duration,
}
