//! `serin ready`: whether a server serves, as the health check of a container without a shell asks it.

use std::io::Write;

use clap::Args;

use super::Outcome;
use super::client::{Client, ServerArgs};

const EXAMPLES: &str = "\
A server is ready once it has read its files without a mistake and serves them; until then this says what it waits for.

Exit codes: 0 ready, 1 not yet, 2 no server.

Examples:
  serin ready
  until serin ready; do sleep 1; done
  HEALTHCHECK CMD [\"serin\", \"ready\"]        in a Dockerfile";

/// Which server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReadyArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Asks once.
pub(super) fn run(args: &ReadyArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match Client::new(&args.server).ready()? {
        Ok(()) => {
            writeln!(out, "ready")?;
            Ok(Outcome::Positive)
        }
        Err(waiting) => {
            writeln!(out, "not ready: {waiting}")?;
            Ok(Outcome::Negative)
        }
    }
}
