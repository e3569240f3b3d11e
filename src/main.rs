//! The `serin` binary: parse, run, exit code. All else is in [`serin::cli`].

use std::io;
use std::process::ExitCode;

use clap::Parser;
use serin::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run(&mut io::stdout(), &mut io::stderr())
}
