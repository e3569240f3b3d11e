//! What the streams count, each at the cost of an atomic or two; an acknowledgement takes a lock that nobody holds for
//! long. All types are there from the start, at zero: an increase from nothing is one that nobody sees.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::xds::{Event, ResourceType};

/// In seconds: from a proxy on the same machine to one that is given up.
const ACK_BUCKETS: [f64; 15] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0];

type Labels = [(&'static str, &'static str); 1];

/// The counters of this server; its clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    types: Arc<[OfType; ResourceType::COUNT]>,
    /// Messages of proxies to the load reporting service.
    pub(super) load_reports: Counter,
    /// Messages of proxies to the metrics service.
    pub(super) flushes: Counter,
}

#[derive(Debug)]
struct OfType {
    pushes: Counter,
    bytes: Counter,
    acked: Histogram,
    rejections: Counter,
}

impl Metrics {
    /// Starts at zero, to be read from `registry`.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let (pushes, bytes, rejections) = (counters(), counters(), counters());
        let acked =
            Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(ACK_BUCKETS));
        let reports = counters();
        registry.register("serin_xds_pushes", "Discovery responses handed to the transport", pushes.clone());
        registry.register_with_unit("serin_xds_pushed", "Size of those responses", Unit::Bytes, bytes.clone());
        registry.register_with_unit(
            "serin_xds_ack_duration",
            "From when a discovery response was handed to the transport until the proxy acknowledged it",
            Unit::Seconds,
            acked.clone(),
        );
        registry.register(
            "serin_xds_rejections",
            "Discovery responses that proxies rejected (NACK)",
            rejections.clone(),
        );
        registry.register(
            "serin_telemetry_reports",
            "Messages in which proxies told what they measured",
            reports.clone(),
        );
        let of_type = |ty: ResourceType| {
            let labels = [("type", ty.short_name())];
            OfType {
                pushes: pushes.get_or_create_owned(&labels),
                bytes: bytes.get_or_create_owned(&labels),
                acked: acked.get_or_create_owned(&labels),
                rejections: rejections.get_or_create_owned(&labels),
            }
        };
        Self {
            types: Arc::new(ResourceType::ALL.map(of_type)),
            load_reports: reports.get_or_create_owned(&[("service", "load")]),
            flushes: reports.get_or_create_owned(&[("service", "metrics")]),
        }
    }

    /// A response of so many bytes goes to the transport.
    pub(super) fn pushed(&self, ty: ResourceType, bytes: usize) {
        let of_type = &self.types[ty.index()];
        of_type.pushes.inc();
        of_type.bytes.inc_by(bytes as u64);
    }

    /// Something happened in a session.
    pub(super) fn happened(&self, event: &Event) {
        match event {
            Event::Acked { ty, took, .. } => self.types[ty.index()].acked.observe(took.as_secs_f64()),
            Event::Nacked { rejection, .. } => drop(self.types[rejection.ty.index()].rejections.inc()),
            _ => {}
        }
    }
}

impl Default for Metrics {
    /// Counts for nobody.
    fn default() -> Self {
        Self::new(&mut Registry::default())
    }
}

fn counters() -> Family<Labels, Counter> {
    Family::default()
}
