//! One mistake in a user's file, as data: where, what was found, what was expected, and what to do.

use std::fmt;
use std::sync::Arc;

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
