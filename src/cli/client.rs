//! Questions to a running serin, over the HTTP of its admin address.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// An answer from the same network takes milliseconds; one that has not come by then does not come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes: more than any page has, a journal of 10,000 entries included.
const MAX_ANSWER: u64 = 1 << 28;

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
        let (status, text) = self.read(path, self.agent.get(self.url(path)).call())?;
        if status == 200 { Ok(text) } else { self.fail(path, status, &text) }
    }

    /// Whether it serves: `Err` says in the server's words what it waits for.
    ///
    /// # Errors
    /// In one line, naming the server: when it cannot be reached, or answers with anything but 200 and 503.
    pub(super) fn ready(&self) -> anyhow::Result<Result<(), String>> {
        let path = "/readyz";
        let (status, text) = self.read(path, self.agent.get(self.url(path)).call())?;
        match status.as_u16() {
            200 => Ok(Ok(())),
            503 => Ok(Err(words(&text))),
            _ => self.fail(path, status, &text),
        }
    }

    /// The answer to a command: `Err` says in the server's words why it makes no sense as things are.
    ///
    /// # Errors
    /// In one line, naming the server: when it cannot be reached, or answers with anything but 200 and 409.
    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Result<String, String>> {
        let (status, text) = self.read(path, self.agent.post(self.url(path)).send_json(body))?;
        match status.as_u16() {
            200 => Ok(Ok(text)),
            409 => Ok(Err(words(&text))),
            _ => self.fail(path, status, &text),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn read(&self, path: &str, response: Result<Response<Body>, ureq::Error>) -> anyhow::Result<(StatusCode, String)> {
        let base = &self.base;
        let mut response = response
            .with_context(|| format!("cannot reach serin at {base} (is `serin serve` running? see --server)"))?;
        let limit = response.body_mut().with_config().limit(MAX_ANSWER);
        let text = limit.read_to_string().with_context(|| self.url(path))?;
        Ok((response.status(), text))
    }

    fn fail<T>(&self, path: &str, status: StatusCode, text: &str) -> anyhow::Result<T> {
        bail!("{} answered {status}: {}", self.url(path), words(text))
    }
}

/// What a server says that it did not do as asked.
fn words(text: &str) -> String {
    let error = serde_json::from_str::<serde_json::Value>(text).ok();
    error.as_ref().and_then(|error| error["error"].as_str()).unwrap_or("no reason given").to_owned()
}
