//! `serin check`: what is wrong with files.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::files::FileArgs;
use super::output::{Format, Report, write_document};
use crate::admin::Mistake;
use crate::app;
use crate::spec::Severity;

const EXAMPLES: &str = "\
As compilers do, it writes FILE:LINE:COLUMN: error: WORDS for every mistake to standard error, and a last \
line that counts them. With -o json one document goes to standard output instead. Warnings alone are no mistakes.

Exit codes: 0 no mistake, 1 mistakes found, 2 a path does not exist or holds no file.

Examples:
  serin check config/
  serin check config/ --bootstrap-cluster xds
  serin check -o json config/ | jq '.mistakes[].message'";

/// What to check.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    files: FileArgs,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
}

/// The answer in JSON.
#[derive(Serialize)]
struct Answer {
    files: usize,
    errors: usize,
    warnings: usize,
    mistakes: Vec<Mistake>,
}

/// Prints every mistake: as text to `err`, as JSON to `out`.
pub(super) fn run(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let checked = args.files.check()?;
    let (errors, warnings) = (checked.count(Severity::Error), checked.count(Severity::Warning));
    let files = checked.files.len();
    match args.output {
        Report::Json => {
            let mistakes = checked.diagnostics.iter().map(app::mistake).collect();
            write_document(out, &Answer { files, errors, warnings, mistakes }, Format::Json)?;
        }
        Report::Text => {
            checked.write_diagnostics(err)?;
            let (files, errors) = (counted(files, "file"), counted(errors, "error"));
            writeln!(err, "{files} checked: {errors}, {}", counted(warnings, "warning"))?;
        }
    }
    Ok(if errors == 0 { Outcome::Positive } else { Outcome::Negative })
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
