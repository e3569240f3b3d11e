//! A real Prometheus: analysis steps that ask one which scrapes a local page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::analysis::judged;
use crate::desk::{Desk, Reply};
use crate::rig::process::Process;
use crate::rig::{eventually, http, repository};
use crate::site::{ANY, LIMIT};

/// The Prometheus of this machine.
pub(crate) static PROMETHEUS: LazyLock<PathBuf> = LazyLock::new(|| {
    let output = Command::new(repository().join("tools/prometheus.sh")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

const PAGE: &str = "shop_rate{version=\"blue\"} 99.9\nshop_rate{version=\"green\"} 99.5\nshop_nan NaN\n";

/// One that has scraped a page.
pub(crate) struct Prometheus {
    addr: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
    _page: Option<Desk>,
}

impl Prometheus {
    async fn start() -> Self {
        let page = Desk::open().await;
        page.tell("metrics", &[Reply::ok(PAGE)]);
        let target = page.url("").replace("http://", "").replace('/', "");
        Self { _page: Some(page), ..Self::scraping("shop", &target, &[]).await }
    }

    /// Follows `target` in the job of that name, and evaluates the rules of these files.
    pub(crate) async fn scraping(job: &str, target: &str, rules: &[&Path]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let times = "{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}";
        let jobs = format!("[{{job_name: {job}, static_configs: [{{targets: ['{target}']}}]}}]");
        let text = format!("global: {times}\nrule_files: {rules:?}\nscrape_configs: {jobs}\n");
        std::fs::write(&config, text).unwrap();
        // It does not say which port it took: it is given one that was free.
        let addr = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
        let mut command = Command::new(&*PROMETHEUS);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={addr}"));
        let mut process = Process::start(command, &dir.path().join("log")).unwrap();
        eventually("Prometheus to have scraped", LIMIT, async || {
            process.check_alive()?;
            let up = query(addr, "up == 1").await.unwrap_or_default();
            Ok((!up.is_empty()).then_some(()))
        })
        .await
        .unwrap();
        Self { addr, _process: process, _dir: dir, _page: None }
    }

    /// The vector that a query gives now.
    pub(crate) async fn query(&self, expression: &str) -> Vec<Value> {
        query(self.addr, expression).await.unwrap()
    }

    /// Waits until a query gives something, and returns that.
    pub(crate) async fn finds(&self, expression: &str) -> Vec<Value> {
        let found = async || Ok(Some(self.query(expression).await).filter(|vector| !vector.is_empty()));
        eventually(expression, LIMIT, found).await.unwrap()
    }

    /// A metric that asks it.
    fn metric(&self, name: &str, query: &str, more: &str) -> String {
        format!(
            "{{name: {name}, {more}, provider: {{prometheus: {{address: 'http://{}', query: '{query}'}}}}}}",
            self.addr
        )
    }

    /// One that asks for the last minute.
    fn range(&self, name: &str, query: &str, more: &str) -> String {
        let range = "{start: now() - duration(\"1m\"), end: now(), step: 1s}";
        let metric = self.metric(name, query, more);
        metric.replace(&format!("query: '{query}'"), &format!("query: '{query}', rangeQuery: {range}"))
    }
}

async fn query(addr: SocketAddr, expression: &str) -> anyhow::Result<Vec<Value>> {
    let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
    let answer = http::get(addr, &format!("/api/v1/query?query={expression}")).await?;
    let answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_lets_it_pass() {
    let prometheus = Prometheus::start().await;
    let metrics = [
        prometheus.metric(
            "one",
            "shop_rate{version=\"green\"}",
            "successCondition: 'result[0] >= 99', count: 2, interval: 10ms",
        ),
        prometheus.metric("scalar", "scalar(shop_rate{version=\"green\"})", "thresholdRange: {min: 99.5, max: 99.5}"),
        prometheus.metric("vector", "shop_rate", "failureCondition: 'result.exists(x, x < 99.5) || len(result) != 2'"),
        prometheus.range("range", "shop_rate", "mustHaveData: true, successCondition: 'result.all(x, x >= 99)'"),
        prometheus.metric("nothing", "shop_lost", "successCondition: 'len(result) == 0'"),
    ];
    let quiet = judged(&metrics.join(", ")).await;
    quiet.healthy("green").await;
    let journal = quiet.journal().await;
    assert!(journal.contains("analysis golden passes"), "{journal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_prometheus_says_aborts() {
    let prometheus = Prometheus::start().await;
    let at_once = "consecutiveErrorLimit: 0";
    for (metric, words) in [
        (
            prometheus.range("range", "shop_rate", "successCondition: 'result.all(x, x > 99.7)'"),
            "does not meet result.all(x, x > 99.7) (1 of 1 measurements failed, limit 0)",
        ),
        (
            prometheus.metric("nan", "shop_nan", &format!("{at_once}, successCondition: '!(result[0] < 0.9)'")),
            "nan could not be measured (1 in a row, limit 0): NaN is compared",
        ),
        (
            prometheus.metric("lost", "shop_lost", &format!("{at_once}, thresholdRange: {{min: 1}}")),
            "lost could not be measured (1 in a row, limit 0): the query finds no data",
        ),
        (
            prometheus.metric("lost", "shop_lost", "mustHaveData: true, thresholdRange: {min: 1}"),
            "lost has no data: the query finds no data (1 of 1 measurements failed, limit 0)",
        ),
        (
            prometheus.metric("two", "shop_rate", &format!("{at_once}, thresholdRange: {{min: 1}}")),
            "two could not be measured (1 in a row, limit 0): there are 2 values, not one",
        ),
        (
            prometheus.metric("odd", "sum(", &format!("{at_once}, thresholdRange: {{min: 1}}")),
            "odd could not be measured (1 in a row, limit 0): answered 400: bad_data:",
        ),
    ] {
        let quiet = judged(&metric).await;
        let status = quiet.says(words).await;
        assert_eq!(status["phase"], "Degraded", "{status}");
    }
}
