//! What is known of one proxy, and the fold of its reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bases::Base;
use super::{Counts, Flush, Load, Metrics, Sample};

/// Reports of one kind that come sooner after another are added to the next.
const PACE: Duration = Duration::from_millis(90);

/// More than this nobody measures in one interval: what says so is garbage. A proxy that answers 11,000 requests in a
/// second keeps them for a day when it cannot report. One such count would outweigh all that others measure.
pub(super) const MOST: u64 = 1_000_000_000;

/// Endpoints of one cluster in one interval. Of more, these are told apart and the others only counted.
const ENDPOINTS: usize = 1024;

/// How long a report may have waited, and how much a second is rounded, before an uptime does not fit the one before.
const SLACK: Duration = Duration::from_secs(10);

/// What is known of one proxy.
#[derive(Debug)]
pub(super) struct Node {
    /// Its last report.
    pub(super) heard: Duration,
    /// Its last report of the metrics service.
    pub(super) flushed: Option<Flushed>,
    /// Whether it reports load.
    pub(super) loads: Loads,
    /// Its last load report.
    pub(super) loaded: Option<Duration>,
    /// By name; only clusters that count.
    pub(super) clusters: BTreeMap<Arc<str>, Cluster>,
    /// When what each kind of report has brought was last handed on.
    handed_flush: Option<Duration>,
    handed_load: Option<Duration>,
}

/// A report of the metrics service.
#[derive(Debug)]
pub(super) struct Flushed {
    /// `None` if an earlier process took it.
    pub(super) at: Option<Duration>,
    pub(super) uptime: Option<Duration>,
    /// What was looked for in it.
    pub(super) counted: Arc<BTreeSet<Arc<str>>>,
}

/// Whether a proxy reports load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loads {
    /// It never has.
    Never,
    /// It does.
    Running,
    /// It did, and the metrics service has not reported since: its next report reaches back to before the end.
    Ended,
    /// It did.
    Gone,
}

/// What one proxy reports of one cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    base: Counters,
    /// What was counted from the metrics service and will come again in a load report.
    credit: Counts,
    /// What is in no interval yet.
    waiting: Option<Box<Sample>>,
    /// When it was last reported.
    pub(super) at: Option<Duration>,
    pub(super) gauges: Gauges,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Counters {
    completed: Option<u64>,
    failed: Option<u64>,
    none_healthy: Option<u64>,
}

/// How a cluster stands as one proxy sees it.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) active: u32,
    pub(super) healthy: Option<u32>,
}

/// What the value of a counter that was not seen before says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// It was not there at the report before: all of it is new.
    New,
    /// Nothing: it may be old.
    Unknown,
    /// All counters are of another proxy than before: nothing, of none.
    Other,
}

impl Node {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            heard: now,
            flushed: None,
            loads: Loads::Never,
            loaded: None,
            clusters: BTreeMap::new(),
            handed_flush: None,
            handed_load: None,
        }
    }

    /// Takes a flush of the metrics service.
    pub(super) fn take_flush(
        &mut self,
        now: Duration,
        flush: Flush,
        counted: &BTreeSet<Arc<str>>,
    ) -> BTreeMap<Arc<str>, Sample> {
        let Flush { uptime, counted: looked_for, clusters } = flush;
        let before = self.flushed.take();
        let other = match before.as_ref().and_then(|before| Some((before.uptime?, uptime?, before.at))) {
            // An earlier process heard it: how long ago, nobody knows.
            Some((old, new, None)) => {
                if new < old {
                    self.restart();
                }
                false
            }
            Some((old, new, Some(at))) => {
                let passed = now.saturating_sub(at) + SLACK;
                let restarted = new < old && new <= passed;
                if restarted {
                    self.restart();
                }
                !restarted && (new < old || new > old.saturating_add(passed))
            }
            None => false,
        };
        let whole = uptime.is_some() && before.as_ref().is_some_and(|before| before.uptime.is_some());
        let from_counters = matches!(self.loads, Loads::Never | Loads::Gone);
        for (name, metrics) in clusters {
            let Some(name) = counted.get(&name) else { continue };
            let first = match &before {
                _ if other => First::Other,
                Some(before) if whole && before.counted.contains(name) => First::New,
                _ => First::Unknown,
            };
            let cluster = self.clusters.entry(Arc::clone(name)).or_default();
            cluster.take_metrics(now, metrics, first, from_counters);
        }
        if self.loads == Loads::Ended {
            self.loads = Loads::Gone;
        }
        self.flushed = Some(Flushed { at: Some(now), uptime, counted: looked_for });
        if self.handed_flush.is_some_and(|handed| now.saturating_sub(handed) < PACE) {
            return BTreeMap::new();
        }
        let handed = self.hand_on(|waiting| {
            // Without a load report to come, nothing waits for it.
            let attempts = if from_counters { waiting.attempts.take() } else { None };
            Sample { attempts, latency: waiting.latency.take(), ..Sample::default() }
        });
        if !handed.is_empty() {
            self.handed_flush = Some(now);
        }
        handed
    }

    /// Takes a load report.
    pub(super) fn take_loads(
        &mut self,
        now: Duration,
        loads: BTreeMap<Arc<str>, Load>,
        counted: &BTreeSet<Arc<str>>,
    ) -> BTreeMap<Arc<str>, Sample> {
        if self.loads == Loads::Never {
            // What was counted before it reported load is in no load report.
            self.clusters.values_mut().for_each(|seen| seen.credit = Counts::default());
        }
        self.loads = Loads::Running;
        self.loaded = Some(now);
        for (name, load) in loads {
            let Some(name) = counted.get(&name) else { continue };
            self.clusters.entry(Arc::clone(name)).or_default().take_load(now, load);
        }
        if self.handed_load.is_some_and(|handed| now.saturating_sub(handed) < PACE) {
            return BTreeMap::new();
        }
        let handed = self.hand_on(|waiting| Sample {
            attempts: waiting.attempts.take(),
            latency: None,
            endpoints: std::mem::take(&mut waiting.endpoints),
        });
        if !handed.is_empty() {
            self.handed_load = Some(now);
        }
        handed
    }

    /// Its load reports have ended: what waits for the next waits for nothing.
    pub(super) fn end_loads(&mut self) -> BTreeMap<Arc<str>, Sample> {
        if self.loads == Loads::Running {
            self.loads = Loads::Ended;
        }
        self.hand_on(std::mem::take)
    }

    /// How far a cluster is counted; `None` if nothing is known.
    pub(super) fn base(&self, name: &str) -> Option<Base> {
        let known = self.flushed.as_ref().filter(|flushed| flushed.uptime.is_some());
        let absent = known.is_some_and(|flushed| flushed.counted.contains(name)).then_some(0);
        let Some(cluster) = self.clusters.get(name) else {
            return absent.map(|zero| Base {
                completed: Some(zero),
                failed: Some(zero),
                none_healthy: Some(zero),
                ..Base::default()
            });
        };
        let Counters { completed, failed, none_healthy } = cluster.base;
        Some(Base {
            completed: completed.or(absent),
            failed: failed.or(absent),
            none_healthy: none_healthy.or(absent),
            held: cluster.waiting.as_ref().and_then(|waiting| waiting.attempts).unwrap_or_default(),
            credit: cluster.credit,
        })
    }

    /// The proxy has started again: its counters with it, and what it had not reported is lost.
    fn restart(&mut self) {
        for cluster in self.clusters.values_mut() {
            cluster.base = Counters { completed: Some(0), failed: Some(0), none_healthy: Some(0) };
            cluster.credit = Counts::default();
        }
    }

    /// What `part` takes of all that waits, by cluster.
    fn hand_on(&mut self, part: impl Fn(&mut Sample) -> Sample) -> BTreeMap<Arc<str>, Sample> {
        let mut handed = BTreeMap::new();
        for (name, cluster) in &mut self.clusters {
            let Some(waiting) = &mut cluster.waiting else { continue };
            let sample = part(waiting);
            if waiting.is_empty() {
                cluster.waiting = None;
            }
            if !sample.is_empty() {
                handed.insert(Arc::clone(name), sample);
            }
        }
        handed
    }
}

impl Cluster {
    /// Takes what the metrics service says; `from_counters` says whether its counters are where attempts come from.
    fn take_metrics(&mut self, now: Duration, metrics: Metrics, first: First, from_counters: bool) {
        let Metrics { completed, failed, none_healthy, active, healthy, latency } = metrics;
        let requests = advance(&mut self.base.completed, completed, first);
        // Counters are not read at one time: an error whose request is not counted yet counts with it.
        let failures = advance(&mut self.base.failed, failed, first);
        let errors = failures.min(requests);
        if from_counters && errors < failures {
            self.base.failed = self.base.failed.map(|failed| failed.saturating_sub(failures - errors));
        }
        let unserved = advance(&mut self.base.none_healthy, none_healthy, first);
        if from_counters {
            self.wait(Counts { requests, errors });
            // Load reports do not have these.
            self.credit
                .add(Counts { requests: requests.saturating_sub(unserved), errors: errors.saturating_sub(unserved) });
        } else {
            self.wait(Counts { requests: unserved, errors: unserved });
        }
        if let Some(latency) = latency.and_then(super::Histogram::cleaned) {
            match &mut self.waiting().latency {
                Some(sum) => sum.add(&latency),
                none => *none = Some(latency),
            }
        }
        // A cluster that never had an endpoint has no count of them, only requests that found none.
        let still_none = self.gauges.healthy == Some(0) && requests == unserved;
        let healthy = believed(healthy).or((unserved > 0 || still_none).then_some(0));
        self.gauges = Gauges { active: small(believed(active).unwrap_or(0)), healthy: healthy.map(small) };
        self.at = Some(now);
    }

    /// Takes what a load report says.
    fn take_load(&mut self, now: Duration, load: Load) {
        let Load { attempts, dropped, in_progress, endpoints } = load;
        let requests = attempts.requests.saturating_add(dropped);
        if requests > MOST {
            return;
        }
        let credit = std::mem::take(&mut self.credit);
        let errors = attempts.errors.saturating_add(dropped).min(requests);
        let requests = requests.saturating_sub(credit.requests);
        self.wait(Counts { requests, errors: errors.saturating_sub(credit.errors).min(requests) });
        // Of what was counted before it is not known which endpoints it was.
        if credit == Counts::default() {
            for (endpoint, counts) in endpoints.into_iter().filter(|(_, counts)| counts.requests > 0) {
                let known = &mut self.waiting().endpoints;
                if known.len() < ENDPOINTS || known.contains_key(&endpoint) {
                    known.entry(endpoint).or_default().add(counts);
                }
            }
        }
        self.gauges.active = small(believed(Some(in_progress)).unwrap_or(0));
        self.at = Some(now);
    }

    /// Takes what an earlier process knew; of two accounts that which has counted further.
    pub(super) fn restore(&mut self, base: Base) {
        let Base { completed, failed, none_healthy, held, credit } = base;
        let known = Counters { completed, failed, none_healthy };
        if self.at.is_none() && known >= self.base {
            *self = Self { base: known, credit, ..Self::default() };
            self.wait(held);
        }
    }

    fn wait(&mut self, counts: Counts) {
        if counts.requests > 0 {
            self.waiting().attempts.get_or_insert_default().add(counts);
        }
    }

    fn waiting(&mut self) -> &mut Sample {
        self.waiting.get_or_insert_default()
    }
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
    }

    /// Without those that are a `part` of them.
    #[must_use]
    pub fn less(self, part: Self) -> Self {
        Self { requests: self.requests.saturating_sub(part.requests), errors: self.errors.saturating_sub(part.errors) }
    }
}

impl Sample {
    fn is_empty(&self) -> bool {
        self.attempts.is_none() && self.latency.is_none() && self.endpoints.is_empty()
    }
}

/// How far a counter has gone since `base`, which follows it.
fn advance(base: &mut Option<u64>, value: Option<u64>, first: First) -> u64 {
    let Some(value) = value else { return 0 };
    let before = match (base.replace(value), first) {
        (_, First::Other) | (None, First::Unknown) => value,
        (None, First::New) => 0,
        (Some(before), _) => before,
    };
    believed(Some(value.checked_sub(before).unwrap_or(value))).unwrap_or(0)
}

/// A value that somebody may have measured.
fn believed(value: Option<u64>) -> Option<u64> {
    value.filter(|value| *value <= MOST)
}

fn small(gauge: u64) -> u32 {
    u32::try_from(gauge).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    #[test]
    fn what_nobody_can_have_measured_counts_nothing() {
        let name: Arc<str> = "shop/green".into();
        let counted = BTreeSet::from([Arc::clone(&name)]);
        let second = |n| Duration::from_secs(n);
        for huge in [MOST + 1, u64::MAX] {
            let mut node = Node::new(second(0));
            let all = Counts { requests: huge, errors: huge };
            let load = |attempts, dropped, in_progress| Load { attempts, dropped, in_progress, ..Load::default() };
            for load in [load(all, 0, huge), load(Counts::default(), huge, huge), load(Counts::default(), 0, huge)] {
                let samples = node.take_loads(second(1), BTreeMap::from([(Arc::clone(&name), load)]), &counted);
                assert_eq!(samples, BTreeMap::new());
                assert_eq!(node.clusters[&name].gauges.active, 0);
            }
            let metrics = |value| Metrics {
                completed: Some(value),
                failed: Some(value),
                none_healthy: Some(value),
                active: Some(value),
                healthy: Some(value),
                latency: Some(Histogram { count: value, buckets: vec![(1.0, value)] }),
            };
            for (at, value) in [(2, 0), (3, huge), (4, 0), (5, huge)] {
                let clusters = BTreeMap::from([(Arc::clone(&name), metrics(value))]);
                let flush = Flush { uptime: Some(second(at)), counted: Arc::new(counted.clone()), clusters };
                assert_eq!(node.take_flush(second(at), flush, &counted), BTreeMap::new(), "{value}");
            }
            let Gauges { active, healthy } = &node.clusters[&name].gauges;
            // What it said of endpoints that could be is still the last.
            assert_eq!((*active, *healthy), (0, Some(0)));
        }
    }
}
