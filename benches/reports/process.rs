//! What the system says of a process.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a process needs beside its connections.
const OTHERS: u64 = 200;

/// What a process has taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds of CPU, in steps of a hundredth: all threads, also those that have ended.
    pub(crate) cpu: f64,
    /// Bytes of memory now.
    pub(crate) rss: f64,
    /// The most there ever were.
    pub(crate) most: f64,
}

impl Usage {
    /// Of the process with this id.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, the name in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("a short /proc/PID/stat")?.parse()?) };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kibibytes = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a short /proc/PID/status")?;
            Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
        };
        #[expect(clippy::cast_precision_loss, reason = "a hundred")]
        let second = clock_ticks_per_second() as f64;
        Ok(Self {
            cpu: (ticks(11)? + ticks(12)?) / second,
            rss: kibibytes("VmRSS:")? * 1024.0,
            most: kibibytes("VmHWM:")? * 1024.0,
        })
    }
}

/// Sees to it that so many connections can be open, here and in what is started from here.
pub(crate) fn allow_connections(nodes: u32) -> Result<()> {
    let needed = u64::from(nodes) + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        bail!(
            "{nodes} proxies need {needed} open files, and the limit is {maximum}: raise it (ulimit -Hn), or take fewer"
        );
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })?)
}
