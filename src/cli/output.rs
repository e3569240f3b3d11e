//! What commands print: documents, as YAML for people and as JSON for programs, and tables.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

/// Moves the cursor to the top left and clears what is below.
pub(super) const CLEAR: &str = "\x1b[H\x1b[2J";

/// What stands where nothing is known.
pub(super) const NONE: &str = "-";

/// How a document is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Easy on the eye.
    Yaml,
    /// Easy on programs.
    Json,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Report {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Writes one document, ending in a line feed.
pub(super) fn write_document(out: &mut dyn Write, document: &impl Serialize, format: Format) -> anyhow::Result<()> {
    let mut text = match format {
        Format::Yaml => {
            let mut options = serde_saphyr::SerializerOptions::default();
            // Regular expressions must stay on one line.
            options.prefer_block_scalars = false;
            serde_saphyr::to_string_with_options(document, options).context("cannot write YAML")?
        }
        Format::Json => serde_json::to_string_pretty(document).context("cannot write JSON")?,
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// Columns as wide as their widest cell. Cells are printed as they are: see [`printable`].
pub(super) fn write_table<const N: usize>(
    out: &mut dyn Write,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> io::Result<()> {
    let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    rows.iter().try_for_each(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
    })
}

/// How long ago, in the one unit that matters.
pub(super) fn age(since: &str, at: &str) -> String {
    let (Ok(since), Ok(at)) = (humantime::parse_rfc3339(since), humantime::parse_rfc3339(at)) else {
        return NONE.to_owned();
    };
    let seconds = at.duration_since(since).unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Names and words come from proxies: what could move the cursor or break the line is shown as a space.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
