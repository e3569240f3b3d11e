//! The split that is asked for is the split that is seen: by Envoy in both variants of the protocol, and by gRPC.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::binomial::p_value;
use crate::bootstrap::of_repository;
use crate::rig::load::Rate;
use crate::rig::process::Process;
use crate::rig::{eventually, repository};
use crate::site::{self, LIMIT, Proxy, Site, assert_none_failed, rollout};

/// 20,000 requests.
const SAMPLE: Rate = Rate { connections: 8, every: Duration::ZERO, requests: 2_500 };

/// A count of requests that is less likely than this was not drawn from the split that is asked for.
const CHANCE: f64 = 0.001;

/// Samples taken before a split is called wrong: of a true one, a thousandth of the samples is that unlikely, so that two
/// in a row are a false alarm once in a million; a wrong one fails them all.
const SAMPLES: usize = 2;

async fn assert_split(proxy: &Proxy, green: f64) {
    let mut seen = Vec::new();
    for _ in 0..SAMPLES {
        let tally = proxy.load(SAMPLE).finish().await;
        assert_none_failed(&proxy.id, &tally);
        if p_value(tally.of("green"), tally.requests, green / 100.0) > CHANCE {
            return;
        }
        seen.push(tally);
    }
    panic!("{}: asked for {green} %, seen {seen:?}", proxy.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoys_split_as_asked() {
    let site = Site::new();
    let colours = site::colours().await;
    let versions = [("blue", colours[0].1.addr), ("green", colours[1].1.addr)];
    let asks = |green: f64| {
        rollout("{}", &versions, "blue", &format!("{{weights: {{blue: {}, green: {green}}}}}", 100.0 - green))
    };
    site.write("shop.yaml", &asks(0.0));
    let serin = site.serve().await;
    let proxies = site.proxies(&serin, &["sotw", "delta"]).await;
    for green in [10.0, 50.0, 0.5] {
        let mark = serin.mark().await.unwrap();
        site.write("shop.yaml", &asks(green));
        serin.converged(&mark, LIMIT).await.unwrap();
        for proxy in &proxies {
            assert_split(proxy, green).await;
        }
    }
}

/// A gRPC client of `xds:///shop.grpc`.
struct GrpcClient {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

#[derive(Debug, Deserialize)]
struct Answers {
    blue: u64,
    green: u64,
    failed: u64,
}

impl GrpcClient {
    fn start(bootstrap: &Path) -> Self {
        let mut child = Command::new(repository().join("tools/python.sh"))
            .arg(repository().join("tests/python/grpc_client.py"))
            .arg("xds:///shop.grpc")
            .env("GRPC_XDS_BOOTSTRAP", bootstrap)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// Makes calls until a sample of them is split as asked; fails after `samples` of them that are not.
    fn assert_split(&mut self, green: f64, samples: usize) {
        let mut seen = Vec::new();
        for _ in 0..samples {
            let answers = self.call(2_000);
            assert_eq!(answers.failed, 0, "{answers:?}");
            if p_value(answers.green, answers.blue + answers.green, green / 100.0) > CHANCE {
                return;
            }
            seen.push(answers);
        }
        panic!("asked for {green} %, seen {seen:?}");
    }

    /// Makes `n` calls.
    fn call(&mut self, n: u64) -> Answers {
        writeln!(self.child.stdin.as_mut().unwrap(), "{n}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for GrpcClient {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A gRPC service that answers with its colour, and its address.
async fn grpc_upstream(colour: &str, dir: &Path) -> (Process, SocketAddr) {
    let mut command = Command::new(repository().join("tools/python.sh"));
    command.arg(repository().join("tests/python/grpc_upstream.py")).arg(colour);
    let mut process = Process::start(command, &dir.join(format!("{colour}.log"))).unwrap();
    let addr = eventually("the address of a gRPC upstream", LIMIT, async || {
        process.check_alive()?;
        Ok(process.printed()?.lines().find_map(|line| line.strip_prefix("listening at ")?.parse().ok()))
    });
    let addr = addr.await.unwrap();
    (process, addr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_client_splits_as_asked() {
    let site = Site::new();
    let (_blue, blue) = grpc_upstream("blue", site.path()).await;
    let (_green, green) = grpc_upstream("green", site.path()).await;
    let asks = |percent: f64| {
        let weights = format!("{{weights: {{blue: {}, green: {percent}}}}}", 100.0 - percent);
        rollout("{}", &[("blue", blue), ("green", green)], "blue", &weights)
    };
    site.write("shop.yaml", &asks(20.0));
    site.write("grpc.yaml", &std::fs::read_to_string(repository().join("tests/it/grpc.yaml")).unwrap());
    let serin = site.serve().await;
    let bootstrap = site.path().join("grpc.json");
    std::fs::write(&bootstrap, of_repository("grpc-client.json", &serin)).unwrap();

    let mut client = GrpcClient::start(&bootstrap);
    client.assert_split(20.0, SAMPLES);
    for percent in [75.0, 0.0, 100.0, 50.0] {
        let mark = serin.mark().await.unwrap();
        site.write("shop.yaml", &asks(percent));
        serin.converged(&mark, LIMIT).await.unwrap();
        // gRPC acknowledges routes before it uses them: it waits for the clusters that they name. One sample may
        // still see the old split.
        client.assert_split(percent, SAMPLES + 1);
    }
}
