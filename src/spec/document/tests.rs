use super::*;

fn parse(text: &str) -> (FileSpec, Vec<String>) {
    let (file, diagnostics) = parse_file(&Arc::from("f"), text);
    (file, diagnostics.iter().map(|d| d.to_string().trim_start_matches("f:").to_owned()).collect())
}

#[test]
fn a_file_holds_documents_of_all_kinds() {
    let (file, diagnostics) = parse(
        r#"# nothing here
---
resources:
- {"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a}
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: r
  virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: shop}}]}]
---
apiVersion: serin.dev/v1
kind: Rollout
metadata: {name: shop}
spec:
  versions: {blue: {existingCluster: a}, green: {existingCluster: b}}
  target: blue
  strategy: {blueGreen: {}}
---
apiVersion: serin.dev/v1
kind: AnalysisTemplate
metadata: {name: golden}
spec: {metrics: [{name: a, thresholdRange: {min: 1}, provider: {web: {url: 'http://a', jsonPath: '{$.a}'}}}]}
---
"#,
    );
    assert_eq!(diagnostics, [""; 0]);
    assert_eq!(&*file.path, "f");
    assert_eq!((file.resources.len(), file.rollouts.len(), file.templates.len()), (2, 1, 1));
    let references: Vec<_> = file.references.iter().map(|r| (&*r.name, r.position.line, r.position.column)).collect();
    assert_eq!(references, [("shop", 7, 92), ("a", 13, 38), ("b", 13, 67)]);
}

#[test]
fn an_empty_file_is_fine() {
    for text in ["", "# comment\n", "---\n---\n", "~"] {
        let (file, diagnostics) = parse(text);
        assert_eq!(diagnostics, [""; 0]);
        assert!(file.resources.is_empty() && file.rollouts.is_empty());
    }
}

#[test]
fn anything_else_is_refused() {
    for (text, expected) in [
        ("hello", format!("1:1: error: {EXPECTED}, found \"hello\"")),
        ("- a", format!("1:1: error: {EXPECTED}, found a list")),
        ("a: 1\nresource: []", format!("2:1: error: unknown document: {EXPECTED} (did you mean \"resources\"?)")),
        ("static_resources: {}", format!("1:1: error: unknown document: {EXPECTED}")),
        ("{}", format!("1:1: error: unknown document: {EXPECTED}")),
        ("Kind: Rollout", format!("1:1: error: unknown document: {EXPECTED} (did you mean \"kind\"?)")),
        ("kind: Rolout", format!("1:7: error: unknown kind \"Rolout\": {EXPECTED} (did you mean \"Rollout\"?)")),
        (
            "resources: []\nnode: {id: a}",
            "2:1: error: unknown key \"node\" in a document of resources (did you mean \"nodes\"?)".to_owned(),
        ),
        ("resources: []\nnodes: {id: [a]}", "2:13: error: nodes.id must be a glob, found a list".to_owned()),
        ("kind: Service", format!("1:7: error: unknown kind \"Service\": {EXPECTED}")),
        ("kind: [Rollout]", "1:7: error: kind must be a name, found a list".to_owned()),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: a}",
            "1:13: error: apiVersion must be serin.dev/v1, found \"argoproj.io/v1alpha1\"".to_owned(),
        ),
        (
            "apiVersion: serin.dev/v1\nkind: AnalysisTemplate",
            "1:1: error: metadata is missing: other documents know this one by its name".to_owned(),
        ),
        (
            "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {name: a}",
            "1:1: error: spec is missing: it holds the versions and the strategy".to_owned(),
        ),
    ] {
        assert!(parse(text).1.contains(&expected), "{text}: {:?}", parse(text).1);
    }
}

#[test]
fn what_stands_before_a_mistake_of_syntax_is_read() {
    let (file, diagnostics) = parse(
        "resources: [{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a}]\n---\nkind: Rolout\n---\na: [",
    );
    assert_eq!(file.resources.len(), 1);
    assert_eq!(diagnostics.len(), 2, "{diagnostics:?}");
    assert!(diagnostics[0].starts_with("3:7: error: unknown kind"), "{diagnostics:?}");
    assert!(diagnostics[1].starts_with("6:1: error: "), "{diagnostics:?}");
}
