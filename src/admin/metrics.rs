//! `/metrics`: what others count in the registry they share, and what is worked out from how fleet and rollouts stand
//! when it is asked for. So the gauges are right from the start, and what is gone has none.
//!
//! No label names a node: a fleet of thousands would make as many series of each type.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use tokio::task::spawn_blocking;

use super::process::Process;
use super::{Failure, Sources, ask};
use crate::fleet::{self, FleetGauges, GroupGauges};
use crate::reconcile::Message;
use crate::rollout::{Gauges, Phase};

/// <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>, for those who ask for it.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The parts that a weight is counted in.
const WHOLE: f64 = 10_000.0;

const PHASES: [(&str, Phase); 4] = [
    ("Healthy", Phase::Healthy),
    ("Progressing", Phase::Progressing),
    ("Paused", Phase::Paused),
    ("Degraded", Phase::Degraded),
];

pub(super) async fn page(State(sources): State<Sources>, headers: HeaderMap) -> Result<Response, Failure> {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|accepted| accepted.to_str().ok());
    let open = accepted.into_iter().any(|accepted| accepted.contains(OPEN_METRICS));
    let views = Views::of(&sources).await?;
    let registry = Arc::clone(&sources.registry);
    // Ten thousand rollouts are megabytes.
    let written = spawn_blocking(move || write(&registry, views, open)).await;
    let broken = |error: &dyn fmt::Display| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let text = written.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    let kind = if open { format!("{OPEN_METRICS}; version=1.0.0") } else { "text/plain; version=0.0.4".to_owned() };
    Ok(([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response())
}

fn write(registry: &Registry, views: Views, open: bool) -> Result<String, fmt::Error> {
    let mut worked_out = Registry::default();
    worked_out.register_collector(Box::new(views));
    let mut written = String::new();
    text::encode_registry(&mut written, registry)?;
    text::encode_registry(&mut written, &worked_out)?;
    text::encode_eof(&mut written)?;
    if open { Ok(written) } else { plain(&written) }
}

/// The same in the format before `OpenMetrics`: counters are described by their whole name, units and the end not at all.
fn plain(open: &str) -> Result<String, fmt::Error> {
    let mut plain = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            writeln!(plain, "{line}")?;
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(words)) => help = words,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let total = if kind == "counter" { "_total" } else { "" };
                writeln!(plain, "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}")?;
            }
            _ => {}
        }
    }
    Ok(plain)
}

/// How everything stands at one time.
#[derive(Debug)]
struct Views {
    fleet: FleetGauges,
    rollouts: Vec<Gauges>,
    /// Files that run on their last good version.
    held: usize,
    process: Process,
    /// Since the start.
    now: Duration,
}

impl Views {
    async fn of(sources: &Sources) -> Result<Self, Failure> {
        let mut rollouts: Vec<Gauges> = Vec::new();
        loop {
            let after = rollouts.last().map(|last| Arc::clone(&last.name));
            let more = ask(&sources.rollouts, |reply| Message::Gauges(after, reply)).await?;
            if more.is_empty() {
                break;
            }
            rollouts.extend(more);
        }
        let fleet = ask(&sources.fleet, fleet::Message::Gauges).await?;
        let held = sources.report.borrow().held.len();
        Ok(Self { fleet, rollouts, held, process: Process::now(sources.started), now: (sources.now)() })
    }

    fn encode_fleet(&self, page: &mut Page<'_>) -> fmt::Result {
        let FleetGauges { groups, sotw_streams, delta_streams, unanswered } = &self.fleet;
        let connected = groups.iter().flat_map(|(group, &GroupGauges { synced, stale, nack, away: _ })| {
            let states = [("SYNCED", synced), ("STALE", stale), ("NACK", nack)];
            states.map(|(state, nodes)| ([("group", &**group), ("state", state)], nodes))
        });
        page.gauge(
            "serin_connected_proxies",
            "Proxies with a stream, by the group whose resources they get and by what they have of those, as in serin \
             fleet.",
            None,
            connected,
        )?;
        page.gauge(
            "serin_away_proxies",
            "Proxies without a stream that are still known.",
            None,
            groups.iter().map(|(group, gauges)| ([("group", &**group)], gauges.away)),
        )?;
        page.gauge(
            "serin_xds_streams",
            "Open discovery streams.",
            None,
            [([("variant", "sotw")], *sotw_streams), ([("variant", "delta")], *delta_streams)],
        )?;
        let age = |since: &Option<Duration>| since.map_or(0.0, |since| self.now.saturating_sub(since).as_secs_f64());
        page.gauge(
            "serin_xds_oldest_unacknowledged",
            "For how long the slowest proxy has neither acknowledged nor rejected what it was sent; 0 if none waits.",
            Some(&Unit::Seconds),
            unanswered.iter().map(|(ty, since)| ([("type", *ty)], age(since))),
        )
    }

    fn encode_rollouts(&self, page: &mut Page<'_>) -> fmt::Result {
        let ratio = Unit::Other("ratio".to_owned());
        let all = || self.rollouts.iter().map(|rollout| (&*rollout.name, rollout));
        let phases = all().flat_map(|(name, rollout)| {
            PHASES.map(|(word, phase)| ([("rollout", name), ("phase", word)], u32::from(rollout.phase == phase)))
        });
        page.gauge("serin_rollout_phase", "1 for the phase that the rollout is in, 0 for the others.", None, phases)?;
        page.gauge(
            "serin_rollout_phase_start_timestamp",
            "When that phase began.",
            Some(&Unit::Seconds),
            all().map(|(name, rollout)| ([("rollout", name)], rollout.since.as_secs_f64())),
        )?;
        let weights = all().flat_map(|(name, rollout)| {
            let weights = rollout.weights.0.iter();
            weights
                .map(move |(version, weight)| ([("rollout", name), ("version", version)], f64::from(*weight) / WHOLE))
        });
        page.gauge("serin_rollout_weight", "The share of requests asked of the fleet, 0 to 1.", Some(&ratio), weights)?;
        let seen = all().filter_map(|(name, rollout)| {
            let seen = rollout.seen.as_ref()?;
            Some(([("rollout", name), ("version", &seen.version)], share(seen.requests, seen.of)))
        });
        page.gauge(
            "serin_rollout_seen_weight",
            "The share of requests that proxies say the version under way got, of those that it and the stable version \
             got, 0 to 1.",
            Some(&ratio),
            seen,
        )?;
        let steps = || all().filter_map(|(name, rollout)| Some(([("rollout", name)], rollout.step?)));
        page.gauge(
            "serin_rollout_step",
            "The step that a canary under way is at, from 1; 0 before the first.",
            None,
            steps().map(|(labels, (step, _))| (labels, step)),
        )?;
        page.gauge(
            "serin_rollout_steps",
            "How many steps it has.",
            None,
            steps().map(|(labels, (_, steps))| (labels, steps)),
        )?;
        let moving = || all().filter_map(|(name, rollout)| Some(([("rollout", name)], rollout.convergence?)));
        page.gauge(
            "serin_rollout_converged_proxies",
            "Proxies that have what a rollout under way asks for now.",
            None,
            moving().map(|(labels, (converged, _))| (labels, converged)),
        )?;
        page.gauge(
            "serin_rollout_proxies",
            "Proxies that should have it.",
            None,
            moving().map(|(labels, (_, proxies))| (labels, proxies)),
        )
    }
}

impl Collector for Views {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let help = "Files with a mistake that run on their last good version.";
        page.single("serin_config_held_files", help, None, &self.held)?;
        self.encode_fleet(&mut page)?;
        self.encode_rollouts(&mut page)?;
        self.process.encode(&mut page)
    }
}

/// What is written so far.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// One gauge, with its series. The unit goes behind the name.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// One gauge that has no labels.
    pub(super) fn single<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &V,
    ) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }
}

fn share(part: u64, of: u64) -> f64 {
    real(part) / real(of)
}

/// Counts and bytes are far fewer than 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
