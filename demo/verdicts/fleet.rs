//! What runs in one trial: two versions of a service, `serin`, and proxies under load.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::case::Trouble;
use super::garbage::Liar;
use super::relay::Relay;
use super::trial::Plan;
use super::visitors::{Tally, Visitors};
use crate::rig::envoy::Envoy;
use crate::rig::serin::{Options, Serin};

/// The proxies by id, and which variant of the protocol each speaks. The last one is the one in trouble.
const EDGES: [(&str, &str); 3] = [("edge-a", "delta"), ("edge-b", "sotw"), ("edge-c", "delta")];

/// The rollout, and so the service.
pub(crate) const ROLLOUT: &str = "shop";

/// From the start of an Envoy until it has acknowledged all it should have.
const START: Duration = Duration::from_secs(60);

/// Between two reports of a proxy.
const INTERVAL: &str = "1s";

/// What runs. Fields are dropped in this order: the load ends before the proxies, and they before `serin`.
pub(crate) struct Fleet {
    /// The proxies.
    pub(crate) edges: Vec<Edge>,
    /// The control plane.
    pub(crate) serin: Serin,
    liar: Option<Liar>,
    relay: Option<Relay>,
    trouble: Trouble,
}

/// One proxy and those who ask it.
pub(crate) struct Edge {
    binary: PathBuf,
    bootstrap: PathBuf,
    visitors: Option<Visitors>,
    envoy: Option<Envoy>,
    /// What came of the load before the proxy was started again.
    before: Tally,
    connections: u32,
    every: Duration,
}

impl Fleet {
    /// Starts all of it in `dir`, where `config/` has the files to serve.
    pub(crate) async fn start(plan: &Plan, dir: &Path) -> Result<Self> {
        let mut options = Options::new(plan.serin.clone(), dir.join("config"), dir);
        options.extra = ["--load-report-interval", INTERVAL].map(str::to_owned).into();
        let serin = Serin::start(options).await?;
        let mut relay = None;
        let mut edges = Vec::new();
        for (nth, (id, mode)) in EDGES.into_iter().enumerate() {
            let troubled = nth + 1 == EDGES.len();
            let mut options = vec!["--admin-port", "0"];
            if troubled && plan.trouble == Trouble::Garbage {
                options.push("--no-telemetry");
            } else {
                options.extend(["--telemetry-interval", INTERVAL]);
            }
            let mut text = serin.bootstrap(id, mode, &options)?;
            if troubled && plan.trouble == Trouble::CutOff {
                let wire = Relay::start(serin.xds()).await?;
                let port = |port: u16| format!("port_value: {port}");
                ensure!(text.contains(&port(serin.xds().port())), "no port of serin's in {text}");
                text = text.replace(&port(serin.xds().port()), &port(wire.addr.port()));
                relay = Some(wire);
            }
            let bootstrap = dir.join(format!("{id}.yaml"));
            std::fs::write(&bootstrap, text)?;
            let envoy = Envoy::start(&plan.envoy, &bootstrap).await?;
            edges.push(Edge {
                binary: plan.envoy.clone(),
                bootstrap,
                visitors: None,
                envoy: Some(envoy),
                before: Tally::default(),
                connections: plan.connections,
                every: plan.every,
            });
        }
        for edge in &mut edges {
            edge.visit().await?;
        }
        serin.synced(EDGES.len(), START).await?;
        let liar = (plan.trouble == Trouble::Garbage).then(|| {
            let clusters = ["blue", "green"].map(|version| format!("{ROLLOUT}/{version}"));
            Liar::start(serin.xds(), EDGES[EDGES.len() - 1].0, &clusters)
        });
        Ok(Self { edges, serin, liar: liar.transpose()?, relay, trouble: plan.trouble })
    }

    /// What came of all requests.
    pub(crate) fn tally(&self) -> Tally {
        let mut total = Tally::default();
        self.edges.iter().for_each(|edge| total.add(&edge.tally()));
        total
    }

    /// The proxies that follow what is asked of them.
    pub(crate) fn following(&self) -> &[Edge] {
        let lost = usize::from(self.relay.as_ref().is_some_and(Relay::is_dead));
        &self.edges[..self.edges.len() - lost]
    }

    /// What is to go wrong in the middle goes wrong now.
    pub(crate) async fn trouble(&mut self) -> Result<()> {
        match self.trouble {
            Trouble::None | Trouble::Garbage => Ok(()),
            Trouble::CutOff => {
                self.relay.as_ref().context("a wire to cut")?.go_dead();
                Ok(())
            }
            Trouble::Restarted => self.edges.last_mut().context("a proxy to start again")?.restart().await,
        }
    }

    /// How many messages of nonsense were sent.
    pub(crate) fn garbage(&self) -> Option<u64> {
        self.liar.as_ref().map(Liar::sent)
    }
}

impl Edge {
    /// What came of the requests to it.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = self.before.clone();
        if let Some(visitors) = &self.visitors {
            tally.add(&visitors.tally());
        }
        tally
    }

    async fn visit(&mut self) -> Result<()> {
        let addr = self.envoy.as_mut().context("a running Envoy")?.listener("http").await?;
        self.visitors = Some(Visitors::start(addr, self.connections, self.every));
        Ok(())
    }

    /// Nobody asks it while it is away.
    async fn restart(&mut self) -> Result<()> {
        if let Some(visitors) = self.visitors.take() {
            self.before.add(&visitors.leave().await);
        }
        self.envoy = None;
        self.envoy = Some(Envoy::start(&self.binary, &self.bootstrap).await?);
        self.visit().await
    }
}
