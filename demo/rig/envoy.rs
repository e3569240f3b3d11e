//! A real Envoy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::process::Process;
use super::{eventually, http};

/// Envoy waits this long for a control plane that says nothing, twice.
const START: Duration = Duration::from_secs(40);

/// A running Envoy.
pub(crate) struct Envoy {
    /// Its admin interface.
    pub(crate) admin: SocketAddr,
    process: Process,
}

impl Envoy {
    /// Starts the binary with a bootstrap, JSON or YAML by the file's ending. Returns once its admin interface answers.
    pub(crate) async fn start(binary: &Path, bootstrap: &Path) -> Result<Self> {
        let admin = bootstrap.with_extension("admin");
        if admin.exists() {
            // Another's, from before.
            std::fs::remove_file(&admin)?;
        }
        let mut command = Command::new(binary);
        command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        command.arg("--config-path").arg(bootstrap).arg("--admin-address-path").arg(&admin);
        let mut process = Process::start(command, &bootstrap.with_extension("log"))?;
        let admin = eventually("Envoy's admin address", START, async || {
            process.check_alive()?;
            Ok(std::fs::read_to_string(&admin).ok().and_then(|text| text.parse().ok()))
        })
        .await?;
        Ok(Self { admin, process })
    }

    /// Waits until it has its first configuration.
    pub(crate) async fn live(&mut self) -> Result<()> {
        eventually("Envoy to be live", START, async || {
            self.process.check_alive()?;
            Ok(http::get(self.admin, "/ready").await.is_ok().then_some(()))
        })
        .await
    }

    /// Waits until it listens, and says where: the first address of the listener `name`.
    pub(crate) async fn listener(&mut self, name: &str) -> Result<SocketAddr> {
        self.live().await?;
        eventually(&format!("the listener {name}"), START, async || {
            let listeners: Value = serde_json::from_str(&http::get(self.admin, "/listeners?format=json").await?)?;
            let found = listeners["listener_statuses"].as_array().into_iter().flatten().find(|l| l["name"] == name);
            let Some(socket) = found.map(|l| &l["local_address"]["socket_address"]) else { return Ok(None) };
            let ip = socket["address"].as_str().context("a listener without an address")?;
            let port = socket["port_value"].as_u64().context("a listener without a port")?;
            Ok(Some(SocketAddr::new(ip.parse()?, u16::try_from(port)?)))
        })
        .await
    }
}
