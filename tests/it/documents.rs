//! What the README and the Makefile tell a newcomer to do works.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::rig::process::Process;
use crate::rig::{eventually, http, repository};
use crate::site::{ENVOY, LIMIT};

/// Where the README's Envoy takes requests.
const EDGE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10_000);

/// What the walk-through shows.
const COMMANDS: [&str; 18] = [
    "check",
    "simulate",
    "serve",
    "bootstrap",
    "list",
    "fleet",
    "status",
    "why",
    "get",
    "promote",
    "history",
    "abort",
    "retry",
    "pause",
    "resume",
    "undo",
    "plan",
    "analyze",
];

/// Somebody who types the README's commands into a shell, in an empty folder.
struct Reader {
    dir: TempDir,
    shell: Process,
}

impl Reader {
    fn start(commands: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&*ENVOY, dir.path().join("envoy")).unwrap();
        let serin = Path::new(env!("CARGO_BIN_EXE_serin")).parent().unwrap().display();
        let script = format!(
            "export PATH=$PWD:{serin}:$PATH\n\
             trap 'kill $(jobs -p) && wait' EXIT\n\
             {commands}\n\
             touch typed; until [ -e end ]; do sleep 0.05; done\n"
        );
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &script]).current_dir(&dir);
        let shell = Process::start(command, &dir.path().join("said")).unwrap();
        Self { dir, shell }
    }
}

impl Drop for Reader {
    /// Lets the shell end what it started.
    fn drop(&mut self) {
        fs::write(self.dir.path().join("end"), "").unwrap();
        self.shell.wait().unwrap();
    }
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

/// What stands in the fenced blocks that `opening` opens, in order.
fn blocks<'a>(text: &'a str, opening: &str) -> Vec<&'a str> {
    let blocks = text.split(opening).skip(1);
    blocks.map(|block| block.split_once("```").expect("the block has an end").0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_readme() {
    let commands = blocks(&readme(), "<!-- tested -->\n```sh\n").concat();
    let typed: BTreeSet<&str> = commands.split_whitespace().collect();
    for command in COMMANDS {
        assert!(typed.contains(command), "the README's tested commands have no `serin {command}`");
    }
    let mut reader = Reader::start(&commands);
    eventually("the commands to be through", LIMIT * 4, async || {
        reader.shell.check_alive()?;
        Ok(reader.dir.path().join("typed").exists().then_some(()))
    })
    .await
    .unwrap();
    // The last command undoes the way back to blue.
    eventually("answers from green", LIMIT, async || Ok(http::get(EDGE, "/").await?.contains("green").then_some(())))
        .await
        .unwrap();
}

/// Whole documents as they are; what stands below `spec:` in a rollout of its own, twice, so that no group is alone.
#[test]
fn the_rollouts_of_the_readme() {
    const BEFORE: &str = "spec:\n  versions: {blue: {endpoints: ['10.0.0.1:80']}, green: {endpoints: ['10.0.0.2:80']}}\n  target: blue\n";
    let dir = tempfile::tempdir().unwrap();
    let text = readme();
    let parts = blocks(&text, "<!-- spec -->\n```yaml\n");
    let all = blocks(&text, "```yaml\n");
    assert!(parts.len() >= 6 && all.len() > parts.len(), "{} of {}", parts.len(), all.len());
    for (index, block) in all.into_iter().enumerate() {
        if !parts.contains(&block) {
            fs::write(dir.path().join(format!("{index}.yaml")), block).unwrap();
            continue;
        }
        let steps = if block.starts_with("strategy:") { "" } else { "strategy: {canary: {steps: [{pause: {}}]}}\n" };
        let spec: String = format!("{steps}{block}").lines().map(|line| ["  ", line, "\n"].concat()).collect();
        for copy in ["a", "b"] {
            let name = format!("part-{index}-{copy}");
            let whole = format!("apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {name}}}\n{BEFORE}{spec}");
            fs::write(dir.path().join(format!("{name}.yaml")), whole).unwrap();
        }
    }
    let checked = Command::new(env!("CARGO_BIN_EXE_serin")).arg("check").arg(dir.path()).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
}

#[test]
fn the_files_of_the_demos() {
    for demo in ["local", "docker"] {
        let directory = repository().join("demo/config").join(demo);
        let checked = Command::new(env!("CARGO_BIN_EXE_serin")).arg("check").arg(directory).output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        assert!(said.contains("0 errors, 0 warnings"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_by_itself() {
    let demo = Path::new(env!("CARGO_BIN_EXE_serin")).with_file_name("examples").join("demo");
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(demo);
    command.env("ENVOY", &*ENVOY).env("DEMO_SECONDS", "10");
    let mut demo = Process::start(command, &dir.path().join("said")).unwrap();
    let status = eventually("the demo to end", LIMIT * 2, async || demo.ended()).await.unwrap();
    let said = demo.printed().unwrap();
    assert!(status.success(), "{said}");
    let expected = |line: &str| line.starts_with("demo: 2 edits, 14 steps, ") && line.contains(" requests, 0 failed; ");
    assert!(said.lines().any(expected), "{said}");
}
