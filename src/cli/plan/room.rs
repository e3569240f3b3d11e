//! How many endpoints each step needs.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::figure;
use crate::analysis::capacity::{self, Room};
use crate::spec::{CapacityGate, TOTAL_WEIGHT};

/// capacityGate's own.
const PEAK_FACTOR: f64 = 1.2;

#[derive(Debug, Args)]
pub(super) struct RoomArgs {
    /// Healthy endpoints of the new version
    #[arg(long, value_name = "COUNT", requires = "concurrency", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) endpoints: Option<u32>,
    /// Requests that one endpoint handles at a time at full speed
    #[arg(long, value_name = "COUNT", visible_alias = "concurrency-per-endpoint",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) concurrency: Option<u32>,
    /// Requests in flight to all versions together; without it, --rps times --latency
    #[arg(long, value_name = "COUNT", value_parser = figure::in_flight)]
    pub(super) in_flight: Option<f64>,
    /// How long a request takes in the mean
    #[arg(long, value_name = "DURATION", value_parser = figure::latency)]
    pub(super) latency: Option<Duration>,
    /// The probability of waiting up to which there is room
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = figure::limit)]
    pub(super) max_wait_probability: f64,
    /// The utilisation up to which there is room; not with --rolling
    #[arg(long, value_name = "SHARE", default_value = "0.85", value_parser = figure::limit)]
    max_utilization: f64,
    /// How many times as many as now there are at the peak; without it 1.2, with --rolling 1
    #[arg(long, value_name = "FACTOR", value_parser = figure::ratio_from_one)]
    pub(super) peak_factor: Option<f64>,
}

/// What each weight needs.
pub(super) struct Rooms {
    pub(super) endpoints: Option<u32>,
    pub(super) each: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    /// Percent.
    weight: f64,
    pub(super) in_flight: f64,
    pub(super) slots: u64,
    pub(super) endpoints: u64,
    /// Whether those that there are suffice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<bool>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) words: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mean_wait_ms: Option<f64>,
    #[serde(skip)]
    pub(super) parts: u32,
}

impl RoomArgs {
    /// `None` where nothing is said of endpoints.
    pub(super) fn rooms(&self, rps: f64, weights: impl IntoIterator<Item = u32>) -> anyhow::Result<Option<Rooms>> {
        let Some(concurrency_per_endpoint) = self.concurrency else { return Ok(None) };
        let in_flight = match (self.in_flight, self.latency) {
            (Some(in_flight), _) => in_flight,
            (None, Some(latency)) => rps * latency.as_secs_f64(),
            (None, None) => bail!("--concurrency: how many requests are in flight? --in-flight or --latency says it"),
        };
        let gate = CapacityGate {
            concurrency_per_endpoint,
            max_wait_probability: self.max_wait_probability,
            max_utilization: self.max_utilization,
            peak_factor: self.peak_factor.unwrap_or(PEAK_FACTOR),
        };
        let row = |parts: u32| {
            let share = f64::from(parts) / f64::from(TOTAL_WEIGHT);
            let room = capacity::check(&gate, in_flight, share, self.endpoints.unwrap_or_default().into());
            self.row(parts, &room)
        };
        Ok(Some(Rooms { endpoints: self.endpoints, each: weights.into_iter().map(row).collect() }))
    }

    fn row(&self, parts: u32, room: &Room) -> Row {
        let known = self.endpoints.is_some();
        let wait = |latency: Duration| capacity::mean_wait(room.slots, room.load) * latency.as_secs_f64() * 1_000.0;
        Row {
            weight: f64::from(parts) / 100.0,
            in_flight: room.load,
            slots: room.needed_slots,
            endpoints: room.needed_endpoints,
            open: known.then_some(room.open),
            words: known.then(|| room.to_string()),
            mean_wait_ms: self.latency.filter(|_| known).map(wait).filter(|wait| wait.is_finite()),
            parts,
        }
    }
}
