//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One object per line
    Json,
}

/// The watcher of files warns of every directory that goes, which each `ConfigMap` update has it do; what follows from it
/// is logged by `source`.
const QUIET: &str = "notify::inotify=error";

/// Sends all log lines to standard error: those that `RUST_LOG` asks for, else `info` and above.
pub(super) fn init(format: Option<LogFormat>) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .context("RUST_LOG is not a list of filters (e.g. `info,serin::server=debug`)")?
        .add_directive(QUIET.parse().context("the built-in filter is none")?);
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(terminal);
    let outcome = match format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }) {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    outcome.map_err(|error| anyhow!(error)).context("cannot start logging")
}
