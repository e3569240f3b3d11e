//! The table that people read, and the JSON that programs do.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cell::Cell;
use crate::grid::Figures;

/// What one cell came to.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) cell: Cell,
    /// serin, and the peer if there is one.
    pub(crate) servers: Vec<Figures>,
}

/// Heading, and what stands under it.
type Column = (&'static str, fn(&Figures) -> f64);

const COLUMNS: [Column; 9] = [
    ("storm ms", |figures| figures.storm_ms),
    ("p50 ms", |figures| figures.p50_ms),
    ("p99 ms", |figures| figures.p99_ms),
    ("max ms", |figures| figures.max_ms),
    ("CPU ms", |figures| figures.cpu_ms),
    ("CPU us/stream", |figures| figures.cpu_us_per_stream),
    ("KiB/stream", |figures| figures.kib_per_stream),
    ("bytes/stream", |figures| figures.bytes_per_stream),
    ("client CPU ms", |figures| figures.client_cpu_ms),
];

pub(crate) fn heading(out: &mut impl Write) -> io::Result<()> {
    write!(out, "{:24} {:6}", "CELL", "")?;
    COLUMNS.iter().try_for_each(|(heading, _)| write!(out, " {heading:>13}"))?;
    writeln!(out)
}

impl Row {
    /// A line for each server, and one that holds the first against the second.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for figures in &self.servers {
            write!(out, "{:24} {:6}", self.cell.to_string(), figures.server)?;
            COLUMNS.iter().try_for_each(|(_, figure)| write!(out, " {:13.1}", figure(figures)))?;
            writeln!(out)?;
        }
        if let [ours, theirs] = &self.servers[..] {
            write!(out, "{:24} {:6}", "", "ratio")?;
            COLUMNS.iter().try_for_each(|(_, figure)| write!(out, " {:13.3}", figure(ours) / figure(theirs)))?;
            writeln!(out)?;
        }
        Ok(())
    }
}

/// All of them, with what they were measured on.
#[derive(Serialize)]
pub(crate) struct Report {
    /// That server and client share.
    pub(crate) processors: usize,
    /// Per cell.
    pub(crate) changes: u32,
    pub(crate) cells: Vec<Row>,
}

impl Report {
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
