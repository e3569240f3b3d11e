//! `serin promote`, `pause`, `resume`, `abort`, `retry`, `undo`: commands to a rollout.

use std::io::Write;

use clap::Args;

use super::{RolloutArgs, read, words};
use crate::admin::{Order, RolloutReport};
use crate::cli::Outcome;
use crate::cli::output::printable;

const PROMOTE: &str = "\
It goes past one pause or gate. Two people who promote at the same moment pass one and not two. To pass none but \
the one that you looked at, however long ago, name the sequence that `serin get` showed with --seen.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Examples:
  serin promote checkout
  serin promote checkout --seen 12 --reason 'dashboards look good'
  serin promote checkout --full     # all traffic, without the steps left";

pub(super) const PAUSE: &str = "\
Traffic stays as it is. Rejections, commands and abort work all the same. `serin resume` goes on.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Example:
  serin pause checkout --reason 'incident 4711'";

pub(super) const RESUME: &str = "\
It goes on where it was. A pause that is a step of the rollout is passed by `serin promote`.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Example:
  serin resume checkout";

const ABORT: &str = "\
It works whatever a rollout under way waits for. The rollout is Degraded after it: the file still names the \
version that was aborted, so `serin retry` tries it again, and any edit of the target starts afresh.

Where `capacityGate` says that the stable version cannot carry all of it now, it gets at once what it can carry, and \
the rest as soon as it can. --emergency waits for nothing, also after an abort.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Examples:
  serin abort checkout --reason 'checkout errors up'
  serin abort checkout --emergency  # whatever the stable version can carry";

pub(super) const RETRY: &str = "\
It takes a rollout that was aborted, by command or by itself, through all its steps.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Example:
  serin retry checkout --reason 'database is back'";

const UNDO: &str = "\
It overrides the file's target until the file's target changes. Without --to-revision it goes back to the stable \
version if a rollout is under way, else to the version that was stable before. `serin history` has the revisions.

It takes the steps like any other rollout, unless `rollbackWindow` of the file covers that version; `serin promote \
--full` after it is at once.

Exit codes: 0 done, 1 refused with the reason, 2 no such rollout or no server.

Examples:
  serin undo checkout
  serin undo checkout --to-revision 3 --reason 'green leaks memory'";

/// Which rollout, who asks, and why.
#[derive(Debug, Args)]
pub(in crate::cli) struct OrderArgs {
    #[command(flatten)]
    rollout: RolloutArgs,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who asks, for the journal [default: the user's login name, else unknown]
    #[arg(long, value_name = "NAME", env = "USER", hide_env = true)]
    actor: Option<String>,
    /// What systems without USER say
    #[arg(long, hide = true, env = "LOGNAME", hide_env = true)]
    login: Option<String>,
    /// The sequence of the status you saw: refused if the rollout moved on since [default: that of now]
    #[arg(long, value_name = "SEQUENCE")]
    seen: Option<u64>,
}

/// What to promote, and how far.
#[derive(Debug, Args)]
#[command(after_help = PROMOTE)]
pub(in crate::cli) struct PromoteArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Straight to the end: all traffic on the new version
    #[arg(long)]
    full: bool,
}

/// What to abort, and at what price.
#[derive(Debug, Args)]
#[command(after_help = ABORT)]
pub(in crate::cli) struct AbortArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// All of it at once, whatever the stable version can carry
    #[arg(long)]
    emergency: bool,
}

/// What to undo, and how far back.
#[derive(Debug, Args)]
#[command(after_help = UNDO)]
pub(in crate::cli) struct UndoArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// To the version that became stable with this revision
    #[arg(long, value_name = "N")]
    to_revision: Option<u64>,
}

pub(super) fn promote(args: &PromoteArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let order = Order { full: args.full.then_some(true), ..args.order.order() };
    send("promote", &args.order, order, out, err)
}

pub(super) fn abort(args: &AbortArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let order = Order { emergency: args.emergency.then_some(true), ..args.order.order() };
    send("abort", &args.order, order, out, err)
}

pub(super) fn undo(args: &UndoArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let order = Order { to_revision: args.to_revision, ..args.order.order() };
    send("undo", &args.order, order, out, err)
}

/// A command that has nothing of its own to say.
pub(super) fn run(verb: &str, args: &OrderArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    send(verb, args, args.order(), out, err)
}

impl OrderArgs {
    fn order(&self) -> Order {
        let names = [&self.actor, &self.login].into_iter().flatten();
        let actor = names.map(String::as_str).find(|name| !name.is_empty()).unwrap_or("unknown");
        let (actor, reason) = (Some(actor.to_owned()), self.reason.clone());
        Order { actor, reason, seen: self.seen, ..Order::default() }
    }
}

fn send(
    verb: &str,
    args: &OrderArgs,
    mut order: Order,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let rollout = args.rollout.rollout();
    if order.seen.is_none() {
        let report: RolloutReport = read(&rollout.get("")?)?;
        order.seen = Some(report.sequence);
    }
    match rollout.client.post(&format!("{}/{verb}", rollout.page), &order)? {
        Ok(text) => {
            writeln!(out, "{}", printable(&words::line(&read(&text)?)))?;
            Ok(Outcome::Positive)
        }
        Err(refusal) => {
            writeln!(err, "serin: cannot {verb} {}: {}", args.rollout.name, printable(&refusal))?;
            Ok(Outcome::Negative)
        }
    }
}
