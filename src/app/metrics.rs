//! What loading and steering count and time. The rest of `/metrics` is counted by [`crate::server::Metrics`], or worked
//! out by [`crate::admin`] when it is asked for.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::Report;

/// In seconds: from an input that concerns nobody to ten thousand rollouts that are translated anew.
const WORK_BUCKETS: [f64; 12] = [0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// In seconds: from one file to a directory of ten thousand, or a disk that is slow.
const DISK_BUCKETS: [f64; 12] = [0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];

/// The counters of the tasks that load and steer; its clones count together.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    succeeded: Counter,
    failed: Counter,
    reload: Histogram,
    last_successful: Gauge,
    /// Has its one series from the first success on: before that there is no such time.
    last_success: Family<[(&'static str, &'static str); 0], Gauge<f64, AtomicU64>>,
    /// What [`crate::reconcile::Reconciler::handle`] takes.
    pub(super) engine: Histogram,
    /// What [`crate::reconcile::Reconciler::publish`] takes, where there is something new to serve.
    pub(super) translate: Histogram,
    write: Histogram,
    write_failures: Counter,
}

impl Metrics {
    /// Starts at zero, to be read from `registry`.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let reloads = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let metrics = Self {
            succeeded: reloads.get_or_create_owned(&[("result", "success")]),
            failed: reloads.get_or_create_owned(&[("result", "failure")]),
            reload: Histogram::new(DISK_BUCKETS),
            last_successful: Gauge::default(),
            last_success: Family::default(),
            engine: Histogram::new(WORK_BUCKETS),
            translate: Histogram::new(WORK_BUCKETS),
            write: Histogram::new(DISK_BUCKETS),
            write_failures: Counter::default(),
        };
        let build = Gauge::<i64>::default();
        build.set(1);
        registry.sub_registry_with_label(("version".into(), env!("CARGO_PKG_VERSION").into())).register(
            "serin_build_info",
            "The version that runs: always 1",
            build,
        );
        registry.register("serin_config_reloads", "Changes of the files that were read", reloads);
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "serin_config_last_reload_successful",
            "Whether all files were without a mistake when they were last read",
            self.last_successful.clone(),
        );
        registry.register_with_unit(
            "serin_config_last_reload_success_timestamp",
            "When all files were last read without a mistake",
            Unit::Seconds,
            self.last_success.clone(),
        );
        for (name, help, histogram) in [
            ("serin_config_reload_duration", "From files that were read until they are in force", &self.reload),
            ("serin_engine_duration", "What one event takes the engine of all rollouts", &self.engine),
            ("serin_translate_duration", "Making what is served anew, of what has changed", &self.translate),
            ("serin_state_write_duration", "Writing journal and records to --state", &self.write),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "serin_state_write_failures",
            "Attempts to write journal and records that failed: no rollout goes forward until one succeeds",
            self.write_failures.clone(),
        );
    }

    /// The files were read and taken in: at `at`, since the Unix epoch, after so long.
    pub(super) fn reloaded(&self, report: &Report, at: Duration, took: Duration) {
        self.reload.observe(took.as_secs_f64());
        let successful = report.is_in_order();
        self.last_successful.set(i64::from(successful));
        if successful {
            self.succeeded.inc();
            self.last_success.get_or_create_owned(&[]).set(at.as_secs_f64());
        } else {
            self.failed.inc();
        }
    }

    /// Journal and records were written or not.
    pub(super) fn wrote(&self, written: bool, took: Duration) {
        self.write.observe(took.as_secs_f64());
        if !written {
            self.write_failures.inc();
        }
    }
}
