//! The server under test: a process of its own, whose processor time and memory are read from outside.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cell::Cell;
use crate::now;
use crate::site::Site;

/// A server listens and has read its files after so long at the latest.
const START: Duration = Duration::from_secs(120);

/// A server is at rest that uses less than this of the processor in that time.
const AT_REST: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(100));

/// A running server; killed and reaped when dropped.
pub(crate) struct Server {
    child: Child,
    clock: ClockId,
    /// Where proxies connect to.
    pub(crate) grpc: SocketAddr,
    /// Where people do.
    pub(crate) http: SocketAddr,
}

impl Server {
    /// Starts `command`, in whose words the names in braces are filled in, and waits until it listens and is at rest.
    pub(crate) async fn start(command: &str, cell: &Cell, site: &Site) -> Result<Self> {
        let (grpc, http) = (free_port()?, free_port()?);
        let mut words = command.split_whitespace().map(|word| {
            word.replace("{serin}", env!("CARGO_BIN_EXE_serin"))
                .replace("{config}", &site.config().to_string_lossy())
                .replace("{state}", &site.state().to_string_lossy())
                .replace("{grpc}", &grpc.to_string())
                .replace("{http}", &http.to_string())
                .replace("{services}", &cell.services.to_string())
                .replace("{layout}", cell.layout.name())
        });
        let log = File::create(site.log())?;
        let program = words.next().context("an empty command")?;
        let mut process = Command::new(&program);
        process.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = process.spawn().with_context(|| format!("cannot start {program}"))?;
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(child.id())?))?;
        let mut server = Self { child, clock, grpc, http };
        let began = now();
        while TcpStream::connect(grpc).await.is_err() {
            if server.child.try_wait()?.is_some() || began.elapsed() > START {
                bail!("{command:?} does not listen:\n{}", fs::read_to_string(site.log())?);
            }
            sleep(Duration::from_millis(20)).await;
        }
        server.rest(START).await?;
        Ok(server)
    }

    /// Processor time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(self.clock.now().context("the server has ended")?.into())
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(&self) -> Result<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the server has ended")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Waits until it has nothing to do, or for `limit`.
    pub(crate) async fn rest(&self, limit: Duration) -> Result<()> {
        let (little, time) = AT_REST;
        let began = now();
        loop {
            let before = self.cpu()?;
            sleep(time).await;
            if self.cpu()? < before + little || began.elapsed() > limit {
                return Ok(());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One that nobody has now.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
