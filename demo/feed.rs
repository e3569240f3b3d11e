//! How everything stands: asked of `serin` and of the load, again and again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serin::admin::{HistoryReport, Report, RolloutReport};
use tokio::sync::watch;

use crate::rig::http::{exchange, get};
use crate::rig::load::Tally;
use crate::rollout_file::RolloutFile;
use crate::stage::{ROLLOUT, Stage};
use crate::story::Story;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is shown and judged.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// The load on each Envoy, just before `report`.
    pub(crate) tallies: Vec<Tally>,
    /// Who answered a request with `x-canary: true` through each Envoy, just before `report`.
    pub(crate) canary: Vec<String>,
    /// How the rollout stands.
    pub(crate) report: RolloutReport,
    /// How it came to that.
    pub(crate) story: Story,
    /// What is wrong with the files.
    pub(crate) trouble: Vec<String>,
}

impl Scene {
    /// The load on all Envoys.
    pub(crate) fn total(&self) -> Tally {
        sum(&self.tallies)
    }
}

/// All of them together.
pub(crate) fn sum(tallies: &[Tally]) -> Tally {
    let mut total = Tally::default();
    for tally in tallies {
        total.add(tally);
    }
    total
}

/// Looks once, with the story so far.
pub(crate) async fn look(stage: &Stage, file: &RolloutFile, mut story: Story) -> Result<Scene> {
    let tallies = stage.edges.iter().map(|edge| edge.load.tally()).collect();
    let mut canary = Vec::new();
    for edge in &stage.edges {
        let request: Request<Full<Bytes>> = Request::get("/").header("x-canary", "true").body(Full::default())?;
        let (status, colour) = exchange(edge.addr, request).await.context(edge.id)?;
        ensure!(status == StatusCode::OK, "{} answered {status}: {colour}", edge.id);
        canary.push(colour);
    }
    let report: RolloutReport = serde_json::from_value(stage.serin.rollout(ROLLOUT).await?)?;
    if report.sequence > story.sequence {
        let written = file.written();
        let journal: HistoryReport = page(stage, &format!("/api/v1/rollouts/{ROLLOUT}/history")).await?;
        let told = story.sequence;
        for entry in journal.entries.iter().filter(|entry| entry.sequence > told) {
            story.take(entry, written);
        }
    }
    let files: Report = page(stage, "/api/v1/diagnostics").await?;
    let errors = files.mistakes.iter().filter(|mistake| mistake.severity == "error");
    let errors = errors.map(|error| {
        let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}:{}:{}: {}{help}", error.file, error.line, error.column, error.message)
    });
    let trouble = files.unreadable.into_iter().chain(errors).collect();
    Ok(Scene { tallies, canary, report, story, trouble })
}

/// Looks for ever.
pub(crate) async fn run(stage: &Stage, file: &RolloutFile, scenes: &watch::Sender<Scene>) -> Result<()> {
    let mut pace = tokio::time::interval(INTERVAL);
    loop {
        pace.tick().await;
        let story = scenes.borrow().story.clone();
        scenes.send_replace(look(stage, file, story).await?);
    }
}

async fn page<T: DeserializeOwned>(stage: &Stage, path: &str) -> Result<T> {
    let text = get(stage.serin.admin(), path).await?;
    serde_json::from_str(&text).with_context(|| format!("not known: {text}"))
}
