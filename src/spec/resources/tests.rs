//! Resource lists, their mistakes, and one encoding in every process.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Command, Stdio};

use prost_reflect::ReflectMessage;
use sha2::{Digest, Sha256};

use super::*;
use crate::spec::{canonical, yaml};

fn read_text(text: &str) -> (Vec<Resource>, Vec<String>) {
    let (nodes, mistakes) = yaml::parse(text);
    assert_eq!(mistakes, []);
    let mut reporter = Reporter::new("f".into());
    let resources = read(&nodes[0], &Arc::default(), &mut reporter);
    (resources, reporter.into_diagnostics().iter().map(ToString::to_string).collect())
}

#[test]
fn every_kind_is_read_with_its_name_and_place() {
    let mut text = "resources:\n".to_owned();
    for kind in ResourceKind::ALL {
        let (message, field) = (kind.message_name(), kind.name_field());
        writeln!(text, "- \"@type\": type.googleapis.com/{message}\n  {field}: {kind:?}").expect("text");
    }
    let (resources, mistakes) = read_text(&text);
    assert_eq!(mistakes, [""; 0]);
    for (index, (resource, kind)) in resources.iter().zip(ResourceKind::ALL).enumerate() {
        assert_eq!((resource.kind, &*resource.name), (kind, format!("{kind:?}").as_str()));
        assert_eq!(resource.message.descriptor().full_name(), kind.message_name());
        let line = 2 + 2 * u32::try_from(index).expect("few");
        assert_eq!(resource.origin, Origin { file: "f".into(), line, column: 3 });
    }
    assert_eq!(resources.len(), ResourceKind::ALL.len());
}

#[test]
fn a_mistake_leaves_out_its_resource_only() {
    let (resources, mistakes) = read_text(
        r#"resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: good
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  connect_timeout: 5
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: ""
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  name: x
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  clusterName: also-good
- name: untyped
- "@type": type.googleapis.com/envoy.config.route.v3.Route
  name: r
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: [a]
- text
"#,
    );
    let names: Vec<_> = resources.iter().map(|resource| &*resource.name).collect();
    assert_eq!(names, ["good", "also-good"]);
    assert_eq!(
        mistakes,
        [
            "f:4:3: error: name: expected the name of this envoy.config.cluster.v3.Cluster, found nothing \
             (proxies ask for it by this name)",
            "f:5:20: error: connect_timeout: expected a duration in seconds such as \"1.5s\", found 5 \
             (write 5s if seconds are meant)",
            "f:7:9: error: name: expected the name of this envoy.config.cluster.v3.Cluster, found nothing \
             (proxies ask for it by this name)",
            "f:8:3: error: cluster_name: expected the name of this envoy.config.endpoint.v3.ClusterLoadAssignment, \
             found nothing (proxies ask for it by this name)",
            "f:9:3: error: unknown field \"name\" in envoy.config.endpoint.v3.ClusterLoadAssignment \
             (its fields are cluster_name, endpoints, policy, named_endpoints)",
            "f:12:3: error: resource: expected a mapping with \"@type\", found one without it (say what it is, as in \
             \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster)",
            "f:13:12: error: envoy.config.route.v3.Route is no resource: resources are \
             envoy.config.cluster.v3.Cluster, envoy.config.endpoint.v3.ClusterLoadAssignment, \
             envoy.config.listener.v3.Listener, envoy.config.route.v3.RouteConfiguration, \
             envoy.config.route.v3.ScopedRouteConfiguration, envoy.config.route.v3.VirtualHost, \
             envoy.extensions.transport_sockets.tls.v3.Secret, envoy.service.runtime.v3.Runtime, \
             envoy.config.core.v3.TypedExtensionConfig \
             (did you mean type.googleapis.com/envoy.config.route.v3.RouteConfiguration?)",
            "f:16:9: error: name: expected text, found a list",
            "f:17:3: error: resource: expected a mapping with \"@type\", found \"text\"",
        ]
    );
}

#[test]
fn the_list_is_a_list_and_may_be_empty() {
    let (resources, mistakes) = read_text("resources: {name: x}");
    assert!(resources.is_empty());
    assert_eq!(
        mistakes,
        ["f:1:12: error: resources: expected a list, found a mapping \
          (each resource begins with - \"@type\": type.googleapis.com/...)"]
    );
    for text in ["resources: []", "resources:"] {
        assert_eq!(read_text(text), (Vec::new(), Vec::new()), "{text}");
    }
}

/// One resource of each kind that has maps, with enough entries that no two processes agree on their order by chance.
fn resources_with_maps() -> String {
    let keys = || (0..12).map(|n| format!("key-{n}"));
    let of = |value: &str| keys().map(|key| format!("{key}: {value}")).collect::<Vec<_>>().join(", ");
    let structs = of(&format!("{{{}}}", of("{a: 1, b: [x]}")));
    let configs =
        of(&format!("{{'@type': type.googleapis.com/envoy.config.core.v3.Metadata, filter_metadata: {{{structs}}}}}"));
    let one = |name: &str, body: String| format!("- {{'@type': type.googleapis.com/{name}, {body}}}\n");
    let route = format!("{{match: {{prefix: /}}, redirect: {{}}, typed_per_filter_config: {{{configs}}}}}");
    [
        "resources:\n".to_owned(),
        one("envoy.config.cluster.v3.Cluster", format!("name: c, typed_extension_protocol_options: {{{configs}}}")),
        one(
            "envoy.config.endpoint.v3.ClusterLoadAssignment",
            format!("cluster_name: c, named_endpoints: {{{}}}", of("{}")),
        ),
        one("envoy.config.listener.v3.Listener", format!("name: l, metadata: {{filter_metadata: {{{structs}}}}}")),
        one(
            "envoy.config.route.v3.RouteConfiguration",
            format!("name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{route}]}}]"),
        ),
        one("envoy.config.route.v3.VirtualHost", format!("name: v, domains: ['*'], routes: [{route}]")),
        one("envoy.service.runtime.v3.Runtime", format!("name: t, layer: {{{structs}}}")),
        one(
            "envoy.config.core.v3.TypedExtensionConfig",
            format!(
                "name: x, typed_config: {{'@type': type.googleapis.com/xds.type.v3.TypedStruct, value: {{{structs}}}}}"
            ),
        ),
    ]
    .concat()
}

const DIGEST: &str = "digest ";

#[test]
#[ignore = "run by the test below, once in each of many processes"]
fn prints_the_digest_of_all_resources() {
    let (resources, mistakes) = read_text(&resources_with_maps());
    assert_eq!(mistakes, [""; 0]);
    assert_eq!(resources.len(), 7);
    let mut digest = Sha256::new();
    for resource in &resources {
        digest.update(canonical::encode(&resource.message));
    }
    println!("{DIGEST}{:x}", digest.finalize());
}

#[test]
fn one_encoding_in_many_processes() {
    let name = "spec::resources::tests::prints_the_digest_of_all_resources";
    let processes: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", name, "--ignored", "--nocapture"])
                .stdout(Stdio::piped())
                .spawn()
                .expect("start")
        })
        .collect();
    let mut digests = BTreeSet::new();
    for process in processes {
        let output = process.wait_with_output().expect("wait");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let digest = text.split(DIGEST).nth(1).and_then(|rest| rest.split_whitespace().next());
        digests.insert(digest.unwrap_or_else(|| panic!("no digest in {text}")).to_owned());
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
}
