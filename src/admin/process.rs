//! What the process takes from its machine, under the names that Prometheus' own clients give it. Known on Linux.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

use super::metrics::{Page, real};

/// What it takes, and since when it runs.
#[derive(Debug)]
pub(super) struct Process {
    started: SystemTime,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Usage {
    /// Seconds of processors.
    processors: f64,
    /// Bytes of memory that is not swapped out.
    resident: u64,
    /// Open file descriptors.
    files: u64,
    /// How many there may be; `None` without a limit.
    most_files: Option<u64>,
}

impl Process {
    pub(super) fn now(started: SystemTime) -> Self {
        Self { started, usage: usage() }
    }

    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let seconds = Unit::Seconds;
        page.single("process_start_time", "When the process started.", Some(&seconds), &started)?;
        let Some(Usage { processors, resident, files, most_files }) = &self.usage else { return Ok(()) };
        let help = "Time that processors have spent on it.";
        let mut metric = page.0.encode_descriptor("process_cpu", help, Some(&seconds), MetricType::Counter)?;
        metric.encode_counter(processors, None::<&Exemplar<[(&str, &str); 0], f64>>)?;
        let bytes = Some(&Unit::Bytes);
        page.single("process_resident_memory", "Memory that is not swapped out.", bytes, resident)?;
        page.single("process_open_fds", "Open file descriptors.", None, files)?;
        let Some(most) = most_files else { return Ok(()) };
        page.single("process_max_fds", "How many file descriptors may be open.", None, most)
    }
}

#[cfg(target_os = "linux")]
fn usage() -> Option<Usage> {
    use procfs::WithCurrentSystemInfo;
    use procfs::process::{LimitValue, Process};

    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let most_files = match process.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(most) => Some(most),
        LimitValue::Unlimited => None,
    };
    Some(Usage {
        processors: real(stat.utime + stat.stime) / real(procfs::ticks_per_second()),
        resident: stat.rss_bytes().get(),
        files: process.fd_count().ok()?.try_into().ok()?,
        most_files,
    })
}

#[cfg(not(target_os = "linux"))]
fn usage() -> Option<Usage> {
    None
}
