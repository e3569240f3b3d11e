//! A control plane without proxies: a step is done as soon as it is entered, so a rollout waits for nothing but what
//! the test is about.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output};

use ::http::StatusCode;
use serde_json::{Value, json};

use crate::rig::http;
use crate::rig::serin::Serin;
use crate::site::{self, Site, rollout};

/// One.
pub(crate) struct Quiet {
    pub(crate) site: Site,
    serin: Option<Serin>,
    spec: String,
}

impl Quiet {
    /// With the rollout `shop` stable on blue. `strategy` in YAML's flow style; more lines of the spec may follow.
    pub(crate) async fn new(spec: &str) -> Self {
        let site = Site::new();
        let mut quiet = Self { site, serin: None, spec: spec.to_owned() };
        quiet.edit("blue");
        quiet.serin = Some(quiet.site.serve().await);
        quiet
    }

    /// The rollout of [`Self::new`] with this target.
    pub(crate) fn edit(&self, target: &str) {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = rollout("{}", &[("blue", nowhere), ("green", nowhere)], target, &self.spec);
        self.site.write("shop.yaml", &text);
    }

    pub(crate) fn serin(&self) -> &Serin {
        self.serin.as_ref().unwrap()
    }

    /// Waits until `holds` of the rollout's status.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        site::until(self.serin(), "shop", what, holds).await
    }

    /// Waits until its message has these words.
    pub(crate) async fn says(&self, words: &str) -> Value {
        self.until(words, |status| site::says(status, words)).await
    }

    /// Waits until it is stable on `version`.
    pub(crate) async fn healthy(&self, version: &str) -> Value {
        self.until("healthy", |status| status["phase"] == "Healthy" && status["stable"] == version).await
    }

    /// A command that must be carried out.
    pub(crate) async fn command(&self, verb: &str) -> Value {
        self.order(verb, json!({"actor": "test"})).await
    }

    /// The same with more said.
    pub(crate) async fn order(&self, verb: &str, body: Value) -> Value {
        let (status, answer) = self.serin().command("shop", verb, body).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{verb}: {answer}");
        answer
    }

    /// `kill -9` and a new start, with what `between` does while it is down.
    pub(crate) async fn restart(&mut self, between: impl FnOnce()) {
        let options = self.serin.take().unwrap().kill().unwrap();
        between();
        self.serin = Some(Serin::start(options).await.unwrap());
    }

    /// The journal, oldest first.
    pub(crate) async fn history(&self) -> Vec<Value> {
        let page = http::get(self.serin().admin(), "/api/v1/rollouts/shop/history").await.unwrap();
        serde_json::from_str::<Value>(&page).unwrap()["entries"].as_array().unwrap().clone()
    }

    /// The same as one line for each entry, for messages of failed tests.
    pub(crate) async fn journal(&self) -> String {
        self.history().await.iter().fold(String::new(), |mut lines, entry| {
            writeln!(lines, "{} {}: {} -> {}", entry["at"], entry["actor"], entry["why"], entry["to"]["at"]).unwrap();
            lines
        })
    }

    /// How to run a command of the program against this server.
    pub(crate) fn cli(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
        command.args(line.split_whitespace()).env("SERIN_SERVER", format!("http://{}", self.serin().admin()));
        command
    }

    /// Runs one to its end.
    pub(crate) async fn run(&self, line: &str) -> Ran {
        let mut command = self.cli(line);
        let Output { status, stdout, stderr } =
            tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}
