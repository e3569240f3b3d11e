//! The fleet as a table: one line per node and type, and a last line that says how many are in trouble.

use std::io::{self, Write};

use crate::admin::{FleetReport, NodeReport, Report, TypeReport};
use crate::cli::output::{NONE, age, printable, write_table};

const HEADER: [&str; COLUMNS] = ["NODE", "CLUSTER", "GROUP", "TYPE", "STATUS", "VERSION", "SINCE", "DETAIL"];
const COLUMNS: usize = 8;
const AGE: usize = 6;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row([String; COLUMNS]);

impl Row {
    fn new(report: &FleetReport, node: &NodeReport, ty: Option<&TypeReport>) -> Self {
        let detail = match (node.connected, ty.and_then(rejection)) {
            (_, Some(words)) => words,
            (false, None) => match &node.reason {
                Some(reason) => format!("disconnected: {reason}"),
                None => "disconnected".to_owned(),
            },
            (true, None) => String::new(),
        };
        let since = ty.map_or(&node.since, |ty| &ty.since);
        let columns = [
            node.id.as_str(),
            &node.cluster,
            &node.group,
            ty.map_or(NONE, |ty| ty.ty.as_str()),
            ty.map_or(NONE, |ty| ty.status.as_str()),
            ty.and_then(|ty| ty.version.as_deref()).unwrap_or(NONE),
            &age(since, &report.at),
            &detail,
        ];
        Self(columns.map(printable))
    }

    /// Identifies the line from one answer to the next.
    pub(super) fn key(&self) -> (String, String) {
        (self.0[0].clone(), self.0[3].clone())
    }

    /// Whether nothing but the time since then differs.
    pub(super) fn same_but_for_age(&self, other: &Self) -> bool {
        (0..COLUMNS).all(|column| column == AGE || self.0[column] == other.0[column])
    }

    /// The line without alignment.
    pub(super) fn line(&self) -> String {
        self.0.join(" ").trim_end().to_owned()
    }
}

/// One line per node and type; one for a node that asked for nothing yet.
pub(super) fn rows(report: &FleetReport) -> Vec<Row> {
    let mut rows = Vec::new();
    for node in &report.nodes {
        if node.types.is_empty() {
            rows.push(Row::new(report, node, None));
        }
        rows.extend(node.types.iter().map(|ty| Row::new(report, node, Some(ty))));
    }
    rows
}

/// The most resources that are named where the proxy's words name none.
const MAX_NAMES: usize = 3;

/// What was rejected: the proxy's words, and before them the resources that may be to blame if they name none.
fn rejection(ty: &TypeReport) -> Option<String> {
    let words = ty.error.as_deref()?;
    let names = &ty.resources;
    if names.is_empty() || names.iter().any(|name| words.contains(name.as_str())) {
        return Some(words.to_owned());
    }
    let some = names[..names.len().min(MAX_NAMES)].join(", ");
    Some(match names.len().saturating_sub(MAX_NAMES) {
        0 => format!("{some}: {words}"),
        more => format!("{some} and {more} more: {words}"),
    })
}

/// How the files stand that the fleet is to follow: what is wrong with them, one line each, nothing if all is well.
pub(in crate::cli) fn trouble(files: &Report) -> Vec<String> {
    let unreadable = files.unreadable.iter().map(|words| format!("{words}; what was read before goes on"));
    let waiting = files.waiting.iter().cloned();
    let held = files.held.iter().map(|file| {
        let mistake = files.mistakes.iter().find(|mistake| mistake.file == *file && mistake.severity == "error");
        let words = mistake.map_or_else(
            || "another file has a mistake".to_owned(),
            |mistake| format!("{}:{}: {}", mistake.line, mistake.column, mistake.message),
        );
        format!("{file} is held back, its last good version goes on: {words}")
    });
    // While nothing is served, that says why.
    let unreadable = unreadable.filter(|_| files.waiting.is_none());
    unreadable.chain(waiting).chain(held).map(|line| printable(&line)).collect()
}

/// The whole table, and how the files stand.
pub(super) fn write(out: &mut dyn Write, report: &FleetReport, files: &Report) -> io::Result<()> {
    if report.nodes.is_empty() {
        writeln!(out, "no proxy has connected yet (`serin bootstrap` prints what one needs to find this server)")?;
    } else {
        write_nodes(out, report)?;
    }
    match &files.loaded {
        Some(loaded) => writeln!(out, "configuration loaded {} ago", age(loaded, &report.at))?,
        None => writeln!(out, "configuration not loaded yet")?,
    }
    trouble(files).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn write_nodes(out: &mut dyn Write, report: &FleetReport) -> io::Result<()> {
    write_table(out, HEADER, rows(report).into_iter().map(|row| row.0))?;
    writeln!(out, "\n{}", summary(report))
}

fn summary(report: &FleetReport) -> String {
    let total = report.nodes.len();
    let away = report.nodes.iter().filter(|node| !node.connected).count();
    let with =
        |status: &str| report.nodes.iter().filter(|node| node.types.iter().any(|ty| ty.status == status)).count();
    let synced = |node: &&NodeReport| {
        node.connected && !node.types.is_empty() && node.types.iter().all(|ty| ty.status == "SYNCED")
    };
    let synced = report.nodes.iter().filter(synced).count();
    let mut parts = vec![format!("{synced} of {total} {} in sync", if total == 1 { "node" } else { "nodes" })];
    for (count, words) in [(with("NACK"), "rejected something"), (away, "not connected")] {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    parts.join(", ")
}
