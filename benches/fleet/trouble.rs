//! What a fleet goes through: streams that come and go, and streams that never read.

use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cell::Cell;
use crate::fleet::{Contender, Fleet, LIMIT, Stage};
use crate::grid::{median, pushes};
use crate::now;

/// Streams that come and go in a second: what their closed connections leave behind must not use up the ports there are.
const GOING: u32 = 100;

/// For `time` streams end and others come in their place, while one change a second is made. An error when at the end a
/// stream is not given the newest routes.
pub(crate) async fn churn(cell: Cell, contender: &Contender, time: Duration, out: &mut impl Write) -> Result<()> {
    let stage = Stage::start(cell, contender).await?;
    let plan = Rc::new(stage.scout().await?.0);
    let (mut fleet, _) = Fleet::connect(plan, cell.streams).await?;
    stage.server.rest(LIMIT).await?;
    writeln!(out, "{cell}: {} KiB with all connected", stage.server.memory()?)?;

    let all = usize::try_from(cell.streams)?;
    let (began, mut changes, mut gone) = (now(), 0_u32, 0_usize);
    let mut half = Some(time / 2);
    let mut changing = interval(Duration::from_secs(1));
    let mut going = interval(Duration::from_secs(1) / GOING);
    going.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < time {
        tokio::select! {
            _ = changing.tick() => {
                stage.change(&fleet.board).await?;
                changes += 1;
            }
            _ = going.tick() => {
                fleet.replace(gone % all).await?;
                gone += 1;
            }
        }
        if half.take_if(|half| began.elapsed() >= *half).is_some() {
            writeln!(out, "{cell}: {} KiB half way", stage.server.memory()?)?;
        }
    }
    stage.change(&fleet.board).await?;
    stage.server.rest(LIMIT).await?;
    let newest = stage.scout().await?.1;
    let end = now();
    while fleet.board.count_without(&newest) > 0 && end.elapsed() < LIMIT {
        fleet.board.wait("churn", LIMIT, |_| true).await?;
        sleep(Duration::from_millis(100)).await;
    }
    let memory = stage.server.memory()?;
    writeln!(out, "{cell}: {memory} KiB at the end, after {gone} streams came and went and {changes} changes")?;
    match fleet.board.count_without(&newest) {
        0 => Ok(writeln!(out, "{cell}: all {all} streams have the newest routes")?),
        lost => bail!("{cell}: {lost} of {all} streams were not given the newest routes"),
    }
}

/// How soon a change arrives, without and with so many streams beside that never read.
pub(crate) async fn stalled(
    cell: Cell,
    contender: &Contender,
    stalled: u32,
    changes: u32,
    out: &mut impl Write,
) -> Result<()> {
    let stage = Stage::start(cell, contender).await?;
    let plan = Rc::new(stage.scout().await?.0);
    let (mut fleet, _) = Fleet::connect(plan, cell.streams).await?;
    let p99 = async |fleet: &Fleet| -> Result<(f64, u32)> {
        stage.server.rest(LIMIT).await?;
        let pushes = pushes(&stage, fleet, changes).await?;
        Ok((median(pushes.iter().map(|push| push.p99_ms)), stage.server.memory()?))
    };
    let (before, memory) = p99(&fleet).await?;
    writeln!(out, "{cell}: p99 {before:.1} ms, {memory} KiB, alone")?;
    fleet.stall(stalled)?;
    sleep(Duration::from_secs(1)).await;
    let (after, memory) = p99(&fleet).await?;
    let ratio = after / before;
    writeln!(out, "{cell}: p99 {after:.1} ms, {memory} KiB, beside {stalled} that never read: {ratio:.2} times")?;
    Ok(())
}
