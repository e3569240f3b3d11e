//! The steps that a user has, as flags or in a file.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;

use super::figure;
use crate::analysis::plan::steps::Stage;
use crate::cli::simulate::{listed, meant};
use crate::rollout::span;
use crate::source;
use crate::spec::{Diagnostic, Rollout, Severity, Step, Strategy, TOTAL_WEIGHT, parse_file};

#[derive(Debug, Args)]
pub(super) struct OwnArgs {
    /// The weights of your own steps, in percent, to compare the plan with
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',', value_parser = figure::weight)]
    steps: Vec<u32>,
    /// How long each of them lasts; of --file, how long a pause or an analysis without a duration is taken to last
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = figure::hold)]
    hold: Duration,
    /// Your own steps are those of the canary in this file
    #[arg(long, value_name = "PATH", conflicts_with = "steps")]
    file: Option<PathBuf>,
    /// ... of this rollout, if there are several
    #[arg(long, value_name = "NAME", requires = "file")]
    rollout: Option<String>,
}

/// What was found.
pub(super) enum Own {
    None,
    Steps(Steps),
    /// The file has mistakes, and they have been written.
    Mistaken,
}

pub(super) struct Steps {
    pub(super) stages: Vec<Stage>,
    pub(super) notes: Vec<String>,
}

impl OwnArgs {
    pub(super) fn read(&self, period: Duration, err: &mut dyn Write) -> anyhow::Result<Own> {
        let pause = Step::Pause(Some(self.hold));
        let Some(path) = &self.file else {
            let steps: Vec<Step> =
                self.steps.iter().flat_map(|weight| [Step::SetWeight(*weight), pause.clone()]).collect();
            return Ok(if steps.is_empty() { Own::None } else { Own::Steps(self.stages(&steps, period)) });
        };
        let reading = source::read_paths(std::slice::from_ref(path));
        if let Some((path, error)) = reading.errors.iter().next() {
            bail!("--file: {path}: {error}");
        }
        let parsed: Vec<_> = reading.files.iter().map(|(path, text)| parse_file(path, text)).collect();
        let mistakes: BTreeSet<&Diagnostic> =
            parsed.iter().flat_map(|(_, found)| found).filter(|found| found.severity == Severity::Error).collect();
        for mistake in &mistakes {
            writeln!(err, "{mistake}")?;
        }
        if !mistakes.is_empty() {
            return Ok(Own::Mistaken);
        }
        let rollouts: Vec<_> = parsed.iter().flat_map(|(file, _)| &file.rollouts).collect();
        let rollout = self.choose(&rollouts)?;
        let Strategy::Canary(canary) = &rollout.strategy else {
            bail!("--file: {} is no canary: it has no steps to compare with", rollout.name);
        };
        Ok(Own::Steps(self.stages(&canary.steps, period)))
    }

    fn choose<'a>(&self, rollouts: &[&'a Arc<Rollout>]) -> anyhow::Result<&'a Arc<Rollout>> {
        let names = || rollouts.iter().map(|rollout| &*rollout.name);
        match (&self.rollout, rollouts) {
            (_, []) => bail!("--file: there is no Rollout in it"),
            (None, [rollout]) => Ok(rollout),
            (None, _) => bail!("which of these rollouts? --rollout NAME says it: {}", listed(names())),
            (Some(name), _) => rollouts
                .iter()
                .find(|rollout| *rollout.name == **name)
                .copied()
                .ok_or_else(|| anyhow!("--rollout: no rollout {name:?}{}", meant(name, names()))),
        }
    }

    fn stages(&self, steps: &[Step], period: Duration) -> Steps {
        let mut stages: Vec<Stage> = Vec::new();
        let (mut weight, mut open) = (0, 0_u32);
        for step in steps {
            let time = match step {
                Step::SetWeight(parts) => {
                    weight = *parts;
                    Duration::ZERO
                }
                Step::Pause(Some(time)) => *time,
                Step::Pause(None) | Step::Analysis(_) => {
                    open += 1;
                    self.hold
                }
                Step::SetHeaderRoute(_) | Step::SetMirrorRoute(_) => continue,
            };
            if weight == TOTAL_WEIGHT {
                break;
            }
            let periods = time.as_secs_f64() / period.as_secs_f64();
            match stages.last_mut() {
                Some(stage) if stage.weight == weight => stage.periods += periods,
                _ => stages.push(Stage { weight, periods }),
            }
        }
        let note =
            format!("Pauses until promoted and analyses of your steps are taken to last {}: --hold.", span(self.hold));
        Steps { stages, notes: if open > 0 { vec![note] } else { Vec::new() } }
    }
}
