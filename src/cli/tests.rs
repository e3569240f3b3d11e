//! Whole commands, from the line typed to the exit code.

use std::io;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

const GOOD: &str = "
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: checkout}
spec:
  versions:
    blue: {endpoints: ['127.0.0.1:9001']}
    green: {endpoints: ['127.0.0.1:9002']}
  strategy:
    weights: {blue: 90, green: 10}
";

pub(super) struct Ran {
    pub(super) code: ExitCode,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn run(line: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = Cli::try_parse_from(std::iter::once(&"serin").chain(line)).unwrap().run(&mut out, &mut err);
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// A directory of one file, and the path of that file.
pub(super) fn directory(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    (directory, file.to_str().unwrap().to_owned())
}

#[test]
fn the_commands_fit_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_shows_an_example() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(&format!("serin {}", command.get_name())), "{}", command.get_name());
    }
}

#[test]
fn check_finds_nothing_in_good_files() {
    let (_directory, file) = directory(GOOD);
    let ran = run(&["check", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::SUCCESS, ""));
    assert_eq!(ran.err, "1 file checked: 0 errors, 0 warnings\n");
}

#[test]
fn check_says_where_each_mistake_is() {
    let (_directory, file) = directory(&GOOD.replace("green: 10", "gren: 10"));
    let ran = run(&["check", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(1), ""));
    assert!(ran.err.starts_with(&format!("{file}:10:25: error: ")), "{}", ran.err);
    assert!(ran.err.ends_with("\n1 file checked: 1 error, 0 warnings\n"), "{}", ran.err);

    let ran = run(&["check", "-o", "json", &file]);
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::from(1), ""));
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&answer["errors"], &answer["mistakes"][0]["line"]), (&1.into(), &10.into()));
}

#[test]
fn nothing_to_check_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nowhere");
    for path in [directory.path(), &missing] {
        for command in ["check", "render"] {
            let ran = run(&[command, path.to_str().unwrap()]);
            assert_eq!((ran.code, ran.err.lines().count()), (ExitCode::from(2), 1), "{}", ran.err);
        }
    }
}

#[test]
fn render_prints_what_would_be_served() {
    let (_directory, file) = directory(GOOD);
    let ran = run(&["render", &file, "--format", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (ExitCode::SUCCESS, ""));
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let cluster = &document["resources"][0];
    assert_eq!(cluster["@type"], "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    assert_eq!(cluster["name"], "checkout/blue");
    assert!(run(&["render", &file]).out.starts_with("resources:\n"));
}

#[test]
fn render_is_for_the_node_described() {
    let selector = "nodes: {cluster: edge, metadata: {tier: canary}, locality: {region: eu, zone: a, sub_zone: x}}";
    let (_directory, file) = directory(&GOOD.replace("spec:", &format!("spec:\n  {selector}")));
    let mut line = vec!["render", &*file, "--node", "n", "--cluster", "edge", "--metadata", "tier=canary"];
    line.extend(["--region", "eu", "--zone", "a", "--sub-zone"]);
    for (sub_zone, shown) in [("x", true), ("y", false)] {
        let ran = run(&[&*line, &[sub_zone]].concat());
        assert_eq!((ran.code, ran.out.contains("checkout/blue")), (ExitCode::SUCCESS, shown), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn render_of_mistakes_prints_them_instead() {
    let (_directory, file) = directory(&GOOD.replace("green: 10", "gren: 10"));
    let ran = run(&["render", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(1), ""));
    assert!(ran.err.contains(":10:25: error: "));
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    // Bound and never listened to for long: nobody else gets the port, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ran = run(&["fleet", "--server", &url]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (ExitCode::from(2), "", 1));
    assert!(ran.err.starts_with(&format!("serin: error: cannot reach serin at {url} (")), "{}", ran.err);
}

/// A server for one request, and what it will say was asked of it.
fn answering(status: &str, body: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let request: Vec<_> = request.take_while(|line| !line.is_empty()).collect();
        stream.write_all(answer.as_bytes()).unwrap();
        request[0].clone()
    });
    (url, server)
}

#[test]
fn a_server_that_refuses_is_quoted() {
    let (url, server) = answering("503 Service Unavailable", r#"{"error": "not now"}"#);
    let ran = run(&["fleet", "--server", &url]);
    assert_eq!(server.join().unwrap(), "GET /api/v1/diagnostics HTTP/1.1");
    assert_eq!(ran.code, ExitCode::from(2));
    assert!(ran.err.contains("/api/v1/diagnostics answered 503 Service Unavailable: not now"), "{}", ran.err);
}

#[test]
fn ready_tells_yes_from_not_yet() {
    for (status, body, code, words) in [
        ("200 OK", "ready\n", ExitCode::SUCCESS, "ready\n"),
        ("503 Service Unavailable", r#"{"error": "no file yet"}"#, ExitCode::from(1), "not ready: no file yet\n"),
        ("404 Not Found", r#"{"error": "no such page"}"#, ExitCode::from(2), ""),
    ] {
        let (url, server) = answering(status, body);
        let ran = run(&["ready", "--server", &url]);
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.1");
        assert_eq!((ran.code, ran.out.as_str()), (code, words));
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for line in [&["serin", "completions", "bash"][..], &["serin", "bootstrap", "--id", "a", "--cluster", "b"]] {
        let mut words = Vec::new();
        let code = Cli::parse_from(line).run(&mut Closed, &mut words);
        assert_eq!((code, words), (ExitCode::SUCCESS, Vec::new()), "{line:?}");
    }
}

/// clap wraps prose by itself: what is wrapped by hand as well is torn.
#[test]
fn no_help_is_wrapped_by_hand() {
    for command in Cli::command().get_subcommands().chain([&Cli::command()]) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter(|line| !line.is_empty()) {
            let fits = if line.starts_with(' ') { line.chars().count() <= 80 } else { line.ends_with(['.', ':']) };
            assert!(fits, "{}: {line}", command.get_name());
        }
    }
}
