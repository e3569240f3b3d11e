//! The edits of the file: made by the demo itself, or followed as a person makes them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::watch;

use crate::rig::eventually;
use crate::rig::load::{Tally, real};
use crate::rollout_file::{RolloutFile, Split};
use crate::stage::Stage;

/// A fleet that takes longer has not followed.
const LIMIT: Duration = Duration::from_secs(10);

/// A person may take this long between two saves.
const A_PERSON: Duration = Duration::from_secs(7 * 24 * 3600);

/// A colour switch and back, then a ladder up and back.
const SCRIPT: [&str; 9] = [
    "blue: 0, green: 100",
    "blue: 100, green: 0",
    "blue: 90, green: 10",
    "blue: 75, green: 25",
    "blue: 50, green: 50",
    "blue: 10, green: 90",
    "blue: 0, green: 100",
    "blue: 50, green: 50",
    "blue: 100, green: 0",
];

/// What the screen shows beside the load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    /// The split that the file asks for.
    pub(crate) asked: Split,
    /// The last edit: per Envoy the time from the save to its last acknowledgement.
    pub(crate) took: BTreeMap<String, Duration>,
    /// For each edit so far, the time until the last Envoy had it.
    pub(crate) fleet: Vec<Duration>,
    /// What is wrong with the file.
    pub(crate) problem: Option<String>,
}

impl Scene {
    /// Before the first edit.
    pub(crate) fn new(asked: Split) -> Self {
        Self { asked, ..Self::default() }
    }

    /// One line for the end.
    pub(crate) fn summary(&self, envoys: usize, total: &Tally) -> String {
        let requests = format!("{} requests, {} failed", total.requests, total.failed);
        let mut times = self.fleet.clone();
        times.sort();
        let Some(slowest) = times.last() else { return format!("0 edits, {requests}") };
        let median = times[times.len() / 2];
        format!(
            "{} edits, {envoys} Envoys followed each of them (save to last ACK: median {:.0} ms, slowest {:.0} ms), {requests}",
            times.len(),
            median.as_secs_f64() * 1e3,
            slowest.as_secs_f64() * 1e3,
        )
    }

    fn followed(&mut self, asked: Split, took: BTreeMap<String, Duration>) {
        self.fleet.extend(took.values().max());
        *self = Self { asked, took, problem: None, fleet: std::mem::take(&mut self.fleet) };
    }
}

/// Makes the edits of the script, spread over `length`. An error when an Envoy or its traffic does not follow.
pub(crate) async fn make(
    stage: &Stage,
    file: RolloutFile,
    length: Duration,
    scene: &watch::Sender<Scene>,
) -> Result<()> {
    let steps = u32::try_from(SCRIPT.len())? + 1;
    let mut pace = tokio::time::interval(length / steps);
    pace.tick().await;
    for weights in SCRIPT {
        pace.tick().await;
        let mark = stage.serin.mark().await?;
        file.edit(weights)?;
        let took = stage.serin.converged(&mark, LIMIT).await?;
        let before = stage.tally();
        let asked = file.asked()?;
        scene.send_modify(|scene| scene.followed(asked.clone(), took));
        // Enough to tell the splits of the script from one another.
        eventually("requests after the edit", LIMIT, async || {
            Ok((stage.tally().since(&before).requests >= 200).then_some(()))
        })
        .await?;
        agrees(&asked, &stage.tally().since(&before))?;
    }
    pace.tick().await;
    Ok(())
}

/// Whether the traffic is split as asked, within five standard deviations and the few requests that were on their way.
fn agrees(asked: &Split, seen: &Tally) -> Result<()> {
    let n = real(seen.answered());
    for (version, percent) in asked {
        let p = percent / 100.0;
        let got = real(seen.of(version));
        let room = 5.0 * (n * p * (1.0 - p)).sqrt() + 0.02 * n;
        ensure!((got - n * p).abs() <= room, "{version}: asked for {percent} %, seen {got} of {n} requests");
    }
    Ok(())
}

/// Follows the edits that a person makes, for ever.
pub(crate) async fn follow(stage: &Stage, file: RolloutFile, scene: &watch::Sender<Scene>) -> Result<()> {
    let mut seen = file.written();
    let mut mark = stage.serin.mark().await?;
    loop {
        let saved = eventually("a save", A_PERSON, async || Ok(file.written().filter(|at| Some(*at) != seen))).await?;
        seen = Some(saved);
        let asked = match file.asked() {
            Ok(asked) => asked,
            Err(mistakes) => {
                scene.send_modify(|scene| scene.problem = Some(format!("{mistakes:#}")));
                continue;
            }
        };
        if asked == scene.borrow().asked {
            scene.send_modify(|scene| scene.problem = None);
            continue;
        }
        mark.backdate(saved.elapsed().unwrap_or_default());
        match stage.serin.converged(&mark, LIMIT).await {
            Ok(took) => scene.send_modify(|scene| scene.followed(asked, took)),
            Err(error) => scene.send_modify(|scene| scene.problem = Some(format!("{error:#}"))),
        }
        mark = stage.serin.mark().await?;
    }
}
