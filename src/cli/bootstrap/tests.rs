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
fn what_envoy_measures_is_sent_unless_it_must_not() {
    for line in ["", "--telemetry", "--telemetry-interval 5s"] {
        let document = args(&format!("--id a --cluster b {line}")).document();
        assert_eq!(document["stats_flush_interval"], "5s", "{line}");
        let services = [
            &document["stats_sinks"][0]["typed_config"]["grpc_service"],
            &document["cluster_manager"]["load_stats_config"]["grpc_services"][0],
        ];
        // All on one connection.
        assert!(services.iter().all(|service| service["envoy_grpc"]["cluster_name"] == "xds"), "{line}: {services:?}");
    }
    let document = args("--id a --cluster b --no-telemetry").document();
    for key in ["stats_sinks", "stats_flush_interval", "cluster_manager"] {
        assert!(document.get(key).is_none(), "{key}");
    }
    let fast = args("--id a --cluster b --telemetry-interval 250ms").document();
    assert_eq!(fast["stats_flush_interval"], "0.25s");
}

#[test]
fn a_latency_that_matters_is_the_edge_of_a_bucket() {
    let buckets = |line: &str| {
        let document = args(&format!("--id a --cluster b {line}")).document();
        let buckets = document["stats_config"]["histogram_bucket_settings"][0]["buckets"].clone();
        serde_json::from_value::<Vec<u64>>(buckets).unwrap()
    };
    assert!(!buckets("").contains(&120));
    let both = buckets("--slo 120ms --slo 800ms");
    assert!(both.contains(&120) && both.contains(&800) && both.is_sorted(), "{both:?}");
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
        "--id a --cluster b --telemetry-interval 99ms",
        "--id a --cluster b --telemetry-interval 31s",
        "--id a --cluster b --telemetry --no-telemetry",
        "--id a --cluster b --slo 125ms",
    ] {
        let line = std::iter::once("bootstrap").chain(line.split_whitespace());
        assert_eq!(Line::try_parse_from(line).err().map(|error| error.exit_code()), Some(2));
    }
}
