//! Files named on the command line, read and checked as one set, without a server and without earlier versions.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::source::{self, FileError};
use crate::spec::{self, Diagnostic, Files, Options, Severity};

/// Which files, and what is known from outside them.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// Files, or directories of .yaml, .yml and .json files; all of them are one set
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// A cluster that the proxies' own bootstrap defines, so that routes may name it; repeatable
    #[arg(long, value_name = "NAME")]
    bootstrap_cluster: Vec<String>,
}

/// A set of files and what is wrong with it.
pub(super) struct Checked {
    pub(super) files: Files,
    pub(super) options: Options,
    /// By file and place.
    pub(super) diagnostics: BTreeSet<Diagnostic>,
}

impl FileArgs {
    /// # Errors
    /// When a path does not exist, or there is no file at all: then nothing was checked.
    pub(super) fn check(&self) -> anyhow::Result<Checked> {
        let reading = source::read_paths(&self.paths);
        if let Some((path, error)) = reading.errors.iter().find(|(_, error)| **error == FileError::Missing) {
            bail!("{path}: {error}");
        }
        if reading.files.is_empty() && reading.errors.is_empty() {
            bail!("no .yaml, .yml or .json file in the paths given");
        }
        let options = Options { bootstrap_clusters: self.bootstrap_cluster.iter().cloned().collect() };
        let unread = reading.errors.iter().map(|(path, error)| Diagnostic {
            file: path.clone(),
            line: 1,
            column: 1,
            severity: Severity::Error,
            message: format!("cannot be read: {error}"),
            found: String::new(),
            help: None,
        });
        let diagnostics = unread.chain(spec::check_files(&reading.files, &options)).collect();
        Ok(Checked { files: reading.files, options, diagnostics })
    }
}

impl Checked {
    /// How many diagnostics weigh that much.
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// One line each.
    pub(super) fn write_diagnostics(&self, out: &mut dyn Write) -> io::Result<()> {
        self.diagnostics.iter().try_for_each(|diagnostic| writeln!(out, "{diagnostic}"))
    }
}
