//! Questions to a running serin, over the HTTP of its admin address.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use ureq::Agent;

/// An answer from the same network takes milliseconds; one that has not come by then does not come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which serin to ask.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The admin address of the serin to ask
    #[arg(long, value_name = "URL", env = "SERIN_SERVER", default_value = "http://127.0.0.1:18001")]
    server: String,
}

/// A running serin.
pub(super) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    /// Connects only when asked for something.
    pub(super) fn new(args: &ServerArgs) -> Self {
        // No proxy from the environment: the admin address is nobody else's business.
        let config =
            Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None).build();
        Self { agent: config.into(), base: args.server.trim_end_matches('/').to_owned() }
    }

    /// The text of one page.
    ///
    /// # Errors
    /// In one line, naming the server: when it cannot be reached, or answers with anything but 200.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<String> {
        let base = &self.base;
        let mut response = self
            .agent
            .get(format!("{base}{path}"))
            .call()
            .with_context(|| format!("cannot reach serin at {base} (is `serin serve` running? see --server)"))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().with_context(|| format!("{base}{path}"))?;
        if status != 200 {
            let error = serde_json::from_str::<serde_json::Value>(&text).ok();
            let words = error.as_ref().and_then(|error| error["error"].as_str()).unwrap_or("no reason given");
            bail!("{base}{path} answered {status}: {words}");
        }
        Ok(text)
    }
}
