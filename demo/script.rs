//! The demo that plays by itself: a canary to its end, and one that is aborted half way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::json;
use serin::rollout::Phase;
use tokio::sync::watch;

use crate::feed::Scene;
use crate::rig::load::{Tally, real};
use crate::rig::now;
use crate::rig::serin::Serin;
use crate::rollout_file::RolloutFile;
use crate::stage::ROLLOUT;

/// A rollout that takes longer to where it is waited for does not get there.
const LIMIT: Duration = Duration::from_secs(30);

/// The timed pauses of two canaries.
const PAUSES: Duration = Duration::from_secs(12);

/// What the steps of the file ask for, each with a pause after it, the last until promoted.
const WEIGHTS: [f64; 3] = [5.0, 25.0, 50.0];

/// Who plays.
pub(crate) struct Script<'a> {
    pub(crate) serin: &'a Serin,
    pub(crate) file: &'a RolloutFile,
    pub(crate) scenes: watch::Receiver<Scene>,
}

impl Script<'_> {
    /// Plays for about `length`, at least 17 s. An error when the rollout or its traffic is not as it should be.
    pub(crate) async fn play(&mut self, length: Duration) -> Result<()> {
        let beat = (length.saturating_sub(PAUSES) / 5).max(Duration::from_secs(1));
        self.stays(Phase::Healthy, "blue", 100.0, beat).await?;
        for (target, verb) in [("green", "promote"), ("blue", "abort")] {
            self.file.edit(target)?;
            for weight in WEIGHTS {
                self.stays(Phase::Paused, target, weight, beat).await?;
            }
            self.command(verb).await?;
            let phase = if verb == "promote" { Phase::Healthy } else { Phase::Degraded };
            self.stays(phase, "green", 100.0, beat).await?;
        }
        Ok(())
    }

    /// Waits until the rollout stands so on every Envoy, and sees for `beat`, or until it goes on, that the traffic does.
    async fn stays(&mut self, phase: Phase, version: &str, weight: f64, beat: Duration) -> Result<()> {
        let stands = |scene: &Scene| {
            let report = &scene.report;
            let split = report.weights.iter().any(|part| part.version == version && same(part.weight, weight));
            let fleet = report.convergence.as_ref().is_some_and(|fleet| fleet.converged == fleet.nodes);
            report.phase == phase && split && fleet
        };
        let waited = tokio::time::timeout(LIMIT, self.scenes.wait_for(stands)).await.map(|scene| scene.map(drop));
        waited.with_context(|| {
            let report = &self.scenes.borrow().report;
            let (now, message) = (report.phase, &report.message);
            format!("not {phase:?} with {weight} % {version} within {LIMIT:?}: it is {now:?}: {message}")
        })??;
        // What was counted before the first look may be of before.
        self.scenes.changed().await?;
        let first = self.scenes.borrow_and_update().clone();
        let (mut last, end) = (first.clone(), now() + beat);
        while now() < end {
            self.scenes.changed().await?;
            let scene = self.scenes.borrow_and_update();
            if scene.report.sequence != first.report.sequence {
                break;
            }
            last = scene.clone();
        }
        ensure!(stands(&last), "it did not stay: {:?}: {}", last.report.phase, last.report.message);
        ensure!(last.canary.iter().all(|got| got == version), "x-canary: true gets {:?}, not {version}", last.canary);
        agrees(version, weight, &last.total().since(&first.total()))
    }

    async fn command(&self, verb: &str) -> Result<()> {
        let seen = self.scenes.borrow().report.sequence;
        let order = json!({"actor": "demo", "reason": format!("the demo shows {verb}"), "seen": seen});
        let (status, answer) = self.serin.command(ROLLOUT, verb, order).await?;
        ensure!(status == StatusCode::OK, "{verb}: {status}: {answer}");
        Ok(())
    }
}

/// Whether the traffic is split as asked, within five standard deviations and the few requests that were on their way.
fn agrees(version: &str, percent: f64, seen: &Tally) -> Result<()> {
    let (n, p) = (real(seen.answered()), percent / 100.0);
    let got = real(seen.of(version));
    let room = 5.0 * (n * p * (1.0 - p)).sqrt() + 0.02 * n;
    ensure!((got - n * p).abs() <= room, "{version}: asked for {percent} %, seen {got} of {n} requests");
    Ok(())
}

/// Whether two weights are the same to the last of their two decimals.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.005
}
