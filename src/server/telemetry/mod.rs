//! The doors for what proxies measure: load reports and the metrics service. Each stream is a task of its own, apart
//! from the discovery streams: to the fleet it is nobody.

mod load;
mod metrics;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tracing::{info, warn};

use super::environment::Environment;
use super::limits;
use super::proto::envoy::service::discovery::v3::Node;
use super::stop::{Stop, shutting_down};
use crate::telemetry::{Body, Report};

/// Full names of both services.
pub(super) const NAMES: [&str; 2] = [load::NAME, metrics::NAME];

/// Adds both services to the routes.
pub(super) fn register(environment: &Arc<Environment>, routes: &mut tonic::service::RoutesBuilder) {
    load::LoadStats(Arc::clone(environment)).register(routes);
    metrics::Metrics(Arc::clone(environment)).register(routes);
}

/// The node that the first message of a stream has to bring. Later ones may leave it out: gRPC clients do.
fn node(encoded: Option<&Bytes>) -> Result<Node, Status> {
    let refused = |why: &str| Status::invalid_argument(format!("the first message of a stream needs a node{why}"));
    let encoded = encoded.filter(|encoded| !encoded.is_empty()).ok_or_else(|| refused(""))?;
    let node = Node::decode(encoded.clone()).map_err(|error| refused(&format!(" that can be read: {error}")))?;
    limits::check_node(&node)?;
    if node.id.is_empty() { Err(refused(" with an id")) } else { Ok(node) }
}

/// Passes a report on. Where there is no room the stream waits, and with it the proxy.
async fn tell(reports: &mpsc::Sender<Report>, stop: &mut Stop, node: &Arc<str>, body: Body) -> Result<(), Status> {
    let report = Report { node: Arc::clone(node), body };
    tokio::select! {
        sent = reports.send(report) => sent.map_err(|_| shutting_down()),
        () = stop.wait() => Err(shutting_down()),
    }
}

/// Says in the log why a stream ended that this server has ended.
fn log_refusal(peer: &str, node: Option<&str>, what: &str, status: &Status) {
    let reason = status.message();
    match status.code() {
        Code::OutOfRange => warn!(peer, node, reason, "a message of {what} is too large; `serin bootstrap` has less"),
        Code::InvalidArgument => info!(peer, node, reason, "stream of {what} refused"),
        _ => {}
    }
}
