//! All that the demo runs: the upstreams, `serin`, three Envoys, and the load on each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::rig::envoy::Envoy;
use crate::rig::load::{Load, Rate};
use crate::rig::repository;
use crate::rig::serin::{Options, Serin};
use crate::rig::upstream::Upstream;
use crate::rollout_file::RolloutFile;

/// The rollout of the demo.
pub(crate) const ROLLOUT: &str = "shop";

/// The Envoys by id, and which variant of the protocol each speaks.
const EDGES: [(&str, &str); 3] = [("edge-a", "delta"), ("edge-b", "delta"), ("edge-c", "sotw")];

/// 200 requests a second on each Envoy.
const RATE: Rate = Rate { connections: 4, every: Duration::from_millis(20), requests: u64::MAX };

/// From the start of an Envoy until it has acknowledged all it should have.
const START: Duration = Duration::from_secs(30);

/// What runs. Fields are dropped in this order: the load ends before the proxies, and they before `serin`.
pub(crate) struct Stage {
    /// The Envoys, each under load.
    pub(crate) edges: Vec<Edge>,
    /// The control plane.
    pub(crate) serin: Serin,
    /// The `serin` that a person can run.
    pub(crate) command: PathBuf,
    /// What serves each version.
    pub(crate) upstreams: Vec<(String, Upstream)>,
}

/// One Envoy under load.
pub(crate) struct Edge {
    /// `node.id`
    pub(crate) id: &'static str,
    /// `delta` or `sotw`
    pub(crate) mode: &'static str,
    /// Where it takes requests.
    pub(crate) addr: SocketAddr,
    /// The load on it.
    pub(crate) load: Load,
    _envoy: Envoy,
}

impl Stage {
    /// Starts everything on a fresh copy of `demo/config/local`, whose rollout is the file that is returned.
    pub(crate) async fn start(envoy: &Path) -> Result<(Self, RolloutFile)> {
        let run = repository().join("demo/run");
        // Shorter for a person who stands in the repository.
        let here = std::env::current_dir()?;
        let short = |path: &Path| path.strip_prefix(&here).unwrap_or(path).to_path_buf();
        let (run, command) = (short(&run), short(&binary()?));
        if run.exists() {
            std::fs::remove_dir_all(&run)?;
        }
        let config = run.join("config");
        copy(&repository().join("demo/config/local"), &config)?;
        let file = RolloutFile::new(config.join("rollouts/shop.yaml"));

        let mut upstreams = Vec::new();
        for (colour, addr) in file.endpoints()? {
            let upstream = Upstream::start(addr, &colour).await?;
            upstreams.push((colour, upstream));
        }

        let serin = Serin::start(Options::new(command.clone(), config, &run)).await?;
        let mut envoys = Vec::new();
        for (id, mode) in EDGES {
            envoys.push((id, mode, Envoy::start(envoy, &serin.write_bootstrap(id, mode, &run)?).await?));
        }
        let mut edges = Vec::new();
        for (id, mode, mut envoy) in envoys {
            let addr = envoy.listener("http").await?;
            edges.push((id, mode, addr, envoy));
        }
        serin.synced(EDGES.len(), START).await?;
        let edges = edges
            .into_iter()
            .map(|(id, mode, addr, envoy)| Edge { id, mode, addr, load: Load::start(addr, RATE), _envoy: envoy })
            .collect();
        Ok((Self { edges, serin, command, upstreams }, file))
    }
}

/// The `serin` that cargo built beside this example.
fn binary() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let target = example.parent().and_then(Path::parent).context("this program lies in no target folder")?;
    Ok(target.join("serin"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
