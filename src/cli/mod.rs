//! What people type: one module per command, each of arguments and a function that writes to what it is handed.
//!
//! Exit codes are a contract with scripts: 0 done or yes, 1 mistakes found or no, 2 wrong usage or a broken
//! environment (clap exits with 2 by itself), 3 neither yes nor no.

mod address;
mod analyze;
mod bootstrap;
mod check;
mod client;
mod files;
mod fleet;
mod interval;
mod logging;
mod node;
mod output;
mod plan;
mod ready;
mod render;
mod rollouts;
mod serve;
mod simulate;
#[cfg(test)]
mod tests;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  serin check config/             what is wrong with these files?
  serin simulate config/          what would an edit of a target do, and when?
  serin plan --rps 2000 --baseline-error 0.001    which steps should it have?
  serin serve --config config/    serve them to a fleet
  serin bootstrap --id edge-1 --cluster edge > envoy.yaml && envoy -c envoy.yaml
  serin fleet --watch             who has acknowledged what
  serin get checkout --watch      how is this rollout doing?
  serin promote checkout          past the pause it is at
  serin why checkout              what is it doing, and who made it so?

Exit codes: 0 done, 1 mistakes found or the answer is no, 2 wrong usage or a broken environment, 3 neither \
yes nor no.";

/// An Envoy control plane for progressive delivery: edit one line of a rollout file, and the whole fleet follows.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a directory of rollout files and Envoy resources to a fleet of proxies
    Serve(serve::ServeArgs),
    /// Say what is wrong with files, without serving them
    Check(check::CheckArgs),
    /// Print the Envoy resources that would be served
    Render(render::RenderArgs),
    /// Show what would happen, when and why, after an edit of a rollout's target
    Simulate(simulate::SimulateArgs),
    /// Propose the steps with the least expected cost, from traffic and risk
    Plan(plan::PlanArgs),
    /// Judge recorded counts as a rollout would have judged them
    Analyze(analyze::AnalyzeArgs),
    /// Print the bootstrap with which a proxy finds serin
    Bootstrap(bootstrap::BootstrapArgs),
    /// Say whether a server serves
    Ready(ready::ReadyArgs),
    /// Show which proxy has acknowledged what
    Fleet(fleet::FleetArgs),
    #[command(flatten)]
    Rollouts(rollouts::RolloutCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// Which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  serin completions bash > /etc/bash_completion.d/serin")]
struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Done, or yes: exit code 0.
    Positive,
    /// Mistakes found, or no: exit code 1.
    Negative,
    /// Neither yes nor no: exit code 3.
    Undecided,
}

impl Cli {
    /// Does what was asked for. Results go to `out`, words to `err`.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
        let outcome = match &self.command {
            Command::Serve(args) => serve::run(args),
            Command::Check(args) => check::run(args, out, err),
            Command::Render(args) => render::run(args, out, err),
            Command::Simulate(args) => simulate::run(args, out, err),
            Command::Plan(args) => plan::run(args, out, err),
            Command::Analyze(args) => analyze::run(args, out),
            Command::Bootstrap(args) => bootstrap::run(args, out),
            Command::Ready(args) => ready::run(args, out),
            Command::Fleet(args) => fleet::run(args, out, err),
            Command::Rollouts(command) => rollouts::run(command, out, err),
            Command::Completions(args) => completions(args.shell, out),
        };
        match outcome.and_then(|outcome| out.flush().map(|()| outcome).map_err(Into::into)) {
            Ok(Outcome::Positive) => ExitCode::SUCCESS,
            Ok(Outcome::Negative) => ExitCode::from(1),
            Ok(Outcome::Undecided) => ExitCode::from(3),
            // Whoever reads our output has seen enough, e.g. `head`.
            Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                // Where words cannot be written there is nobody to be told so.
                let _ = writeln!(err, "serin: error: {error:#}");
                ExitCode::from(2)
            }
        }
    }
}

fn completions(shell: Shell, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    // Not straight to `out`: clap_complete panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "serin", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Positive)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
