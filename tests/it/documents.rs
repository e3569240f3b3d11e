//! What the README and the Makefile tell a newcomer to do works.

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

/// The fenced blocks after a line `<!-- tested -->`, in order.
fn tested_blocks(text: &str) -> String {
    let blocks = text.split("<!-- tested -->\n```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("the block has an end").0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_readme() {
    let commands = tested_blocks(&fs::read_to_string(repository().join("README.md")).unwrap());
    for expected in ["serin check", "serin serve", "serin bootstrap", "envoy ", "serin fleet"] {
        assert!(commands.contains(expected), "the README's tested commands have no `{expected}`");
    }
    let mut reader = Reader::start(&commands);
    eventually("the commands to be through", LIMIT * 3, async || {
        reader.shell.check_alive()?;
        Ok(reader.dir.path().join("typed").exists().then_some(()))
    })
    .await
    .unwrap();
    // The last edit asks for half of each.
    let (mut blue, mut green) = (0, 0);
    eventually("answers from both versions", LIMIT, async || {
        let body = http::get(EDGE, "/").await?;
        blue += u32::from(body.contains("blue"));
        green += u32::from(body.contains("green"));
        Ok((blue > 5 && green > 5).then_some(()))
    })
    .await
    .unwrap();
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
