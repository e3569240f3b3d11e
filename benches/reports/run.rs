//! One case from start to end.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;

use super::case::Case;
use super::files;
use super::messages::{self, BLUE, GREEN};
use super::process::Usage;
use super::proxy::{self, Proxy};
use super::raw::{self, Message};
use super::rig::serin::{Options, Serin};
use super::rig::{eventually, http, now};

/// For a thousand proxies to have a thousand rollouts, and for what was sent to be counted.
const LIMIT: Duration = Duration::from_secs(300);

/// How often it is looked at whether they have: each look costs what is to be measured.
const LOOK: Duration = Duration::from_millis(500);

/// Intervals before it is measured: until then memory grows, and a first report is of no certain split.
const WARM: u32 = 2;

/// What to do.
pub(crate) struct Plan {
    pub(crate) case: Case,
    pub(crate) nodes: u32,
    /// From one report of a proxy to the next.
    pub(crate) every: Duration,
    /// Intervals that are measured.
    pub(crate) intervals: u32,
    /// The program.
    pub(crate) serin: PathBuf,
    /// For files, state and log.
    pub(crate) dir: PathBuf,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Bytes that a proxy sent in a second.
    pub(crate) bytes: f64,
    /// Seconds of CPU of `serin` in a second, for one proxy.
    pub(crate) cpu: f64,
    /// The same for all.
    pub(crate) cores: f64,
    /// Memory of `serin` at the end, in bytes.
    pub(crate) rss: f64,
    /// The most it ever had, in bytes.
    pub(crate) most: f64,
}

/// Runs it, and holds what was counted against what was sent.
pub(crate) async fn run(plan: &Plan) -> Result<Outcome> {
    let Plan { case, nodes, every, intervals, .. } = *plan;
    let (config, seconds) = (plan.dir.join("config"), u32::try_from(every.as_secs())?);
    if plan.dir.exists() {
        fs::remove_dir_all(&plan.dir)?;
    }
    files::write(&config, case.rollouts)?;
    let mut options = Options::new(plan.serin.clone(), config.clone(), &plan.dir);
    options.extra = vec!["--load-report-interval".to_owned(), format!("{seconds}s")];
    let serin = Serin::start(options).await?;
    let fleet = proxy::fleet(serin.xds(), nodes, 2 * case.rollouts as usize).await?;
    serin.synced(nodes as usize, LIMIT).await?;
    files::aim(&config, case.rollouts, "green")?;
    under_way(&serin, plan).await?;

    let mut load = Load::new(plan, fleet, seconds);
    for _ in 0..WARM {
        load.round().await?;
    }
    let (before, bytes, began) = (Usage::of(serin.pid())?, load.bytes, now());
    for _ in 0..intervals {
        load.round().await?;
    }
    let (after, sent, took) = (Usage::of(serin.pid())?, load.bytes - bytes, began.elapsed().as_secs_f64());
    counted(&serin, plan, u64::from(WARM + intervals)).await?;
    let cores = (after.cpu - before.cpu) / took;
    let proxies = f64::from(nodes);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 bytes")]
    let bytes = sent as f64 / took / proxies;
    Ok(Outcome { bytes, cpu: cores / proxies, cores, rss: after.rss, most: after.most })
}

/// Waits until all canaries have the first step on all proxies.
async fn under_way(serin: &Serin, plan: &Plan) -> Result<()> {
    let waited = eventually("the canaries to be under way", LIMIT, async || {
        tokio::time::sleep(LOOK).await;
        let list: Value = serde_json::from_str(&http::get(serin.admin(), "/api/v1/rollouts").await?)?;
        let rollouts = list["rollouts"].as_array().context("no rollouts")?;
        let nodes = Value::from(plan.nodes);
        let there = rollouts.iter().filter(|rollout| {
            let fleet = &rollout["convergence"];
            rollout["step"]["index"] == 2 && fleet["converged"] == nodes && fleet["nodes"] == nodes
        });
        Ok((there.count() == plan.case.rollouts as usize).then_some(()))
    });
    waited.await
}

/// What is sent, evenly over each interval.
struct Load<'a> {
    plan: &'a Plan,
    fleet: Vec<Proxy>,
    /// What the proxies of one group say of their rollouts is the same each time.
    loads: Vec<Bytes>,
    seconds: u32,
    /// Intervals so far.
    rounds: u32,
    began: Instant,
    /// All that was sent.
    bytes: u64,
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan, fleet: Vec<Proxy>, seconds: u32) -> Self {
        let case = plan.case;
        let loads = (0..case.groups().min(plan.nodes)).map(|group| messages::load(case, group, seconds)).collect();
        Self { plan, fleet, loads, seconds, rounds: 0, began: now(), bytes: 0 }
    }

    /// One load report and one flush of each proxy, as far apart as can be.
    async fn round(&mut self) -> Result<()> {
        let Plan { case, nodes, every, .. } = *self.plan;
        let begins = self.began + every * self.rounds;
        self.rounds += 1;
        let mut flushes: Vec<Option<Bytes>> = vec![None; self.loads.len()];
        for index in 0..nodes {
            tokio::time::sleep_until((begins + every * index / nodes).into()).await;
            let load = self.loads[case.group(index) as usize].clone();
            let proxy = &self.fleet[index as usize];
            let report = (proxy.load_node.clone(), load);
            self.bytes += raw::length(&report);
            let sent = proxy.loads.send(report).await.is_ok();
            self.check(index, sent).await?;

            let index = (index + nodes / 2) % nodes;
            let group = case.group(index);
            let flush = flushes[group as usize]
                .get_or_insert_with(|| messages::flush(case, group, self.rounds, self.seconds))
                .clone();
            let proxy = &mut self.fleet[index as usize];
            let report: Message = (std::mem::take(&mut proxy.flush_node), flush);
            self.bytes += raw::length(&report);
            let sent = proxy.flushes.send(report).await.is_ok();
            self.check(index, sent).await?;
        }
        let end = begins + every;
        ensure!(now() < end + every / 2, "serin does not keep up: {:?} behind", now() - end);
        tokio::time::sleep_until(end.into()).await;
        Ok(())
    }

    /// An error, with its reason, where a stream of the proxy has ended.
    async fn check(&mut self, index: u32, sent: bool) -> Result<()> {
        if sent && !self.fleet[index as usize].has_ended() {
            return Ok(());
        }
        self.fleet.swap_remove(index as usize).why().await.with_context(|| format!("proxy {index}"))
    }
}

/// Waits until each rollout has counted what was sent in so many intervals, and neither more nor less: in its analysis
/// all of it, in the split all but each proxy's first report, which may have begun before it had the split.
async fn counted(serin: &Serin, plan: &Plan, rounds: u64) -> Result<()> {
    for (rollout, users) in (0..).zip(plan.case.users(plan.nodes)) {
        let name = files::name(rollout);
        let (reports, certain) = (users * rounds, users * (rounds - 1));
        let analysis =
            format!("errors: green {} of {} (", grouped(reports * GREEN.failed), grouped(reports * GREEN.all));
        let split = (Value::from(certain * GREEN.all), Value::from(certain * (GREEN.all + BLUE.all)));
        let mut last = Value::Null;
        let waited = eventually("all to be counted", Duration::from_secs(30), async || {
            last = serin.rollout(&name).await?;
            let words = last["analysis"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let seen = &last["seen"];
            let all = words.into_iter().any(|words| words.contains(&analysis))
                && (&seen["requests"], &seen["of"]) == (&split.0, &split.1);
            tokio::time::sleep(if all { Duration::ZERO } else { LOOK }).await;
            Ok(all.then_some(()))
        });
        if waited.await.is_err() {
            bail!(
                "{name} has not counted what was sent: expected {analysis:?} and a split of {} of {}, found {} and {}",
                split.0,
                split.1,
                last["analysis"],
                last["seen"]
            );
        }
    }
    Ok(())
}

/// `12,345`, as people are told.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
