//! Documents on the way out: YAML for people, JSON for programs.

use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

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
