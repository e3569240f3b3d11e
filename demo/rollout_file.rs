//! The one file of the demo that is edited, and where a person edits it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serin::spec::{Backend, Endpoint, Severity, parse_file};

/// How the line begins that a person edits.
const TARGET: &str = "  target: ";

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
        let before = text.lines().position(|line| line.starts_with(TARGET)).context("no line `target:`")?;
        Ok(before + 1)
    }

    /// When it was last written; `None` while an editor is replacing it.
    pub(crate) fn written(&self) -> Option<SystemTime> {
        self.path.metadata().ok()?.modified().ok()
    }

    /// Where each version is served.
    pub(crate) fn endpoints(&self) -> Result<Vec<(String, SocketAddr)>> {
        let path = self.path.display().to_string();
        let (file, mistakes) = parse_file(&path.clone().into(), &std::fs::read_to_string(&self.path)?);
        if let Some(mistake) = mistakes.iter().find(|mistake| mistake.severity == Severity::Error) {
            bail!("{mistake}");
        }
        let mut all = Vec::new();
        for version in &file.rollouts.first().with_context(|| format!("{path} holds no rollout"))?.versions {
            let Backend::Endpoints { endpoints, .. } = &version.backend else {
                bail!("{} is no cluster of ours", version.name)
            };
            for endpoint in endpoints {
                let Endpoint::Ip(addr) = endpoint else { bail!("{} is not at an IP address", version.name) };
                all.push((version.name.to_string(), *addr));
            }
        }
        Ok(all)
    }

    /// Edits the target, as an editor does: the new text beside the old, then renamed over it.
    pub(crate) fn edit(&self, target: &str) -> Result<()> {
        let text = std::fs::read_to_string(&self.path)?;
        let line = text.lines().find(|line| line.starts_with(TARGET)).context("no line `target:`")?;
        let beside = self.path.with_extension("yaml.new");
        std::fs::write(&beside, text.replace(line, &format!("{TARGET}{target}")))?;
        std::fs::rename(&beside, &self.path)?;
        Ok(())
    }
}
