//! Reports as proxies send them, and as nobody should.

use proptest::prelude::*;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn set(names: &[&str]) -> Arc<BTreeSet<Arc<str>>> {
    Arc::new(names.iter().map(|name| Arc::from(*name)).collect())
}

fn meter(names: &[&str]) -> Meter {
    let mut meter = Meter::default();
    meter.count(set(names));
    meter
}

fn counts(requests: u64, errors: u64) -> Counts {
    Counts { requests, errors }
}

/// Counters of one cluster: completed, failed, none healthy.
fn counters(completed: u64, failed: u64, none_healthy: u64) -> Metrics {
    // What has not happened yet is not sent.
    let some = |value: u64| (value > 0).then_some(value);
    Metrics { completed: some(completed), failed: some(failed), none_healthy: some(none_healthy), ..Metrics::default() }
}

fn flush(node: &str, uptime: u64, looked_for: &[&str], clusters: &[(&str, Metrics)]) -> Report {
    let clusters = clusters.iter().map(|(name, metrics)| (Arc::from(*name), metrics.clone())).collect();
    let body = Body::Metrics(Flush { uptime: Some(seconds(uptime)), counted: set(looked_for), clusters });
    Report { node: node.into(), body }
}

fn load(node: &str, clusters: &[(&str, Counts)]) -> Report {
    let load = |(name, attempts): &(&str, Counts)| (Arc::from(*name), Load { attempts: *attempts, ..Load::default() });
    Report { node: node.into(), body: Body::Load(clusters.iter().map(load).collect()) }
}

fn ended(node: &str) -> Report {
    Report { node: node.into(), body: Body::LoadEnded }
}

fn attempts(interval: Option<Interval>, cluster: &str) -> Option<Counts> {
    interval?.clusters.get(cluster)?.attempts
}

#[test]
fn without_load_reports_counters_count() {
    let mut meter = meter(&["a", "b"]);
    let mut take =
        |at: u64, clusters: &[(&str, Metrics)]| meter.take(seconds(at), flush("n", at, &["a", "b"], clusters));
    assert_eq!(take(100, &[("a", counters(50, 5, 0))]), None, "nobody knows when those were");
    let both = take(105, &[("a", counters(60, 7, 0)), ("b", counters(3, 1, 0)), ("c", counters(9, 9, 0))]);
    assert_eq!(both.as_ref().map(|both| both.clusters.len()), Some(2), "{both:?}");
    assert_eq!(attempts(both.clone(), "a"), Some(counts(10, 2)));
    assert_eq!(attempts(both, "b"), Some(counts(3, 1)), "it was not there before");
    assert_eq!(take(110, &[("a", counters(60, 7, 0))]), None, "nothing happened");
    assert_eq!(attempts(take(115, &[("a", counters(4, 1, 0))]), "a"), Some(counts(4, 1)), "the cluster began again");
}

#[test]
fn a_cluster_that_is_looked_for_only_now_is_not_new() {
    let mut meter = meter(&["a"]);
    meter.take(seconds(1), flush("n", 1, &["a"], &[]));
    meter.count(set(&["a", "b"]));
    // The doors hear of it a little later.
    assert!(meter.take(seconds(2), flush("n", 2, &["a"], &[("a", counters(5, 0, 0))])).is_some());
    assert_eq!(meter.take(seconds(3), flush("n", 3, &["a", "b"], &[("b", counters(1000, 1000, 0))])), None);
    let next = meter.take(seconds(4), flush("n", 4, &["a", "b"], &[("b", counters(1001, 1000, 0))]));
    assert_eq!(attempts(next, "b"), Some(counts(1, 0)));
    // What was thrown away is not known to have been absent.
    meter.count(set(&["a"]));
    meter.count(set(&["a", "b"]));
    assert_eq!(meter.take(seconds(5), flush("n", 5, &["a", "b"], &[("b", counters(1005, 1000, 0))])), None);
}

#[test]
fn parts_of_a_flush_prove_nothing_absent() {
    let mut meter = meter(&["a"]);
    let part = |clusters: &[(&str, Metrics)]| {
        let Report { node, body: Body::Metrics(flush) } = flush("n", 0, &["a"], clusters) else { panic!("a flush") };
        Report { node, body: Body::Metrics(Flush { uptime: None, ..flush }) }
    };
    assert_eq!(meter.take(seconds(1), flush("n", 1, &["a"], &[])), None);
    assert_eq!(meter.take(seconds(1), part(&[("a", counters(1000, 0, 0))])), None);
}

#[test]
fn a_restart_begins_at_zero_and_a_namesake_nowhere() {
    let mut meter = meter(&["a"]);
    let mut take = |at: u64, uptime: u64, completed: u64| {
        attempts(meter.take(seconds(at), flush("n", uptime, &["a"], &[("a", counters(completed, 0, 0))])), "a")
    };
    assert_eq!(take(1000, 1000, 10), None);
    assert_eq!(take(1005, 3, 15), Some(counts(15, 0)), "more than before, and all of it new");
    assert_eq!(take(1100, 98, 25), Some(counts(10, 0)));
    // Two of one name, by turns.
    assert_eq!(take(1101, 9000, 500), None);
    assert_eq!(take(1105, 103, 20), None);
    assert_eq!(take(1106, 9005, 600), None);
    assert_eq!(take(1111, 9010, 601), Some(counts(1, 0)));
}

#[test]
fn a_load_report_and_requests_without_endpoint_are_one_interval() {
    let mut meter = meter(&["a", "b"]);
    assert_eq!(meter.take(seconds(1), load("n", &[])), None);
    assert_eq!(meter.take(seconds(1), flush("n", 1, &["a", "b"], &[])), None);
    let latency = Histogram { count: 8, buckets: vec![(1.0, 8)] };
    let metrics = Metrics { latency: Some(latency.clone()), ..counters(10, 4, 2) };
    let interval =
        meter.take(seconds(2), flush("n", 2, &["a", "b"], &[("a", metrics), ("b", counters(3, 3, 3))])).unwrap();
    assert_eq!(interval.clusters.keys().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(interval.clusters["a"], Sample { latency: Some(latency), ..Sample::default() });
    let endpoints: BTreeMap<Arc<str>, Counts> = [("10.0.0.1:80".into(), counts(9, 3))].into();
    let of_a = Load { attempts: counts(9, 3), dropped: 1, in_progress: 5, endpoints: endpoints.clone() };
    let report = Report { node: "n".into(), body: Body::Load([("a".into(), of_a)].into()) };
    let interval = meter.take(seconds(3), report).unwrap();
    assert_eq!(interval.clusters["a"], Sample { attempts: Some(counts(12, 6)), latency: None, endpoints });
    assert_eq!(interval.clusters["b"].attempts, Some(counts(3, 3)), "though the load report says nothing of it");
    assert_eq!(meter.live(seconds(3), "a").in_flight, 5);
}

#[test]
fn while_load_reports_stay_away_nothing_counts_twice() {
    let mut meter = meter(&["a"]);
    meter.take(seconds(0), load("n", &[]));
    meter.take(seconds(0), flush("n", 1, &["a"], &[]));
    let mut take = |at: u64, report: Report| attempts(meter.take(seconds(at), report), "a");
    let mut total = Counts::default();
    for (at, report) in [
        (5, load("n", &[("a", counts(10, 1))])),
        (6, flush("n", 6, &["a"], &[("a", counters(12, 1, 0))])),
        (7, ended("n")),
        // Reaches back to before the end.
        (11, flush("n", 11, &["a"], &[("a", counters(20, 2, 0))])),
        (16, flush("n", 16, &["a"], &[("a", counters(30, 4, 1))])),
        // The proxy has kept what it could not report: 35 since the first report, without the one that found nobody.
        (18, load("n", &[])),
        (20, load("n", &[("a", counts(25, 3))])),
        (21, flush("n", 21, &["a"], &[("a", counters(36, 5, 1))])),
        (25, load("n", &[("a", counts(0, 0))])),
    ] {
        total.add(take(at, report).unwrap_or_default());
    }
    assert_eq!(total, counts(36, 5));
}

#[test]
fn a_flood_is_added_up() {
    let mut meter = meter(&["a"]);
    let mut intervals = Vec::new();
    for millisecond in 0..1000 {
        let report = load("n", &[("a", counts(2, 1))]);
        intervals.extend(meter.take(Duration::from_millis(millisecond), report));
    }
    assert!(intervals.len() <= 12, "{}", intervals.len());
    intervals.extend(meter.take(seconds(2), load("n", &[])));
    let mut total = Counts::default();
    for interval in intervals {
        total.add(interval.clusters["a"].attempts.unwrap());
    }
    assert_eq!(total, counts(2000, 1000));
}

#[test]
fn how_it_stands_is_what_most_see() {
    let mut meter = meter(&["a"]);
    for (node, healthy) in [("n1", Some(4)), ("n2", Some(0)), ("n3", Some(5)), ("n4", Some(7)), ("n5", None)] {
        let metrics = Metrics { active: Some(3), healthy, ..Metrics::default() };
        meter.take(seconds(10), flush(node, 10, &["a"], &[("a", metrics)]));
    }
    let live = Live { nodes: 5, in_flight: 15, healthy: Some(4), without: 1, some_without: vec!["n2".into()] };
    assert_eq!(meter.live(seconds(45), "a"), live);
    assert_eq!(meter.live(seconds(46), "a"), Live::default(), "that is no news any more");
    assert_eq!(meter.live(seconds(45), "b"), Live::default());
    assert!(meter.is_reported(seconds(45)));
    assert!(!meter.is_reported(seconds(46)));
}

#[test]
fn a_cluster_that_never_had_an_endpoint_has_none() {
    let mut meter = meter(&["a"]);
    meter.take(seconds(1), flush("n", 1, &["a"], &[]));
    meter.take(seconds(2), flush("n", 2, &["a"], &[("a", counters(2, 2, 2))]));
    assert_eq!(meter.live(seconds(2), "a").healthy, Some(0));
    meter.take(seconds(3), flush("n", 3, &["a"], &[("a", counters(2, 2, 2))]));
    assert_eq!(meter.live(seconds(3), "a").healthy, Some(0), "nor has it one while nothing happens");
    meter.take(seconds(4), flush("n", 4, &["a"], &[("a", counters(3, 2, 2))]));
    assert_eq!(meter.live(seconds(4), "a").healthy, None);
}

#[test]
fn the_silent_make_room_and_those_that_are_heard_do_not() {
    let mut meter = meter(&["a"]);
    for node in 0..10_000 {
        meter.take(seconds(1), flush(&format!("n{node}"), 1, &["a"], &[("a", counters(1, 0, 0))]));
    }
    meter.take(seconds(2), flush("late", 1, &["a"], &[]));
    assert!(!meter.nodes.contains_key("late"));
    meter.take(seconds(60), flush("late", 1, &["a"], &[]));
    assert!(meter.nodes.contains_key("late"));
    assert_eq!(meter.bases(&set(&["a"])).0.len(), 10_000);
    meter.take(seconds(3700), flush("late", 3600, &["a"], &[]));
    assert_eq!(meter.bases(&set(&["a"])).0.len(), 1, "what was silent for an hour is forgotten");
}

/// What happens to one proxy, its stream and the control plane.
#[derive(Debug, Clone)]
enum Event {
    /// Requests to a cluster that are answered: so many, of which so many fail.
    Answered(usize, u64, u64),
    /// Requests that find no endpoint.
    Unserved(usize, u64),
    Flush,
    /// The same flush again.
    Again,
    Load,
    LoadEnds,
    /// The control plane starts again, from what it wrote down.
    Restarts,
}

fn event(loads: bool) -> impl Strategy<Value = Event> {
    let failing =
        (0..2_usize, 0..50_u64, 0..50_u64).prop_map(|(cluster, n, m)| Event::Answered(cluster, n.max(m), n.min(m)));
    let load = Just(if loads { Event::Load } else { Event::Flush });
    let end = Just(if loads { Event::LoadEnds } else { Event::Flush });
    prop_oneof![
        4 => failing,
        1 => (0..2_usize, 0..9_u64).prop_map(|(cluster, n)| Event::Unserved(cluster, n)),
        3 => Just(Event::Flush),
        1 => Just(Event::Again),
        2 => load,
        1 => end,
        1 => Just(Event::Restarts),
    ]
}

const NAMES: [&str; 2] = ["a", "b"];

/// A proxy and the meter it reports to.
struct Play {
    meter: Meter,
    at: u64,
    /// Since the proxy started: completed, failed, none healthy.
    counters: [(u64, u64, u64); 2],
    /// Not reported as load yet.
    unreported: [Counts; 2],
    happened: [Counts; 2],
    measured: [Counts; 2],
}

impl Play {
    fn take(&mut self, report: Report) {
        self.at += 1;
        let Some(interval) = self.meter.take(seconds(self.at), report) else { return };
        for (index, name) in NAMES.iter().enumerate() {
            let attempts = interval.clusters.get(*name).and_then(|sample| sample.attempts);
            self.measured[index].add(attempts.unwrap_or_default());
        }
    }

    fn flush(&mut self) {
        let [a, b] = self.counters.map(|(completed, failed, unserved)| counters(completed, failed, unserved));
        let report = flush("n", self.at, &NAMES, &[("a", a), ("b", b)]);
        self.take(report);
    }

    fn load(&mut self) {
        let [a, b] = std::mem::take(&mut self.unreported);
        self.take(load("n", &[("a", a), ("b", b)]));
    }

    fn happen(&mut self, event: &Event) {
        match event {
            &Event::Answered(cluster, requests, errors) => {
                self.counters[cluster].0 += requests;
                self.counters[cluster].1 += errors;
                self.unreported[cluster].add(counts(requests, errors));
                self.happened[cluster].add(counts(requests, errors));
            }
            &Event::Unserved(cluster, requests) => {
                let (completed, failed, unserved) = &mut self.counters[cluster];
                (*completed, *failed, *unserved) = (*completed + requests, *failed + requests, *unserved + requests);
                self.happened[cluster].add(counts(requests, requests));
            }
            Event::Flush => self.flush(),
            Event::Again => {
                self.flush();
                self.flush();
            }
            Event::Load => self.load(),
            Event::LoadEnds => self.take(ended("n")),
            Event::Restarts => {
                let kept = serde_json::to_string(&self.meter.bases(&set(&NAMES))).unwrap();
                self.meter = meter(&NAMES);
                self.meter.restore(seconds(self.at), serde_json::from_str(&kept).unwrap());
            }
        }
    }
}

fn play(loads: bool, events: &[Event]) -> Play {
    let zero = [Counts::default(); 2];
    let mut play = Play {
        meter: meter(&NAMES),
        at: 1,
        counters: [(0, 0, 0); 2],
        unreported: zero,
        happened: zero,
        measured: zero,
    };
    if loads {
        play.load();
    }
    play.flush();
    for event in events {
        play.happen(event);
    }
    play.flush();
    if loads {
        play.load();
    }
    play
}

fn arbitrary_counts() -> impl Strategy<Value = Counts> {
    (any::<u64>(), any::<u64>()).prop_map(|(requests, errors)| Counts { requests, errors })
}

fn arbitrary_report() -> impl Strategy<Value = (u64, Report)> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Arc::<str>::from);
    let value = || proptest::option::of(prop_oneof![any::<u64>(), 0..10_u64]);
    let histogram = (any::<u64>(), proptest::collection::vec((any::<f64>(), any::<u64>()), 0..300))
        .prop_map(|(count, buckets)| Histogram { count, buckets });
    let metrics = (value(), value(), value(), value(), value(), proptest::option::of(histogram)).prop_map(
        |(completed, failed, none_healthy, active, healthy, latency)| Metrics {
            completed,
            failed,
            none_healthy,
            active,
            healthy,
            latency,
        },
    );
    let load = (
        arbitrary_counts(),
        any::<u64>(),
        any::<u64>(),
        proptest::collection::btree_map(name(), arbitrary_counts(), 0..3),
    )
        .prop_map(|(attempts, dropped, in_progress, endpoints)| Load { attempts, dropped, in_progress, endpoints });
    let flush = (proptest::option::of(0..100_u64), proptest::collection::btree_map(name(), metrics, 0..3)).prop_map(
        |(uptime, clusters)| Body::Metrics(Flush { uptime: uptime.map(seconds), counted: set(&NAMES), clusters }),
    );
    let body = prop_oneof![
        flush,
        proptest::collection::btree_map(name(), load, 0..3).prop_map(Body::Load),
        Just(Body::LoadEnded),
    ];
    (any::<u64>(), name(), body).prop_map(|(at, node, body)| (at, Report { node, body }))
}

proptest! {
    #[test]
    fn attempts_are_counted_once(events in proptest::collection::vec(event(true), 0..60)) {
        let play = play(true, &events);
        prop_assert_eq!(play.measured, play.happened);
    }

    #[test]
    fn counters_are_counted_once(events in proptest::collection::vec(event(false), 0..60)) {
        let play = play(false, &events);
        prop_assert_eq!(play.measured, play.happened);
    }

    #[test]
    fn nothing_that_is_reported_breaks_it(reports in proptest::collection::vec(arbitrary_report(), 0..20)) {
        let mut meter = meter(&NAMES);
        for (at, report) in reports {
            let now = Duration::from_millis(at);
            for (name, sample) in meter.take(now, report).map(|interval| interval.clusters).unwrap_or_default() {
                prop_assert!(NAMES.contains(&&*name));
                prop_assert!(sample.attempts.is_none_or(|attempts| attempts.errors <= attempts.requests));
                if let Some(Histogram { count, buckets }) = sample.latency {
                    prop_assert!(buckets.is_sorted() && buckets.last().is_none_or(|(_, last)| *last <= count));
                }
                prop_assert!(meter.live(now, &name).nodes <= 3);
            }
            let kept = meter.bases(&set(&NAMES));
            meter.restore(now, kept);
        }
    }
}
