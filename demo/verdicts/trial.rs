//! One rollout to a new version on a small fleet under load, and whether it was judged as it should be.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::case::{Case, Trouble};
use super::fleet::{Edge, Fleet, ROLLOUT};
use super::service::{Fault, Service};
use super::visitors::Tally;
use crate::rig::serin::Serin;
use crate::rig::{http, now, repository};

/// How often it is asked how the rollout stands: times are true to about so much.
const LOOK: Duration = Duration::from_millis(20);

/// A rollout that is under way for longer is stuck.
const LIMIT: Duration = Duration::from_secs(150);

/// Answers of the stable version by each proxy before the rollout begins.
const BEFORE: u64 = 400;

/// Answers of the new version before anything goes wrong in the middle.
const MIDDLE: u64 = 10;

/// Answers that are looked at after the end, by each proxy.
const AFTER: u64 = 100;

/// What is to be tried.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The new version.
    pub(crate) case: Case,
    /// The fleet.
    pub(crate) trouble: Trouble,
    /// Of all that is drawn.
    pub(crate) seed: u64,
    /// Percent of the traffic on which the new version is judged first.
    pub(crate) weight: u8,
    /// Keep-alive connections to each proxy.
    pub(crate) connections: u32,
    /// Time from one request to the next on a connection.
    pub(crate) every: Duration,
    /// The `serin` binary.
    pub(crate) serin: PathBuf,
    /// The Envoy binary.
    pub(crate) envoy: PathBuf,
}

/// How it went.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The new version carries all traffic now.
    pub(crate) promoted: bool,
    /// What the rollout said at the end.
    pub(crate) message: String,
    /// From the first bad request to the moment when every proxy that can be reached is back.
    pub(crate) took: Option<Duration>,
    /// From the edit to the end.
    pub(crate) length: Duration,
    /// All requests.
    pub(crate) total: Tally,
    /// What is not as it should be.
    pub(crate) wrongs: Vec<String>,
    /// Then also what the journal says, a line for each transition, each after a line's end.
    pub(crate) story: String,
}

/// The files of the trial.
struct Files {
    path: PathBuf,
    blue: SocketAddr,
    green: SocketAddr,
    weight: u8,
    quorum: &'static str,
}

impl Files {
    fn write(&self, target: &str) -> Result<()> {
        let Self { blue, green, weight, quorum, .. } = self;
        let text = format!(
            "apiVersion: serin.dev/v1
kind: Rollout
metadata: {{name: {ROLLOUT}}}
spec:
  cluster: {{connect_timeout: 1s}}
  versions:
    blue: {{endpoints: [\"{blue}\"]}}
    green: {{endpoints: [\"{green}\"]}}
  target: {target}
  convergence: {{quorum: {quorum}}}
  strategy:
    canary:
      analysis: {{templates: [{{templateName: golden}}]}}
      steps:
      - setWeight: {weight}
      - analysis: {{templates: [{{templateName: golden}}]}}
      - setWeight: 50
      - pause: {{duration: 3s}}
---
apiVersion: serin.dev/v1
kind: AnalysisTemplate
metadata: {{name: golden}}
spec:
  metrics:
  - name: error-rate
    test: {{type: errorRatio, alpha: 0.01, beta: 0.005, allowedIncrease: 1.25, pass: {{maxIncrease: 2, maxRate: 0.01}}}}
    critical: true
  - name: latency
    test: {{type: latency, quantiles: [0.5, 0.9, 0.99], slo: 250ms, alpha: 0.01, beta: 0.005}}
    critical: true
"
        );
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, &self.path)?;
        Ok(())
    }
}

/// Runs it in `dir`, which is there and empty. An error when it could not be run.
pub(crate) async fn run(plan: &Plan, dir: &Path) -> Result<Outcome> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let blue = Service::start(any, "blue", Fault::None, plan.seed).await?;
    let green = Service::start(any, "green", plan.case.fault(), !plan.seed).await?;
    let config = dir.join("config");
    std::fs::create_dir_all(&config)?;
    std::fs::copy(repository().join("demo/config/local/envoy.yaml"), config.join("envoy.yaml"))?;
    let files = Files {
        path: config.join("shop.yaml"),
        blue: blue.addr,
        green: green.addr,
        weight: plan.weight,
        // Who is cut off cannot be waited for.
        quorum: if plan.trouble == Trouble::CutOff { "60%" } else { "100%" },
    };
    files.write("blue")?;
    let mut fleet = Fleet::start(plan, dir).await?;
    answered(&fleet.edges, BEFORE).await?;
    files.write("green")?;
    let (began, mut green) = (now(), Some(green));
    // Held so that nobody takes the port of a version that is dead.
    let mut grave = None;
    let mut calm = true;
    let (end, status) = loop {
        tokio::time::sleep(LOOK).await;
        let status = fleet.serin.rollout(ROLLOUT).await?;
        if let Some(promoted) = ended(&status, fleet.following().len()) {
            break (Some((promoted, now())), status);
        }
        let waits = status["message"].as_str().is_some_and(|message| message.starts_with("inconclusive "));
        if waits || began.elapsed() > LIMIT {
            break (None, status);
        }
        if calm && fleet.tally().of("green") >= MIDDLE {
            calm = false;
            fleet.trouble().await?;
            if plan.case == Case::Dead
                && let Some(green) = green.take()
            {
                grave = Some(green.die().await?);
            }
        }
    };
    let mut outcome = judge(plan, end, &status, began, &fleet).await?;
    let in_the_middle = matches!(plan.trouble, Trouble::CutOff | Trouble::Restarted) || plan.case == Case::Dead;
    if calm && in_the_middle {
        outcome.wrongs.push(format!("it ended before anything had gone wrong: {}", outcome.message));
    }
    if !outcome.wrongs.is_empty() {
        outcome.story = story(&fleet.serin).await?;
    }
    drop(grave);
    Ok(outcome)
}

/// Whether the new version is promoted or all reachable proxies are back; none while it is under way.
fn ended(status: &Value, reachable: usize) -> Option<bool> {
    let all = |converged: &Value| converged.as_u64().is_some_and(|n| n >= u64::try_from(reachable).unwrap_or(u64::MAX));
    match status["phase"].as_str()? {
        "Healthy" if status["stable"] == "green" => Some(true),
        "Degraded" if all(&status["convergence"]["converged"]) => Some(false),
        _ => None,
    }
}

async fn judge(
    plan: &Plan,
    end: Option<(bool, Instant)>,
    status: &Value,
    began: Instant,
    fleet: &Fleet,
) -> Result<Outcome> {
    let message = status["message"].as_str().unwrap_or_default().to_owned();
    let mut wrongs = Vec::new();
    let mut after = Vec::new();
    if let Some((promoted, _)) = end {
        // What was on its way at the end is of before.
        answered(fleet.following(), u64::from(plan.connections) * 20).await?;
        let first: Vec<Tally> = fleet.following().iter().map(Edge::tally).collect();
        answered(fleet.following(), AFTER).await?;
        let other = if promoted { "blue" } else { "green" };
        for (edge, first) in fleet.following().iter().zip(first) {
            after.push(edge.tally().of(other) - first.of(other));
        }
    }
    let total = fleet.tally();
    let took = end.zip(total.first_bad).map(|((_, end), first)| end.saturating_duration_since(first));
    let (promoted, length) = end.map_or((false, began.elapsed()), |(promoted, end)| (promoted, end - began));
    match (plan.case.metric(), end) {
        (_, None) => wrongs.push(format!("no verdict after {length:?}: {}: {message}", status["phase"])),
        (None, Some((true, _))) => {}
        (None, Some((false, _))) => wrongs.push(format!("a good version was rolled back: {message}")),
        (Some(_), Some((true, _))) => wrongs.push("a bad version was promoted".to_owned()),
        (Some(metric), Some((false, _))) if message.contains(&format!("{metric}: ")) => {}
        (Some(metric), Some((false, _))) => wrongs.push(format!("rolled back, but not by {metric}: {message}")),
    }
    let mut expect = |holds: bool, wrong: String| {
        if !holds {
            wrongs.push(wrong);
        }
    };
    expect(after.iter().all(|n| *n == 0), format!("the other version answered after the end: {after:?}"));
    let blue = total.failed.get("blue").copied().unwrap_or(0);
    expect(blue == 0, format!("{blue} requests to the stable version failed"));
    let may_lose = plan.case == Case::Dead;
    expect(may_lose || total.lost == 0, format!("{} requests were lost: {:?}", total.lost, total.losses));
    expect(plan.case != Case::Fine || total.harmed() == 0, format!("{} requests harmed", total.harmed()));
    expect(fleet.garbage() != Some(0), "no garbage was sent".to_owned());
    Ok(Outcome { promoted, message, took, length, total, wrongs, story: String::new() })
}

async fn story(serin: &Serin) -> Result<String> {
    let page = http::get(serin.admin(), &format!("/api/v1/rollouts/{ROLLOUT}/history")).await?;
    let page: Value = serde_json::from_str(&page)?;
    let mut lines = String::new();
    for entry in page["entries"].as_array().into_iter().flatten() {
        write!(lines, "\n    {} {} -> {}: {}", entry["at"], entry["from"]["at"], entry["to"]["at"], entry["why"])?;
    }
    Ok(lines)
}

/// Waits until so many more requests have been answered by each.
async fn answered(edges: &[Edge], count: u64) -> Result<()> {
    let targets: Vec<u64> = edges.iter().map(|edge| edge.tally().requests + count).collect();
    let deadline = now() + LIMIT;
    while edges.iter().zip(&targets).any(|(edge, target)| edge.tally().requests < *target) {
        if now() > deadline {
            let mut words = String::new();
            edges.iter().try_for_each(|edge| writeln!(words, "{:?}", edge.tally()))?;
            bail!("not {count} answers of each proxy within {LIMIT:?}: {words}");
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
