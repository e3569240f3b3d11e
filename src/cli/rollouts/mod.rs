//! Rollouts: how they stand, what became of them, and commands to them.

mod get;
mod history;
mod list;
mod order;
mod status;
#[cfg(test)]
mod tests;
mod why;
mod words;

use std::io::Write;

use anyhow::Context;
use clap::{Args, Subcommand};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::Outcome;
use super::client::{Client, ServerArgs};

/// The commands about rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// List all rollouts: phase, step, weights, convergence
    List(list::ListArgs),
    /// Show one rollout: what it does and what it waits for
    Get(get::GetArgs),
    /// Go past the pause or gate that a rollout is at
    Promote(order::PromoteArgs),
    /// Hold a rollout where it is
    #[command(after_help = order::PAUSE)]
    Pause(order::OrderArgs),
    /// Go on after a pause by command, or after a rejection that was held for somebody to decide
    #[command(after_help = order::RESUME)]
    Resume(order::OrderArgs),
    /// Put all traffic back on the stable version, at once
    Abort(order::AbortArgs),
    /// Start an aborted rollout again, from its first step
    #[command(after_help = order::RETRY)]
    Retry(order::OrderArgs),
    /// Go back to an earlier stable version, whatever the file says
    Undo(order::UndoArgs),
    /// Wait until a rollout is done; the exit code says how it went
    Status(status::StatusArgs),
    /// Show what became of a rollout: every transition, who made it, and why
    History(history::HistoryArgs),
    /// Say in one paragraph what a rollout is doing, and who or what made it so
    Why(why::WhyArgs),
}

/// Which rollout, and of which server.
#[derive(Debug, Args)]
pub(super) struct RolloutArgs {
    /// metadata.name of the rollout
    name: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Does what was asked for.
pub(super) fn run(command: &RolloutCommand, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    match command {
        RolloutCommand::List(args) => list::run(args, out),
        RolloutCommand::Get(args) => get::run(args, out, err),
        RolloutCommand::Promote(args) => order::promote(args, out, err),
        RolloutCommand::Pause(args) => order::run("pause", args, out, err),
        RolloutCommand::Resume(args) => order::run("resume", args, out, err),
        RolloutCommand::Abort(args) => order::abort(args, out, err),
        RolloutCommand::Retry(args) => order::run("retry", args, out, err),
        RolloutCommand::Undo(args) => order::undo(args, out, err),
        RolloutCommand::Status(args) => status::run(args, out, err),
        RolloutCommand::History(args) => history::run(args, out),
        RolloutCommand::Why(args) => why::run(args, out),
    }
}

/// One rollout of one server.
struct Rollout {
    client: Client,
    /// Its page.
    page: String,
}

impl RolloutArgs {
    /// Asks nothing yet.
    fn rollout(&self) -> Rollout {
        Rollout { client: Client::new(&self.server), page: format!("/api/v1/rollouts/{}", encode(&self.name)) }
    }
}

impl Rollout {
    /// The text of the page `below` its own.
    fn get(&self, below: &str) -> anyhow::Result<String> {
        self.client.get(&format!("{}{below}", self.page))
    }
}

/// A document of the API.
fn read<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("the server's answer is not what this version knows")
}

/// What stands for itself in a path and in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, PLAIN)
}
