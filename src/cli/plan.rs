//! `serin plan`: which steps a rollout should have, from traffic and risk.

mod figure;
mod own;
mod print;
mod rolling;
mod room;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::Outcome;
use super::output::{Format, write_document};
use crate::analysis::plan::sample::Question;
use crate::analysis::plan::steps::{Expected, Risk, Stage, Unplanned};
use crate::rollout::span;
use crate::spec::TOTAL_WEIGHT;
use figure::{minutes, percent, seconds};
use own::{Own, OwnArgs};
use print::{Choice, Learned, Paper};
use rolling::RollingArgs;
use room::RoomArgs;

/// How often a rollout looks at what proxies report.
const LOOK: Duration = Duration::from_secs(10);

/// Nobody waits longer than this for one verdict.
const PATIENCE: f64 = 3_600.0;

const EXAMPLES: &str = "\
A plan weighs three costs, in any unit of your own: a failed request, a minute until the new version carries all traffic, \
and the way back. It takes a new version to be bad with the probability --prior, which means that --detect times as many \
requests fail as before, and --alpha is the share of good rollouts that may be aborted. FAILED counts requests beyond \
those that fail anyway. The way back costs every plan the same: a bad version is found out in the end.

Times are those of the errorRatio test, in the mean; the time to an alarm is taken for exponential. A test whose \
allowedIncrease is above 1 takes longer: --allowed-increase says so here.

With --concurrency, and --in-flight or --latency, it says how many endpoints each step needs, by the rule of capacityGate. \
--rolling plans batches instead: how many endpoints may be out at a time, one --period long, while requests wait with no \
more than --max-wait-probability.

Examples:
  serin plan --rps 2000 --baseline-error 0.1% --detect 3x --prior 0.1
  serin plan --rps 2000 --baseline-error 0.1% --steps 5,10,20,50 --hold 1m
  serin plan --rps 500 --baseline-error 1% --file shop.yaml --rollout checkout
  serin plan --rps 2000 --baseline-error 0.1% -o yaml >> shop.yaml
  serin plan --rps 1600 --baseline-error 1% --latency 50ms --concurrency 8
  serin plan --rolling --endpoints 12 --concurrency 8 --in-flight 72";

/// What to plan.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    traffic: TrafficArgs,
    #[command(flatten)]
    own: OwnArgs,
    #[command(flatten)]
    room: RoomArgs,
    #[command(flatten)]
    rolling: RollingArgs,
    /// The cost of a minute until the new version carries all traffic; above 0
    #[arg(long, value_name = "COST", default_value = "1", value_parser = figure::positive)]
    cost_minute: f64,
    /// How often the plan may change its mind; with --rolling, how long a batch is out
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = figure::period)]
    period: Duration,
    /// How to print it; yaml is steps to paste
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// Steps to paste under strategy.canary.
    Yaml,
}

#[derive(Debug, Args)]
struct TrafficArgs {
    /// Requests per second to all versions together
    #[arg(long, value_name = "RPS", required_unless_present = "rolling", value_parser = figure::rps)]
    rps: Option<f64>,
    /// The share of requests that fail anyway, e.g. 0.001 or 0.1%
    #[arg(long, value_name = "SHARE", required_unless_present = "rolling", value_parser = figure::share)]
    baseline_error: Option<f64>,
    /// How many times as many fail in a bad version; above 1
    #[arg(long, value_name = "RATIO", default_value = "3x", value_parser = figure::ratio)]
    detect: f64,
    /// The probability that a new version is bad
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = figure::share)]
    prior: f64,
    /// The cost of a failed request; 0 or more
    #[arg(long, value_name = "COST", default_value = "1", value_parser = figure::cost)]
    cost_failed_request: f64,
    /// The cost of the way back; 0 or more
    #[arg(long, value_name = "COST", default_value = "10", value_parser = figure::cost)]
    rollback_cost: f64,
    /// The share of good rollouts that may be aborted
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = figure::share)]
    alpha: f64,
    /// The share of bad versions that may pass
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = figure::share)]
    beta: f64,
    /// Up to this ratio nothing is wrong: allowedIncrease of the test; at least 1
    #[arg(long, value_name = "RATIO", default_value = "1", value_parser = figure::ratio_from_one)]
    allowed_increase: f64,
    /// Passing says that the ratio is below this: pass.maxIncrease of the test; above 1
    #[arg(long, value_name = "RATIO", default_value = "2", value_parser = figure::ratio)]
    max_increase: f64,
    /// The weights that a step may have, in percent
    #[arg(long, value_name = "PERCENT,...", default_value = "1,2,5,10,20,50,100", value_delimiter = ',',
        value_parser = figure::weight)]
    levels: Vec<u32>,
    /// By how much a step may raise the weight, in percent
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = figure::weight)]
    max_rise: u32,
}

/// What the figures on the line mean together.
struct Setting {
    rps: f64,
    period: Duration,
    question: Question,
    /// The harm is a cost.
    risk: Risk,
    /// The harm is requests.
    failures: Risk,
}

/// Prints the plan to `out`, or the mistakes of the user's own file to `err`.
pub(super) fn run(args: &PlanArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    if args.rolling.rolling {
        return rolling::run(args, out);
    }
    let setting = args.setting()?;
    let stages = match setting.risk.plan(&args.traffic.levels, args.traffic.max_rise) {
        Ok(stages) => stages,
        Err(Unplanned::TooSlow(times)) => {
            // A little more, since what a period costs grows with it.
            let enough = seconds((args.period.as_secs_f64() * times * 1.2).ceil());
            let period = span(args.period);
            if enough > figure::MAX_PERIOD {
                bail!(
                    "--rps: so little is learned in {period} that no plan can be worked out: the version must prove itself elsewhere"
                )
            }
            bail!(
                "--rps: so little is learned in {period} that the plan is too long to work out: raise --period to {}",
                figure::about(enough)
            )
        }
        Err(Unplanned::Unreachable(from)) => {
            bail!(
                "--max-rise: {} % is too little to get past {} %: raise it, or give more --levels",
                percent(args.traffic.max_rise),
                percent(from)
            )
        }
    };
    let own = match args.own.read(args.period, err)? {
        Own::Mistaken => return Ok(Outcome::Negative),
        Own::None => None,
        Own::Steps(steps) => Some(steps),
    };
    let mut notes = setting.notes(&stages);
    let mut choices = vec![setting.choice("plan", stages)];
    if let Some(own) = own {
        notes.extend(own.notes);
        notes.extend(setting.unlearned(&own.stages));
        choices.push(setting.choice("own", own.stages));
    }
    choices.push(setting.choice("allAtOnce", Vec::new()));
    let used = choices.iter().flat_map(|choice| choice.stages.iter().map(|stage| stage.weight));
    let weights: BTreeSet<u32> = args.traffic.levels.iter().copied().chain(used.clone()).collect();
    let learned: Vec<Learned> =
        weights.into_iter().filter(|weight| (1..TOTAL_WEIGHT).contains(weight)).map(|w| setting.learned(w)).collect();
    notes.extend(setting.slow(&learned));
    let carried: BTreeSet<u32> = used.chain([TOTAL_WEIGHT]).filter(|weight| *weight > 0).collect();
    let rooms = args.room.rooms(setting.rps, carried)?;
    let paper = Paper { setting: &setting, choices: &choices, learned: &learned, rooms: rooms.as_ref(), notes: &notes };
    match args.output {
        Output::Text => paper.write(out)?,
        Output::Json => write_document(out, &paper.document(), Format::Json)?,
        Output::Yaml => paper.write_steps(out)?,
    }
    Ok(Outcome::Positive)
}

impl PlanArgs {
    fn setting(&self) -> anyhow::Result<Setting> {
        let traffic = &self.traffic;
        let (Some(rps), Some(baseline)) = (traffic.rps, traffic.baseline_error) else {
            bail!("--rps and --baseline-error are needed but with --rolling");
        };
        let TrafficArgs { detect: ratio, allowed_increase, alpha, beta, max_increase, .. } = *traffic;
        if baseline * ratio > 1.0 {
            bail!("--detect: {ratio} times {baseline} is more than all requests: at most {}", 1.0 / baseline);
        }
        if ratio <= allowed_increase {
            bail!(
                "--detect: {ratio} must be above --allowed-increase, {allowed_increase}, up to which nothing is wrong"
            );
        }
        if max_increase <= allowed_increase {
            bail!("--max-increase: {max_increase} must be above --allowed-increase, {allowed_increase}");
        }
        let question = Question { baseline, ratio, allowed_increase, alpha, beta, max_increase };
        let per_period = rps * self.period.as_secs_f64();
        let failed = per_period * (ratio - 1.0) * baseline;
        let risk = Risk {
            prior: traffic.prior,
            hazard: per_period * question.alarm_per_request(),
            harm: failed * traffic.cost_failed_request,
            period: self.cost_minute * self.period.as_secs_f64() / 60.0,
            rollback: traffic.rollback_cost,
        };
        Ok(Setting { rps, period: self.period, question, risk, failures: Risk { harm: failed, ..risk } })
    }
}

impl Setting {
    fn choice(&self, name: &'static str, stages: Vec<Stage>) -> Choice {
        let Expected { cost, periods, .. } = self.risk.expect(&stages);
        let failed_if_bad = self.failures.expect(&stages).harm_if_bad;
        let failed = self.risk.prior * failed_if_bad;
        Choice { name, time: self.time(periods), stages, cost, failed_if_bad, failed }
    }

    fn time(&self, periods: f64) -> Duration {
        seconds(self.period.as_secs_f64() * periods)
    }

    fn learned(&self, weight: u32) -> Learned {
        let share = f64::from(weight) / f64::from(TOTAL_WEIGHT);
        let (to_fail, to_pass) = (self.question.requests_to_fail(share), self.question.requests_to_pass());
        let time = |requests: f64| seconds(requests / (self.rps * share));
        Learned { weight, to_fail, fails_in: time(to_fail), to_pass, passes_in: time(to_pass) }
    }

    fn notes(&self, stages: &[Stage]) -> Vec<String> {
        let mut notes = Vec::new();
        if stages.is_empty() {
            notes.push(
                "A canary buys nothing here: the failed requests that it would save cost less than the time it takes to \
                 learn from so few. All at once, with a fast way back, costs least; try the new version with a header \
                 route or test traffic first. If failures are worse than that, raise --cost-failed-request."
                    .to_owned(),
            );
        }
        let enough = self.question.requests_to_fail(0.0) / (self.rps * LOOK.as_secs_f64());
        if enough < 1.0 {
            notes.push(format!(
                "No first weight needs to be above {:.2} %: there, one look of {} shows as much as it takes.",
                enough * 100.0,
                span(LOOK)
            ));
        }
        notes
    }

    /// Whether steps of the user's own end before a verdict can be expected.
    fn unlearned(&self, stages: &[Stage]) -> Option<String> {
        let seen = stages.iter().map(|stage| {
            let share = f64::from(stage.weight) / f64::from(TOTAL_WEIGHT);
            share * self.rps * self.time(stage.periods).as_secs_f64() / self.question.requests_to_fail(share)
        });
        let seen: f64 = seen.sum();
        (seen < 1.0).then(|| {
            format!(
                "Your steps show {:.0} % of what it takes in the mean to fail a bad version before all is on it.",
                seen * 100.0
            )
        })
    }

    /// The largest weight with which a verdict takes too long.
    fn slow(&self, learned: &[Learned]) -> Option<String> {
        let slow = learned.iter().rfind(|learned| learned.fails_in.as_secs_f64() > PATIENCE)?;
        let (rps, weight, ratio) = (self.rps, percent(slow.weight), self.question.ratio);
        let time = minutes(slow.fails_in);
        Some(format!("At {rps} rps and {weight} % detecting x{ratio} takes {time}: too small a weight to learn from."))
    }
}
