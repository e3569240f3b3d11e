//! The one integration binary: the protocol against a model client, and the built program against real Envoys and a
//! real gRPC client, under load.
//!
//! `SERIN_TEST_EDITS` says how many edits the longer loops make instead of 200, for a quick look.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong here is a failed test")]

mod fake_envoy;
mod sessions;
mod simulation;

#[path = "../../demo/rig/mod.rs"]
mod rig;

mod binomial;
mod desk;
mod quiet;
mod site;

mod affinity;
mod analysis;
mod asker;
mod bootstrap;
mod canary_nodes;
mod commands;
mod damage;
mod documents;
mod groups;
mod hooks;
mod instruments;
mod metrics;
mod prometheus;
mod rejection;
mod restart;
mod rollouts;
mod split;
mod switches;
mod telemetry;
mod verdicts;
