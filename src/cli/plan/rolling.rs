//! `serin plan --rolling`: batches under a limit of waiting.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::figure::{self, figure, seconds};
use super::{Output, PlanArgs};
use crate::analysis::capacity::MAX_SLOTS;
use crate::analysis::plan::rolling::{Batches, MAX_ENDPOINTS, Rolling, Size};
use crate::cli::Outcome;
use crate::cli::output::{Format, NONE, write_document, write_table};
use crate::rollout::span;

#[derive(Debug, Args)]
pub(super) struct RollingArgs {
    /// Plan batches of endpoints to replace, not steps
    #[arg(long, requires_all = ["endpoints", "concurrency", "in_flight"],
        conflicts_with_all = ["rps", "baseline_error", "steps", "file"])]
    pub(super) rolling: bool,
    /// The probability that a replaced endpoint comes back good
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = figure::limit, requires = "rolling")]
    success: f64,
    /// The cost of a period in which every request has to wait
    #[arg(long, value_name = "COST", default_value = "5", value_parser = figure::cost, requires = "rolling")]
    cost_wait: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    batches: Vec<u32>,
    /// By how many are done.
    next: &'a [u32],
    cost: f64,
    periods: f64,
    sizes: Vec<SizeDocument>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SizeDocument {
    batch: u32,
    left: u32,
    wait_probability: f64,
    allowed: bool,
    /// Of batches that are always so large.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    periods: Option<f64>,
}

pub(super) fn run(args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let rolling = args.batches()?;
    let Some(plan) = rolling.plan() else {
        let waits = rolling.sizes().first().map_or(1.0, |size| size.wait_probability) * 100.0;
        let limit = rolling.max_wait_probability * 100.0;
        bail!(
            "not one of the endpoints can be spared: with one out {} % of requests would wait, at most {limit} % may",
            figure(waits)
        );
    };
    let shown = |size: &Size| {
        let always = rolling.always(size.batch);
        SizeDocument {
            batch: size.batch,
            left: rolling.endpoints - size.batch,
            wait_probability: size.wait_probability,
            allowed: size.allowed,
            cost: always.as_ref().map(|batches| batches.cost),
            periods: always.as_ref().map(|batches| batches.periods),
        }
    };
    // Those that are allowed, and the first that is not.
    let sizes = rolling.sizes();
    let allowed = sizes.iter().take_while(|size| size.allowed).count();
    let sizes: Vec<_> = sizes.iter().take(allowed + 1).map(shown).collect();
    match args.output {
        Output::Yaml => bail!("-o yaml prints steps of a canary: --rolling has none"),
        Output::Json => {
            let Batches { next, cost, periods } = &plan;
            let document = Document { batches: plan.if_all_is_well(), next, cost: *cost, periods: *periods, sizes };
            write_document(out, &document, Format::Json)?;
        }
        Output::Text => write(args, &plan, &sizes, out)?,
    }
    Ok(Outcome::Positive)
}

fn write(args: &PlanArgs, plan: &Batches, sizes: &[SizeDocument], out: &mut dyn Write) -> anyhow::Result<()> {
    let time = |periods: f64| span(seconds((args.period.as_secs_f64() * periods).round()));
    let batches: Vec<_> = plan.if_all_is_well().iter().map(ToString::to_string).collect();
    let (cost, takes) = (figure(plan.cost), time(plan.periods));
    writeln!(out, "batches of {}, if each comes back good; expected cost {cost}, {takes}", batches.join(", "))?;
    writeln!(out)?;
    let rows = sizes.iter().map(|size| {
        [
            size.batch.to_string(),
            size.left.to_string(),
            format!("{} %", figure(size.wait_probability * 100.0)),
            if size.allowed { "yes" } else { "no" }.to_owned(),
            size.cost.map_or(NONE.to_owned(), figure),
            size.periods.map_or(NONE.to_owned(), time),
        ]
    });
    write_table(out, ["ALWAYS", "LEFT", "WAITING", "ALLOWED", "COST", "TIME"], rows)?;
    Ok(())
}

impl PlanArgs {
    fn batches(&self) -> anyhow::Result<Rolling> {
        let room = &self.room;
        let (Some(endpoints), Some(concurrency), Some(in_flight)) = (room.endpoints, room.concurrency, room.in_flight)
        else {
            bail!("--rolling needs --endpoints, --concurrency and --in-flight");
        };
        if endpoints > MAX_ENDPOINTS {
            bail!("--endpoints: at most {MAX_ENDPOINTS} with --rolling");
        }
        if endpoints.saturating_mul(concurrency) > MAX_SLOTS {
            bail!("--concurrency: times --endpoints at most {MAX_SLOTS} with --rolling");
        }
        Ok(Rolling {
            endpoints,
            concurrency,
            load: in_flight * room.peak_factor.unwrap_or(1.0),
            success: self.rolling.success,
            period: self.cost_minute * self.period.as_secs_f64() / 60.0,
            waiting: self.rolling.cost_wait,
            max_wait_probability: room.max_wait_probability,
        })
    }
}
