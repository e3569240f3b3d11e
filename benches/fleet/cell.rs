//! What a run is about.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::message::Variant;

/// Where the routes of all services stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// In one route configuration.
    One,
    /// In one for each service.
    Split,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Split => "split",
        }
    }
}

/// One point of the grid, written `VARIANT:LAYOUT:SERVICES:STREAMS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) variant: Variant,
    pub(crate) layout: Layout,
    pub(crate) services: u32,
    pub(crate) streams: u32,
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let [variant, layout, services, streams] = text.split(':').collect::<Vec<_>>()[..] else {
            bail!("a cell is VARIANT:LAYOUT:SERVICES:STREAMS, such as delta:split:1000:1000");
        };
        let named = |words: String| anyhow::anyhow!("{text}: {words}");
        let cell = Self {
            variant: Variant::from_str(variant, false).map_err(named)?,
            layout: Layout::from_str(layout, false).map_err(named)?,
            services: services.parse().context("the number of services")?,
            streams: streams.parse().context("the number of streams")?,
        };
        // A port for each filter chain.
        if cell.services == 0 || cell.services > 65_000 || cell.streams == 0 {
            bail!("{text}: takes 1 to 65000 services, and at least one stream");
        }
        Ok(cell)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variant, layout, services, streams } = self;
        write!(f, "{}:{}:{services}:{streams}", variant.name(), layout.name())
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
