use std::path::Path;

use clap::Parser;

use super::*;
use crate::spec::yaml;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: BootstrapArgs,
}

fn args(line: &str) -> BootstrapArgs {
    Line::parse_from(std::iter::once("bootstrap").chain(line.split_whitespace())).args
}

fn printed(line: &str) -> String {
    let mut out = Vec::new();
    assert_eq!(run(&args(line), &mut out).unwrap(), Outcome::Positive);
    String::from_utf8(out).unwrap()
}

/// Each file of `envoy-configs/` is what its command, as the README there documents it, prints.
#[test]
fn the_files_for_users_are_what_the_command_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy-configs");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut files = Vec::new();
    for line in readme.lines() {
        if let Some((args, file)) = line.strip_prefix("serin bootstrap ").and_then(|line| line.split_once(" > ")) {
            let path = folder.join(file);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), printed(args), "{}", path.display());
            files.push(file.to_owned());
        }
    }
    files.sort();
    assert_eq!(files, ["envoy-delta.yaml", "envoy-sotw.yaml", "grpc-client.json"]);
}

#[test]
fn the_yaml_says_the_same_as_the_json() {
    let line = "--id a --cluster b --telemetry --metadata yes=no --metadata n=1 --region r --xds serin.internal:1";
    let (yaml, mistakes) = yaml::parse(&printed(line));
    let json: Value = serde_json::from_str(&printed(&format!("{line} --format json"))).unwrap();
    assert_eq!((yaml.len(), mistakes), (1, vec![]));
    assert_eq!(value(&yaml[0]), json);
    assert_eq!(json, args(line).document());
}

fn value(node: &yaml::Node) -> Value {
    match &node.data {
        yaml::Data::Null => Value::Null,
        yaml::Data::Bool(value) => Value::from(*value),
        yaml::Data::Number(text) => text.parse().unwrap(),
        yaml::Data::String(text) => Value::from(text.as_str()),
        yaml::Data::Sequence(nodes) => nodes.iter().map(value).collect(),
        yaml::Data::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect(),
    }
}

#[test]
fn the_mode_decides_the_protocol() {
    let api_type = |mode: &str| {
        let document = args(&format!("--id a --cluster b --mode {mode}")).document();
        document["dynamic_resources"]["ads_config"]["api_type"].clone()
    };
    assert_eq!(api_type("delta"), "DELTA_GRPC");
    assert_eq!(api_type("sotw"), "GRPC");
    assert_eq!(args("--id a --cluster b").document()["dynamic_resources"]["ads_config"]["api_type"], "DELTA_GRPC");
}

#[test]
fn the_node_is_what_was_asked_for() {
    let document = args("--id a --cluster b --metadata group=g1 --metadata k=v=w --zone z --sub-zone s").document();
    let expected = serde_json::json!({
        "id": "a", "cluster": "b", "locality": {"zone": "z", "sub_zone": "s"}, "metadata": {"group": "g1", "k": "v=w"},
    });
    assert_eq!(document["node"], expected);
    assert!(args("--id a --cluster b").document()["node"].get("locality").is_none());
}

#[test]
fn a_name_is_resolved_and_an_address_is_not() {
    let cluster = |xds: &str| {
        args(&format!("--id a --cluster b --xds {xds}")).document()["static_resources"]["clusters"][0].clone()
    };
    let address = |cluster: &Value| {
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"].clone()
    };
    let by_ip = cluster("[::1]:18000");
    assert_eq!((&by_ip["type"], by_ip.get("dns_lookup_family")), (&Value::from("STATIC"), None));
    assert_eq!(address(&by_ip), serde_json::json!({"address": "::1", "port_value": 18000}));
    let by_name = cluster("serin.internal:18000");
    assert_eq!((&by_name["type"], &by_name["dns_lookup_family"]), (&"STRICT_DNS".into(), &"V4_PREFERRED".into()));
}

#[test]
fn nothing_is_sent_to_the_control_plane_unasked() {
    assert!(args("--id a --cluster b").document().get("stats_sinks").is_none());
    assert!(args("--id a --cluster b --telemetry").document().get("stats_sinks").is_some());
}

#[test]
fn bad_arguments_are_usage_errors() {
    for line in [
        "",
        "--id a",
        "--id a --cluster b --metadata k",
        "--id a --cluster b --metadata =v",
        "--id a --cluster b --xds nowhere",
        "--id a --cluster b --mode rest",
    ] {
        let line = std::iter::once("bootstrap").chain(line.split_whitespace());
        assert_eq!(Line::try_parse_from(line).err().map(|error| error.exit_code()), Some(2));
    }
}
