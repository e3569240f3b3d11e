//! The one file of the demo that is edited: what it asks for, and where a person edits it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serin::spec::{Backend, Endpoint, Rollout, Severity, Strategy, TOTAL_WEIGHT, parse_file};

/// Percent per version, by version.
pub(crate) type Split = BTreeMap<String, f64>;

/// `rollouts/shop.yaml` of the demo's own copy of its configuration.
pub(crate) struct RolloutFile {
    path: PathBuf,
}

impl RolloutFile {
    /// The file at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the line that a person edits, from 1.
    pub(crate) fn line(&self) -> Result<usize> {
        let text = std::fs::read_to_string(&self.path)?;
        let before = text.lines().position(|line| line.contains("weights:")).context("no line `weights:`")?;
        Ok(before + 1)
    }

    /// When it was last written; `None` while an editor is replacing it.
    pub(crate) fn written(&self) -> Option<SystemTime> {
        self.path.metadata().ok()?.modified().ok()
    }

    /// The split it asks for; an error that says what is wrong with it where it holds no rollout.
    pub(crate) fn asked(&self) -> Result<Split> {
        let rollout = self.read()?;
        let weight = |version: &Arc<str>| match &rollout.strategy {
            Strategy::Weights(split) => {
                split.0.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight)
            }
            _ if rollout.target.as_ref() == Some(version) => TOTAL_WEIGHT,
            _ => 0,
        };
        let percent = |weight: u32| 100.0 * f64::from(weight) / f64::from(TOTAL_WEIGHT);
        Ok(rollout.versions.iter().map(|version| (version.name.to_string(), percent(weight(&version.name)))).collect())
    }

    /// Where each version is served.
    pub(crate) fn endpoints(&self) -> Result<Vec<(String, SocketAddr)>> {
        let mut all = Vec::new();
        for version in self.read()?.versions {
            let Backend::Endpoints { endpoints, .. } = version.backend else {
                bail!("{} is no cluster of ours", version.name)
            };
            for endpoint in endpoints {
                let Endpoint::Ip(addr) = endpoint else { bail!("{} is not at an IP address", version.name) };
                all.push((version.name.to_string(), addr));
            }
        }
        Ok(all)
    }

    /// Edits the weights, as an editor does: the new text beside the old, then renamed over it.
    pub(crate) fn edit(&self, weights: &str) -> Result<()> {
        let text = std::fs::read_to_string(&self.path)?;
        let line = text.lines().find(|line| line.contains("weights:")).context("no line `weights:`")?;
        let (head, _) = line.split_once('{').context("no `{` after `weights:`")?;
        let (_, tail) = line.split_once('}').context("no `}` after `weights:`")?;
        let beside = self.path.with_extension("yaml.new");
        std::fs::write(&beside, text.replace(line, &format!("{head}{{{weights}}}{tail}")))?;
        std::fs::rename(&beside, &self.path)?;
        Ok(())
    }

    fn read(&self) -> Result<Rollout> {
        let path = self.path.display().to_string();
        let text = std::fs::read_to_string(&self.path).with_context(|| path.clone())?;
        let (file, mistakes) = parse_file(&path.clone().into(), &text);
        let errors = mistakes.iter().filter(|mistake| mistake.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        if !errors.is_empty() {
            bail!(errors.join("\n"));
        }
        let rollout = file.rollouts.into_iter().next().with_context(|| format!("{path} holds no rollout"))?;
        Ok(Arc::unwrap_or_clone(rollout))
    }
}
