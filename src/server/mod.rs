//! The gRPC doors: ADS (SotW and delta), the discovery services per type, load reports, metrics, client status, health,
//! reflection.
//!
//! This layer moves bytes and decides nothing: what a proxy is sent is decided by its [`crate::xds::Session`], what is
//! known of it by the one task that owns [`crate::fleet::Fleet`]. [`bind`] takes the address, [`Bound::serve`] runs
//! until its shutdown; both are driven by the app.
//!
//! Invariants: nothing is served before the first full load; each stream has exactly one owner, its task; no response
//! waits behind another one but the one on its way; requests are read whether or not the client reads.

mod admission;
mod bind;
mod bodies;
mod connection;
mod discovery;
mod environment;
mod frame;
mod health;
mod limits;
mod metrics;
mod names;
mod outlet;
mod report;
mod requests;
mod status;
mod stop;
mod stream;
mod telemetry;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use bind::{Bound, Error, bind};
pub use metrics::Metrics;

use crate::telemetry::Report;
use crate::{fleet, xds};

/// The slim discovery messages and services, generated from `proto/`.
#[expect(
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/discovery.rs"));
}

/// Monotonic time since the process started.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Everything this server serves; `None` until the first full load. Written by the app alone.
pub type World = watch::Receiver<Option<Arc<dyn xds::Assign>>>;

/// What the server is made from.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names this process to its clients, as `control_plane.identifier`.
    pub instance: String,
    /// [`xds::Settings::ack_timeout`] of every session.
    pub ack_timeout: Duration,
    /// [`xds::Settings::ordered`] of every session.
    pub ordered: bool,
    /// How old a connection grows before its client is sent elsewhere, give or take a fifth; without an end if `None`.
    pub max_connection_age: Option<Duration>,
    /// What to serve. A stream keeps what it has if this goes back to `None`.
    pub world: World,
    /// To the one task that owns the fleet. A full queue slows the streams down, it never loses an event.
    pub fleet: mpsc::Sender<fleet::Message>,
    /// To the one task that owns what was measured. A full queue slows the proxies down that report.
    pub reports: mpsc::Sender<Report>,
    /// The clusters of which anybody wants to know.
    pub counted: watch::Receiver<Arc<BTreeSet<Arc<str>>>>,
    /// How often load is to be reported.
    pub load_report_interval: Duration,
    /// Clusters that are in nothing that is served, because the proxies' bootstrap defines them.
    pub bootstrap_clusters: Arc<BTreeSet<String>>,
    /// What happens here is counted there.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
}
