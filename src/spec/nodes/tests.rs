use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::spec::yaml;

fn selector(text: &str) -> (NodeSelector, Vec<String>) {
    let (documents, mistakes) = yaml::parse(text);
    assert_eq!(mistakes, []);
    let mut reporter = Reporter::new(Arc::from("a.yaml"));
    let selector = read(&documents[0], &mut reporter);
    (selector, reporter.into_diagnostics().iter().map(ToString::to_string).collect())
}

fn node() -> NodeIdentity {
    let metadata = json!({"team": "shop", "rack": {"row": 17.0, "lit": true}, "a.b": {"c.d": "x"}, "tags": ["p", "q"]});
    let Value::Object(metadata) = metadata else { unreachable!() };
    NodeIdentity {
        id: "edge-1/a".into(),
        cluster: "edge".into(),
        metadata: metadata.into_iter().collect(),
        region: "eu-west".into(),
        zone: "eu-1".into(),
        sub_zone: String::new(),
    }
}

#[test]
fn every_condition_must_hold() {
    for (text, expected) in [
        ("{}", true),
        ("id: edge-*", true),
        ("id: edge-?/a", true),
        ("id: edge-?", false),
        ("id: edge", false),
        ("{id: '*', cluster: edge}", true),
        ("{id: '*', cluster: core}", false),
        ("cluster: '{edge,core}'", true),
        ("metadata: {team: sh*}", true),
        ("metadata: {team: s}", false),
        ("metadata: {absent: '*'}", false),
        ("metadata: {rack.row: 17}", true),
        ("metadata: {rack.row: '1?'}", true),
        ("metadata: {rack.lit: true}", true),
        ("metadata: {rack.lit.deeper: true}", false),
        ("metadata: {a.b.c.d: x}", true),
        ("metadata: {tags: '*\"q\"*'}", true),
        ("locality: {region: eu-*, zone: eu-1}", true),
        ("locality: {region: eu-*, zone: eu-2}", false),
        ("locality: {sub_zone: '?*'}", false),
    ] {
        let (selector, diagnostics) = selector(text);
        assert_eq!(diagnostics, [""; 0], "{text}");
        assert_eq!(selector.matches(&node()), expected, "{text}");
        assert_eq!(selector.is_everything(), text == "{}");
    }
}

#[test]
fn mistakes_have_their_place_and_the_rest_is_read() {
    for (text, expected) in [
        ("edge", r#"1:1: error: nodes must be a mapping, found "edge""#),
        ("id: a\nclutser: edge", r#"2:1: error: unknown key "clutser" in nodes (did you mean "cluster"?)"#),
        (
            "id: '[ab'",
            r#"1:5: error: "[ab" is no glob: unclosed character class; missing ']' (* is any run of characters, ? is one)"#,
        ),
        ("id: [a]", "1:5: error: nodes.id must be a glob, found a list"),
        (
            "metadata: {rack: {row: 7}}",
            "1:18: error: a metadata value must be a glob, found a mapping (descend with dots: rack.row: \"7\")",
        ),
        ("locality: {regoin: eu}", r#"1:12: error: unknown key "regoin" in nodes.locality (did you mean "region"?)"#),
        ("metadata: [a]", "1:11: error: nodes.metadata must be a mapping, found a list"),
    ] {
        let (_, diagnostics) = selector(text);
        assert_eq!(diagnostics, [format!("a.yaml:{expected}")]);
    }
    assert_eq!(selector("id: a\nclutser: b").0.id, Glob::new("a").ok());
}

#[test]
fn selectors_compare_by_what_is_written() {
    assert_eq!(selector("{id: a*, cluster: b}").0, selector("cluster: b\nid: 'a*'").0);
    assert_ne!(selector("id: a*").0, selector("id: b*").0);
    assert!(selector("id: a").0 < selector("id: b").0);
}

#[test]
fn a_selector_covers_what_has_its_conditions_and_more() {
    for (wide, narrow, expected) in [
        ("{}", "{}", true),
        ("{}", "id: a", true),
        ("id: a", "{}", false),
        ("id: a", "id: b", false),
        ("id: a-*", "id: a-1", true),
        ("id: a-?", "id: a-*", false),
        ("id: a-*", "{id: a-*, cluster: x}", true),
        ("{id: a, cluster: x}", "id: a", false),
        ("metadata: {team: shop}", "{id: a, metadata: {team: shop, row: 7}}", true),
        ("metadata: {team: shop}", "metadata: {team: cart}", false),
        ("locality: {zone: eu-*}", "locality: {region: eu, zone: eu-1}", true),
        ("locality: {region: eu}", "locality: {zone: eu}", false),
        ("locality: {sub_zone: a}", "locality: {sub_zone: b}", false),
    ] {
        assert_eq!(selector(wide).0.covers(&selector(narrow).0), expected, "{wide} / {narrow}");
    }
}
