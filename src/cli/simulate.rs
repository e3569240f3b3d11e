//! `serin simulate`: a whole rollout in virtual time, by the engine that runs live.

mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use clap::Args;

use super::Outcome;
use super::files::{Checked, FileArgs};
use super::output::{Format, Report, write_document};
use crate::app::Clock;
use crate::rollout::load::Load;
use crate::rollout::simulate::{Setting, simulate};
use crate::spec::{Admitted, Rollout, Severity, Step, Strategy, suggest};
use print::Timeline;

/// So many names of rollouts or versions are listed in an error.
const LISTED: usize = 12;

/// Longer than any proxy that is connected takes to answer.
const MAX_LATENCY: Duration = Duration::from_secs(86_400);

const EXAMPLES: &str = "\
Before the edit the file's target is taken to carry all traffic. What follows is what the engine would do live, told \
of a fleet in which every proxy acknowledges each change after the latency. It ends where nothing more would happen \
by itself. Files with mistakes print those instead, and exit with 1.

With --rps, REQUESTS and FAILED count from the edit up to each row. They are expected values, rps times the share of \
the weight times the time: header routes, mirrors and session affinity are left out.

Steps count from 1. The move of all traffic after a canary's last step has the number after it; of blue-green, step 1 \
is the preview and step 2 the switch.

Nobody is called: hooks and analysis answer at once, with yes unless --hook or --analysis say otherwise, and the other \
rollouts of a group are ready. A background analysis of which --analysis says no fails as soon as it begins. Nothing \
is measured: capacityGate is always open.

Examples:
  serin simulate config/
  serin simulate config/ --rollout checkout --edit target=green --promote
  serin simulate shop.yaml --rps 500 --error-rate green=0.02
  serin simulate shop.yaml --nodes 50 --nack edge-3@2
  serin simulate shop.yaml --speed 60x
  serin simulate shop.yaml -o json | jq '.rows[] | select(.phase == \"Paused\")'";

/// What to simulate.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Which rollout, if there are several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// The edit; without it, to the first version that is not the target
    #[arg(long, value_name = "target=VERSION", value_parser = edit)]
    edit: Option<String>,
    /// Requests per second to all versions together
    #[arg(long, value_name = "RPS", value_parser = rps)]
    rps: Option<f64>,
    /// The share of a version's requests that fail, 0 to 1; repeatable
    #[arg(long, value_name = "VERSION=SHARE", value_parser = error_rate, requires = "rps")]
    error_rate: Vec<(String, f64)>,
    /// How many proxies there are; without it, as many as convergence.expectedNodes, or 10
    #[arg(long, value_name = "COUNT")]
    nodes: Option<usize>,
    /// How long each of them takes to acknowledge a change
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = latency)]
    latency: Duration,
    /// How many of them never answer
    #[arg(long, value_name = "COUNT", default_value_t)]
    silent: usize,
    /// A proxy that rejects what a step brings
    #[arg(long, value_name = "NODE@STEP", value_parser = nack)]
    nack: Option<(String, usize)>,
    /// What a hook says; repeatable. Without it yes, of type rollback no
    #[arg(long, value_name = "NAME=yes|no", value_parser = said)]
    hook: Vec<(String, bool)>,
    /// Whether the metrics of an analysis template pass; repeatable. Without it they do
    #[arg(long, value_name = "TEMPLATE=yes|no", value_parser = said)]
    analysis: Vec<(String, bool)>,
    /// Promote at once past whatever waits for a person
    #[arg(long)]
    promote: bool,
    /// When the edit is made, which matters to switchAt; without it, now
    #[arg(long, value_name = "RFC3339", value_parser = humantime::parse_rfc3339)]
    start: Option<SystemTime>,
    /// Play it at so many times real time, e.g. 60x, or print it at once
    #[arg(long, value_name = "FACTOR", default_value = "max", value_parser = speed)]
    speed: Speed,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
}

/// How fast it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Speed {
    Max,
    Times(f64),
}

impl Speed {
    /// How long to wait so that `time` seems to pass.
    fn wait(self, time: Duration) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Times(factor) => Duration::try_from_secs_f64(time.as_secs_f64() / factor).unwrap_or(Duration::MAX),
        }
    }
}

/// Prints the timeline to `out`, or the mistakes to `err`.
pub(super) fn run(args: &SimulateArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    play(args, out, err, &mut thread::sleep)
}

fn play(
    args: &SimulateArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
    sleep: &mut dyn FnMut(Duration),
) -> anyhow::Result<Outcome> {
    let checked = args.files.check()?;
    checked.write_diagnostics(err)?;
    if checked.count(Severity::Error) > 0 {
        return Ok(Outcome::Negative);
    }
    let rollout = choose(&checked, args.rollout.as_deref())?;
    let from = engine(&rollout)?;
    let target = args.target(&rollout, from)?;
    let setting = args.setting(&rollout)?;
    let load = args.load(&rollout)?;
    if args.edit.is_none() {
        writeln!(err, "serin: no --edit: simulates target={target}, the first version that is not the target")?;
    }
    let simulation = simulate(&rollout, &target, &setting);
    if let Some((node, step)) = setting.nack.as_ref().filter(|_| !simulation.nacked) {
        writeln!(err, "serin: --nack {node}@{step} rejects nothing: step {step} is not reached or changes no traffic")?;
    }
    let timeline = Timeline { rollout: &rollout.name, from, to: &target, simulation: &simulation, load: load.as_ref() };
    match args.output {
        Report::Json if args.speed != Speed::Max => bail!("--speed is for people: -o json prints one document at once"),
        Report::Json => write_document(out, &timeline.document(), Format::Json)?,
        Report::Text => timeline.write(out, &mut |time| sleep(args.speed.wait(time)))?,
    }
    Ok(Outcome::Positive)
}

impl SimulateArgs {
    fn target(&self, rollout: &Rollout, from: &str) -> anyhow::Result<Arc<str>> {
        let Some(wanted) = &self.edit else {
            let other = rollout.versions.iter().find(|version| *version.name != *from);
            return other.map(|other| Arc::clone(&other.name)).ok_or_else(|| anyhow!("it has no other version"));
        };
        let target = version(rollout, wanted, "--edit")?;
        if *target == *from {
            bail!("--edit: {from} is the target already: nothing would happen");
        }
        Ok(target)
    }

    fn setting(&self, rollout: &Rollout) -> anyhow::Result<Setting> {
        let expected = rollout.convergence.expected_nodes;
        let nodes = self.nodes.unwrap_or(expected.map_or(Setting::default().nodes, |nodes| nodes as usize));
        if self.silent.saturating_add(usize::from(self.nack.is_some())) > nodes {
            bail!("--silent and --nack take more proxies than the {nodes} there are: raise --nodes");
        }
        let start = self.start.unwrap_or_else(|| Clock::start().started());
        // Whole seconds are easier on the eye in whatever is worked out from it.
        let start = start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |start| start.as_secs());
        let hooks: Vec<_> = rollout.webhooks.iter().map(|hook| &hook.name).collect();
        Ok(Setting {
            nodes,
            latency: self.latency,
            silent: self.silent,
            nack: self.nack.clone(),
            hooks: known("--hook", "hook", &self.hook, &hooks)?,
            templates: known("--analysis", "analysis of", &self.analysis, &templates(&rollout.strategy))?,
            promote: self.promote,
            canary_nodes: Setting::default().canary_nodes,
            start: Duration::from_secs(start),
        })
    }

    fn load(&self, rollout: &Rollout) -> anyhow::Result<Option<Load>> {
        let Some(rps) = self.rps else { return Ok(None) };
        let rates = self.error_rate.iter().map(|(name, rate)| Ok((version(rollout, name, "--error-rate")?, *rate)));
        Ok(Some(Load { rps, error_rates: rates.collect::<anyhow::Result<BTreeMap<_, _>>>()? }))
    }
}

/// The rollout of that name, or the only one.
fn choose(checked: &Checked, name: Option<&str>) -> anyhow::Result<Arc<Rollout>> {
    let admitted = Admitted::restore(&checked.files, &checked.options)
        .map_err(|mistakes| anyhow!("files without mistakes were refused: {mistakes:?}"))?;
    let set = admitted.spec_set();
    let rollouts: Vec<_> = set.files.values().flat_map(|file| &file.rollouts).collect();
    let names = || rollouts.iter().map(|rollout| &*rollout.name);
    match (name, &*rollouts) {
        (_, []) => bail!("no Rollout in these files"),
        (None, [rollout]) => Ok(Arc::clone(rollout)),
        (None, _) => bail!("which of these rollouts? --rollout NAME says it: {}", listed(names())),
        (Some(name), _) => match rollouts.iter().find(|rollout| *rollout.name == *name) {
            Some(rollout) => Ok(Arc::clone(rollout)),
            None => bail!("--rollout: no rollout {name:?}{}", meant(name, names())),
        },
    }
}

/// The target before the edit, of a rollout that an engine moves.
fn engine(rollout: &Rollout) -> anyhow::Result<&Arc<str>> {
    let name = &rollout.name;
    match (&rollout.strategy, &rollout.target) {
        (Strategy::Weights(_), _) => {
            bail!("the strategy of {name} is weights: no engine moves it, the file is the split")
        }
        (Strategy::Canary(_) | Strategy::BlueGreen(_), Some(target)) => Ok(target),
        (Strategy::Canary(_) | Strategy::BlueGreen(_), None) => bail!("{name} has no target"),
    }
}

/// The names that the strategy judges by.
fn templates(strategy: &Strategy) -> Vec<&Arc<str>> {
    match strategy {
        Strategy::Weights(_) => Vec::new(),
        Strategy::Canary(canary) => {
            let judged = canary.steps.iter().filter_map(|step| match step {
                Step::Analysis(templates) => Some(templates),
                _ => None,
            });
            let beside = canary.analysis.iter().flat_map(|analysis| &analysis.templates);
            judged.flatten().chain(beside).collect()
        }
        Strategy::BlueGreen(options) => {
            options.pre_promotion_analysis.iter().chain(&options.post_promotion_analysis).collect()
        }
    }
}

/// What is said by whom, each of whom must be there.
fn known(
    flag: &str,
    noun: &str,
    said: &[(String, bool)],
    names: &[&Arc<str>],
) -> anyhow::Result<BTreeMap<Arc<str>, bool>> {
    let known = |(wanted, said): &(String, bool)| match names.iter().find(|name| ****name == **wanted) {
        Some(name) => Ok((Arc::clone(name), *said)),
        None => bail!("{flag}: it has no {noun} {wanted:?}{}", meant(wanted, names.iter().map(|name| &***name))),
    };
    said.iter().map(known).collect()
}

fn version(rollout: &Rollout, name: &str, flag: &str) -> anyhow::Result<Arc<str>> {
    let names = || rollout.versions.iter().map(|version| &version.name);
    let known = names().find(|known| ***known == *name);
    known.map(Arc::clone).ok_or_else(|| {
        let meant = meant(name, names().map(|name| &**name));
        anyhow!("{flag}: {} has no version {name:?}{meant}", rollout.name)
    })
}

/// The nearest word, or which there are.
pub(super) fn meant<'a>(word: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    if words.clone().next().is_none() {
        return " (there is none)".to_owned();
    }
    let meant = suggest::did_you_mean(word, words.clone());
    format!(" ({})", meant.unwrap_or_else(|| format!("there are {}", listed(words))))
}

pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let some = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

fn edit(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("target", version)) if !version.is_empty() => Ok(version.to_owned()),
        _ => Err("expected target=VERSION: the target is what starts a rollout".to_owned()),
    }
}

fn rps(text: &str) -> Result<f64, String> {
    let rps = text.parse().ok().filter(|rps: &f64| rps.is_finite() && *rps >= 0.0);
    rps.ok_or_else(|| "expected requests per second, e.g. 500".to_owned())
}

fn error_rate(text: &str) -> Result<(String, f64), String> {
    let (version, share) = text.split_once('=').ok_or("expected VERSION=SHARE, e.g. green=0.02")?;
    let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    let share = share.ok_or("expected a share from 0 to 1: 0.02 is 2 %")?;
    Ok((version.to_owned(), share))
}

fn latency(text: &str) -> Result<Duration, String> {
    let latency = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if latency > MAX_LATENCY {
        return Err("at most 1d; --silent is for proxies that never answer".to_owned());
    }
    Ok(latency)
}

fn nack(text: &str) -> Result<(String, usize), String> {
    let parts = text.rsplit_once('@').map(|(node, step)| (node, step.parse().unwrap_or(0)));
    match parts {
        Some((node, step)) if !node.is_empty() && step > 0 => Ok((node.to_owned(), step)),
        _ => Err("expected NODE@STEP with a step from 1, e.g. edge-3@2".to_owned()),
    }
}

fn said(text: &str) -> Result<(String, bool), String> {
    match text.rsplit_once('=') {
        Some((name, word @ ("yes" | "no"))) if !name.is_empty() => Ok((name.to_owned(), word == "yes")),
        _ => Err("expected NAME=yes or NAME=no".to_owned()),
    }
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let factor = text.strip_suffix('x').unwrap_or(text).parse().ok().filter(|factor: &f64| factor.is_normal());
    let factor = factor.filter(|factor| *factor > 0.0);
    factor.map(Speed::Times).ok_or_else(|| "expected max or a factor such as 60x".to_owned())
}
