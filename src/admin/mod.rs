//! The HTTP door: health, and what this server knows, as JSON and as metrics.
//!
//! It shows and passes on; it decides nothing. What it shows is handed in as [`Sources`]: a question to the fleet,
//! values to look at, a bell to ring. It speaks plain HTTP on loopback, and [`guard`] keeps web pages out.

mod api;
mod guard;
mod metrics;
mod process;
mod rollouts;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::{fleet, reconcile};

pub use api::{
    FleetReport, Mistake, NodeQuery, NodeReport, Report, ResourceReport, SnapshotReport, TypeReport, TypeSnapshot,
};
pub use rollouts::{
    ConvergenceReport, EntryReport, FiguresReport, HistoryReport, Order, RolloutList, RolloutReport, SeenReport,
    StandingReport, StepReport, UserReport, WeightReport,
};

/// Answers what such a node would get; `None` before the first full load.
pub type SnapshotOf = Arc<dyn Fn(NodeQuery) -> Option<SnapshotReport> + Send + Sync>;

/// What the pages are made of. Written by `app`, only read here.
#[derive(Clone)]
pub struct Sources {
    /// Where the owner of the fleet takes questions.
    pub fleet: mpsc::Sender<fleet::Message>,
    /// Where the owner of the rollouts takes questions and commands.
    pub rollouts: mpsc::Sender<reconcile::Message>,
    /// Whether anything is served.
    pub serving: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What a node would get.
    pub snapshot: SnapshotOf,
    /// How the files stand.
    pub report: watch::Receiver<Arc<Report>>,
    /// Rung to have all files read again.
    pub reload: Arc<Notify>,
    /// What others count and time, for `/metrics`.
    pub registry: Arc<Registry>,
    /// Monotonic time since `started`.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Wall-clock time when the process started, to which durations are added.
    pub started: SystemTime,
}

impl Sources {
    /// The instant `since` after the start, as RFC 3339 in UTC with milliseconds.
    fn wall(&self, since: Duration) -> String {
        // Also the last instant that can be written is an answer; nobody's clock stands there.
        let at = self.started.checked_add(since).unwrap_or(self.started);
        humantime::format_rfc3339_millis(at).to_string()
    }

    /// What a calendar says now.
    fn calendar(&self) -> String {
        self.wall((self.now)())
    }
}

/// Serves until `shutdown` resolves and the requests under way are answered.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    sources: Sources,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    axum::serve(listener, router(sources, loopback)).with_graceful_shutdown(shutdown).await
}

fn router(sources: Sources, loopback: bool) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::page))
        .route("/reload", post(reload))
        .route("/api/v1/fleet", get(fleet_view))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/api/v1/diagnostics", get(diagnostics))
        .merge(rollouts::routes())
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "no such page"))
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this page does not take that method")
        })
        .layer(middleware::from_fn_with_state(guard::Guard { loopback }, guard::check))
        .with_state(sources)
}

async fn ready(State(sources): State<Sources>) -> Result<&'static str, Failure> {
    if (sources.serving)() {
        return Ok("ready\n");
    }
    let waiting = sources.report.borrow().waiting.clone();
    Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, waiting.unwrap_or_else(|| "almost ready".to_owned())))
}

async fn reload(State(sources): State<Sources>) -> impl IntoResponse {
    sources.reload.notify_one();
    (StatusCode::ACCEPTED, Json(json!({"reload": "all files are being read again"})))
}

async fn fleet_view(State(sources): State<Sources>) -> Result<Json<FleetReport>, Failure> {
    let view = ask(&sources.fleet, fleet::Message::View).await?;
    Ok(Json(FleetReport::new(sources.calendar(), view, |since| sources.wall(since))))
}

/// The answer of a task that owns what is asked for.
async fn ask<M, T: Send + 'static>(
    task: &mpsc::Sender<M>,
    question: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> M,
) -> Result<T, Failure> {
    let (reply, answer) = oneshot::channel();
    let gone = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down");
    let question = question(Box::new(move |value| drop(reply.send(value))));
    task.send(question).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())
}

async fn snapshot(
    State(sources): State<Sources>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<SnapshotReport>, Failure> {
    let node = query.ok().and_then(|Query(pairs)| NodeQuery::new(pairs)).ok_or_else(|| {
        let expected = "expected ?node=ID, and what else is known of the node: cluster, region, zone and sub_zone, each \
            once, and any number of metadata=KEY=VALUE";
        Failure::new(StatusCode::BAD_REQUEST, expected)
    })?;
    (sources.snapshot)(node)
        .map(Json)
        .ok_or_else(|| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "nothing is served before the first full load"))
}

async fn diagnostics(State(sources): State<Sources>) -> Json<Report> {
    Json(Report::clone(&sources.report.borrow()))
}

/// An answer that says what went wrong: `{"error": "..."}`.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    words: String,
}

impl Failure {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, words: words.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.words}))).into_response()
    }
}
