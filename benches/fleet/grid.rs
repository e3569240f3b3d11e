//! The figures of one cell.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use nix::time::ClockId;
use serde::Serialize;
use tokio::time::sleep;

use crate::cell::Cell;
use crate::fleet::{Contender, Fleet, LIMIT, Stage};
use crate::now;

/// How long a server may take to work off the acknowledgements of a change.
const REST: Duration = Duration::from_secs(20);

/// For so long it is seen what a server uses of the processor with nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// What one server did in one cell. Times are milliseconds; of several changes, medians over them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) server: &'static str,
    /// From the first connection to the last stream that has all it asked for.
    pub(crate) storm_ms: f64,
    /// From the change to its arrival and acknowledgement, over the streams.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// The server's processor time for one change, from the change until it is at rest, less what it uses idle.
    pub(crate) cpu_ms: f64,
    /// That per stream, in microseconds.
    pub(crate) cpu_us_per_stream: f64,
    /// The same of this client: it takes its share of the machine.
    pub(crate) client_cpu_ms: f64,
    /// Bytes of responses per stream for one change.
    pub(crate) bytes_per_stream: f64,
    /// What the server's resident memory grew by with all connected, per stream.
    pub(crate) kib_per_stream: f64,
}

/// Runs one cell.
pub(crate) async fn measure(cell: Cell, contender: &Contender, changes: u32) -> Result<Figures> {
    let stage = Stage::start(cell, contender).await?;
    let server = &stage.server;
    let before = server.memory()?;
    let (plan, _) = stage.scout().await?;
    let (fleet, storm) = Fleet::connect(Rc::new(plan), cell.streams).await?;
    server.rest(REST).await?;
    let after = server.memory()?;
    let pushes = pushes(&stage, &fleet, changes).await?;
    let median = |figure: fn(&Push) -> f64| median(pushes.iter().map(figure));
    let streams = f64::from(cell.streams);
    Ok(Figures {
        server: contender.name,
        storm_ms: milliseconds(storm),
        p50_ms: median(|push| push.p50_ms),
        p99_ms: median(|push| push.p99_ms),
        max_ms: median(|push| push.max_ms),
        cpu_ms: median(|push| push.cpu_ms),
        cpu_us_per_stream: median(|push| push.cpu_ms) * 1000.0 / streams,
        client_cpu_ms: median(|push| push.client_cpu_ms),
        bytes_per_stream: median(|push| push.bytes) / streams,
        kib_per_stream: (f64::from(after) - f64::from(before)) / streams,
    })
}

/// One change, on all streams.
pub(crate) struct Push {
    p50_ms: f64,
    pub(crate) p99_ms: f64,
    max_ms: f64,
    cpu_ms: f64,
    client_cpu_ms: f64,
    bytes: f64,
}

/// So many changes, one after the other, and one before them that finds nothing in the server's caches and is not counted.
pub(crate) async fn pushes(stage: &Stage, fleet: &Fleet, changes: u32) -> Result<Vec<Push>> {
    let before = milliseconds(stage.server.cpu()?);
    sleep(IDLE).await;
    let idle = (milliseconds(stage.server.cpu()?) - before) / milliseconds(IDLE);
    push(stage, fleet, idle).await?;
    let mut pushes = Vec::new();
    for _ in 0..changes {
        pushes.push(push(stage, fleet, idle).await?);
    }
    Ok(pushes)
}

/// Makes a change and waits until every stream has it. `idle` is the share of a processor that the server uses anyway.
async fn push(stage: &Stage, fleet: &Fleet, idle: f64) -> Result<Push> {
    let streams = fleet.board.count_streams();
    let (cpu, client, began) = (milliseconds(stage.server.cpu()?), own_cpu()?, now());
    stage.change(&fleet.board).await?;
    fleet.board.wait("a change", LIMIT, |board| board.count_arrived() == streams).await?;
    let client = own_cpu()? - client;
    stage.server.rest(REST).await?;
    let cpu = milliseconds(stage.server.cpu()?) - cpu;
    let (arrivals, bytes) = fleet.board.arrivals();
    Ok(Push {
        p50_ms: milliseconds(percentile(&arrivals, 50)),
        p99_ms: milliseconds(percentile(&arrivals, 99)),
        max_ms: milliseconds(percentile(&arrivals, 100)),
        cpu_ms: (cpu - idle * milliseconds(began.elapsed())).max(0.0),
        client_cpu_ms: client,
        bytes: real(bytes),
    })
}

/// Processor time that this process has used, in milliseconds.
fn own_cpu() -> Result<f64> {
    Ok(milliseconds(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into()))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes stay far below 2^52")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The least of `sorted` that so many percent of them do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
