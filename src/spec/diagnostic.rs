//! One mistake in a user's file, as data: where, what was found, what was expected, and what to do.

use std::fmt;
use std::sync::Arc;

use super::yaml::Position;

/// How much a [`Diagnostic`] weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file that holds it is not taken into service; its last good version goes on.
    Error,
    /// The file is taken into service, but probably does not do what its writer meant.
    Warning,
}

/// One mistake, with its place in the text. Printed as `file:line:column: error: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Path of the file, as given to the parser.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Whether the file is refused.
    pub severity: Severity,
    /// What is wrong, what was found and what was expected; lower case, no full stop.
    pub message: String,
    /// The offending text, as written (at most one line), empty where nothing stands there.
    pub found: String,
    /// What to do about it, e.g. the nearest valid word.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}:{}: {severity}: {}", self.file, self.line, self.column, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Gathers the mistakes of one file while it is read. Reading goes on after a mistake: all of them are told.
#[derive(Debug)]
pub struct Reporter {
    file: Arc<str>,
    diagnostics: Vec<Diagnostic>,
    errors: usize,
}

impl Reporter {
    /// Nothing found yet in `file`, a path as people should see it.
    #[must_use]
    pub fn new(file: Arc<str>) -> Self {
        Self { file, diagnostics: Vec::new(), errors: 0 }
    }

    /// The file it speaks of.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// A mistake for which the file is refused. `found` is the offending text (see [`Diagnostic::found`]).
    pub fn error(
        &mut self,
        position: Position,
        message: impl Into<String>,
        found: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Severity::Error, position, message.into(), &found.into(), help);
    }

    /// Something that is probably not what the writer meant; the file is taken all the same.
    pub fn warning(
        &mut self,
        position: Position,
        message: impl Into<String>,
        found: impl Into<String>,
        help: Option<String>,
    ) {
        self.push(Severity::Warning, position, message.into(), &found.into(), help);
    }

    /// How many errors there are so far. A caller that compares two counts knows whether what it read in between is
    /// good.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All that was found, in the order of the text.
    #[must_use]
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        self.diagnostics
    }

    fn push(&mut self, severity: Severity, position: Position, message: String, found: &str, help: Option<String>) {
        self.errors += usize::from(severity == Severity::Error);
        let found = found.lines().next().unwrap_or_default().to_owned();
        let Position { line, column } = position;
        self.diagnostics.push(Diagnostic { file: self.file.clone(), line, column, severity, message, found, help });
    }
}
