use super::*;
use crate::spec::admit::check_files;

/// What `check_files` says of files given as (path, text), without the path `a` in front.
fn check_all(files: &[(&str, &str)], bootstrap: &[&str]) -> Vec<String> {
    let files = files.iter().map(|(path, text)| (Arc::from(*path), Arc::from(*text))).collect();
    let options = Options { bootstrap_clusters: bootstrap.iter().map(|name| (*name).to_owned()).collect() };
    check_files(&files, &options).iter().map(ToString::to_string).collect()
}

fn resources(items: &[String]) -> String {
    format!("resources:\n- {}\n", items.join("\n- "))
}

fn cluster(name: &str) -> String {
    format!("{{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}}}")
}

fn eds(name: &str, more: &str) -> String {
    format!(
        "{{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}, type: EDS, \
         eds_cluster_config: {{eds_config: {{ads: {{}}}}{more}}}}}"
    )
}

fn assignment(name: &str) -> String {
    format!("{{'@type': type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, cluster_name: {name}}}")
}

/// A RouteConfiguration whose one route has the action `action`, which starts in line 2 of its item.
fn routes(name: &str, action: &str) -> String {
    format!(
        "'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n  name: {name}\n  virtual_hosts:\n  \
         - name: all\n    domains: ['*']\n    routes:\n    - match: {{prefix: /}}\n      route: {action}"
    )
}

fn listener(rds: &str) -> String {
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    format!(
        "'@type': type.googleapis.com/envoy.config.listener.v3.Listener\n  name: http\n  filter_chains:\n  - filters:\n    \
         - name: http\n      typed_config:\n        '@type': type.googleapis.com/{manager}\n        rds: {rds}"
    )
}

fn rollout(name: &str) -> String {
    rollout_of(name, "{blue: {endpoints: ['10.0.0.1:80']}, green: {endpoints: ['10.0.0.2:80']}}")
}

fn in_group(name: &str, group: &str) -> String {
    format!("{}  group: {{name: {group}}}\n", rollout(name))
}

fn template(name: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1\nkind: AnalysisTemplate\nmetadata: {{name: {name}}}\nspec:\n  metrics: [{{name: a, \
         thresholdRange: {{min: 1}}, provider: {{web: {{url: 'http://a', jsonPath: $.a}}}}}}]\n"
    )
}

fn rollout_of(name: &str, versions: &str) -> String {
    format!(
        "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {name}}}\nspec:\n  versions: {versions}\n  \
         target: blue\n  strategy: {{blueGreen: {{}}}}\n"
    )
}

#[test]
fn what_holds_together_is_silent() {
    let set = resources(&[
        cluster("plain"),
        eds("moving", ""),
        assignment("moving"),
        eds("renamed", ", service_name: other"),
        assignment("other"),
        assignment("bootstrapped"),
        routes("one", "{cluster: shop, request_mirror_policies: [{cluster: shop/green}, {cluster: plain}]}"),
        routes("two", "{weighted_clusters: {clusters: [{name: old, weight: 1}, {name: bootstrapped, weight: 1}]}}"),
        listener("{config_source: {ads: {}}, route_config_name: one}"),
    ]);
    let shop = rollout_of("shop", "{blue: {existingCluster: old}, green: {endpoints: []}}");
    assert_eq!(
        check_all(&[("a", &set), ("b", &shop)], &["bootstrapped", "old"]),
        ["b:5:63: warning: version \"green\" has no endpoints: requests sent to it fail with 503"]
    );
}

#[test]
fn a_name_must_stand_for_something() {
    let bootstrap = "if the bootstrap defines it: --bootstrap-cluster";
    for (item, expected) in [
        (
            routes("r", "{cluster: shp}"),
            format!(r#"9:24: error: no cluster "shp" is defined (did you mean "shop"? {bootstrap} shp)"#),
        ),
        (routes("r", "{cluster: x}"), format!(r#"9:24: error: no cluster "x" is defined ({bootstrap} x)"#)),
        (
            routes("r", "{cluster: shop/bleu}"),
            format!(
                r#"9:24: error: no cluster "shop/bleu" is defined (did you mean "shop/blue"? {bootstrap} shop/bleu)"#
            ),
        ),
        (
            routes("r", "{weighted_clusters: {clusters: [{name: plian, weight: 1}]}}"),
            format!(r#"9:53: error: no cluster "plian" is defined (did you mean "plain"? {bootstrap} plian)"#),
        ),
        (
            routes("r", "{weighted_clusters: {clusters: [{name: shop, weight: 1}]}}"),
            r#"9:53: error: "shop" is a rollout, and an entry of weighted_clusters needs a cluster (use one version's: "shop/blue")"#
                .to_owned(),
        ),
        (
            routes("r", "{cluster: plain, request_mirror_policies: [{cluster: shop}]}"),
            r#"9:67: error: "shop" is a rollout, and a mirror needs a cluster (use one version's: "shop/blue")"#.to_owned(),
        ),
        (
            "{'@type': type.googleapis.com/envoy.config.listener.v3.Listener, name: tcp, filter_chains: [{filters: [{\n  \
             name: tcp, typed_config: {\n  \
             '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy,\n  \
             stat_prefix: tcp, cluster: shop}}]}]}"
                .to_owned(),
            r#"5:30: error: "shop" is a rollout, and a TCP proxy needs a cluster (use one version's: "shop/blue")"#.to_owned(),
        ),
        (
            listener("{config_source: {ads: {}}, route_config_name: r}"),
            r#"9:60: error: no RouteConfiguration "r" is defined"#.to_owned(),
        ),
        (
            listener("{config_source: {path_config_source: {path: /x}}, route_config_name: r}"),
            String::new(),
        ),
    ] {
        let set = resources(&[item, cluster("plain")]);
        let expected: Vec<String> = Some(format!("a:{expected}")).filter(|e| e != "a:").into_iter().collect();
        assert_eq!(check_all(&[("a", &set), ("b", &rollout("shop"))], &[]), expected);
    }
}

#[test]
fn the_nearest_route_configuration_is_named() {
    let set = resources(&[
        listener("{config_source: {ads: {}}, route_config_name: mian}"),
        routes("main", "{cluster_header: x}"),
    ]);
    assert_eq!(
        check_all(&[("a", &set)], &[]),
        [r#"a:9:60: error: no RouteConfiguration "mian" is defined (did you mean "main"?)"#]
    );
}

#[test]
fn an_existing_cluster_is_no_rollout() {
    let shop = rollout_of("shop", "{blue: {existingCluster: shop}, green: {endpoints: ['10.0.0.1:80']}}");
    assert_eq!(
        check_all(&[("a", &shop)], &[]),
        [
            r#"a:5:38: error: "shop" is a rollout, and existingCluster needs a cluster (use one version's: "shop/green")"#
        ]
    );
}

#[test]
fn an_existing_cluster_that_nothing_defines_may_be_in_the_bootstrap() {
    let shop = rollout_of("shop", "{blue: {existingCluster: plian}, green: {existingCluster: far}}");
    let set = resources(&[cluster("plain"), routes("r", "{cluster: plian}"), routes("s", "{cluster: fat}")]);
    let blue = |guess: &str| {
        let hint = format!("({guess}if the bootstrap defines it: --bootstrap-cluster plian)");
        format!(r#"b:5:38: warning: no cluster "plian" is defined {hint}"#)
    };
    let hint = "if the bootstrap defines it: --bootstrap-cluster";
    assert_eq!(
        check_all(&[("a", &set), ("b", &shop)], &["fax"]),
        [
            format!(r#"a:18:24: error: no cluster "fat" is defined (did you mean "fax"? {hint} fat)"#),
            blue(r#"did you mean "plain"? "#),
            format!(r#"b:5:71: warning: no cluster "far" is defined (did you mean "fax"? {hint} far)"#),
        ]
    );
    assert_eq!(check_all(&[("b", &shop)], &["far"]), [blue("")], "it is not its own definition");
    assert_eq!(check_all(&[("b", &shop)], &["far", "plian"]), [""; 0]);
}

#[test]
fn what_is_named_is_there_for_the_same_proxies() {
    let everyone = |text: &str| text.to_owned();
    let edge = |text: &str| format!("nodes: {{cluster: edge}}\n{text}");
    let narrow = |text: &str| format!("nodes: {{cluster: edge, id: e-1}}\n{text}");
    let core = |text: &str| format!("nodes: {{cluster: core}}\n{text}");
    let route = resources(&[routes("r", "{cluster: shop}")]);
    let shop = rollout("shop").replace("spec:\n", "spec:\n  nodes: {cluster: edge}\n");
    let plain = resources(&[cluster("shop")]);
    let rds = resources(&[listener("{config_source: {ads: {}}, route_config_name: r}")]);
    let r = resources(&[routes("r", "{cluster_header: x}")]);
    let said = |place: &str, what: &str| {
        let help = "(its nodes: are others than those here)";
        vec![format!("a:{place}: warning: {what} is not there for every proxy that gets this {help}")]
    };
    let rollout = r#"rollout "shop" (b:3:18)"#;
    for (naming, defining, expected) in [
        (everyone(&route), &shop, said("9:24", rollout)),
        (core(&route), &shop, said("10:24", rollout)),
        (edge(&route), &shop, vec![]),
        (narrow(&route), &shop, vec![]),
        (everyone(&route), &edge(&plain), said("9:24", r#"cluster "shop" (b:3:3)"#)),
        (edge(&route), &narrow(&plain), said("10:24", r#"cluster "shop" (b:3:3)"#)),
        (core(&route), &everyone(&plain), vec![]),
        (everyone(&route), &format!("{}---\n{}", edge(&plain), core(&plain)), vec![]),
        (everyone(&rds), &edge(&r), said("9:60", r#"RouteConfiguration "r" (b:3:3)"#)),
        (edge(&rds), &edge(&r), vec![]),
    ] {
        assert_eq!(check_all(&[("a", &naming), ("b", defining)], &[]), expected, "{naming}{defining}");
    }
    assert_eq!(check_all(&[("a", &route), ("b", &edge(&plain))], &["shop"]), [""; 0], "it is in every bootstrap too");
}

/// One mistake neither hides another nor makes one up.
#[test]
fn all_mistakes_of_all_files_are_told() {
    let hint = "if the bootstrap defines it: --bootstrap-cluster";
    let typo = |line: &str| {
        format!("{line}: error: unknown field \"typo\" in envoy.config.cluster.v3.Cluster (did you mean \"type\"?)")
    };
    let broken = |name: &str| cluster(name).replace('}', ", typo: 1}");
    let nowhere = |place: &str| format!(r#"{place}: error: no cluster "nowhere" is defined ({hint} nowhere)"#);

    let both = resources(&[broken("x"), routes("r", "{cluster: nowhere}")]);
    assert_eq!(check_all(&[("a", &both)], &[]), [typo("a:2:75"), nowhere("a:10:24")]);
    let both = resources(&[broken("x"), routes("r", "{cluster: x}")]);
    assert_eq!(check_all(&[("a", &both)], &[]), [typo("a:2:75")]);
    let own = resources(&[routes("r", "{cluster: nowhere, typo: 1}")]);
    let field = r#"a:9:33: error: unknown field "typo" in envoy.config.route.v3.RouteAction"#.to_owned();
    assert_eq!(check_all(&[("a", &own)], &[]), [nowhere("a:9:24"), field]);

    let shop = rollout("shop").replace("target", "traget");
    let twice = r#"b:3:18: error: rollout "shop" is defined twice, first at a:3:18"#.to_owned();
    let key = |file: &str| format!(r#"{file}:6:3: error: unknown key "traget" in spec (did you mean "target"?)"#);
    assert_eq!(check_all(&[("a", &rollout("shop")), ("b", &shop)], &[]), [twice.clone(), key("b")]);
    assert_eq!(check_all(&[("a", &shop), ("b", &rollout("shop"))], &[]), [key("a"), twice.clone()]);
    assert_eq!(check_all(&[("a", &shop), ("b", &shop)], &[]), [key("a"), twice, key("b")]);
    let versions = resources(&[routes("r", "{cluster: shop, request_mirror_policies: [{cluster: shop/blue}]}")]);
    assert_eq!(check_all(&[("a", &shop), ("b", &versions)], &[]), [key("a")]);

    let (good, bad) = (resources(&[cluster("x")]), resources(&[broken("x")]));
    let twice = r#"b:2:3: error: Cluster "x" is defined twice, first at a:2:3"#.to_owned();
    assert_eq!(check_all(&[("a", &good), ("b", &bad)], &[]), [twice, typo("b:2:75")]);
    let (edge, core) = (format!("nodes: {{id: a}}\n{good}"), format!("nodes: {{id: b}}\n{bad}"));
    assert_eq!(check_all(&[("a", &edge), ("b", &core)], &[]), [typo("b:3:75")]);
    let unclear = format!("nodes: {{idd: b}}\n{good}");
    let key = r#"b:1:9: error: unknown key "idd" in nodes (did you mean "id"?)"#.to_owned();
    assert_eq!(check_all(&[("a", &edge), ("b", &unclear)], &[]), [key]);

    let unknown = good.replace("resources", "resorces");
    let to_x = resources(&[routes("r", "{cluster: x}"), routes("s", "{cluster: nowhere}")]);
    let document = r#"a:1:1: error: unknown document: expected resources: (Envoy resources), kind: Rollout or kind: AnalysisTemplate (did you mean "resources"?)"#.to_owned();
    assert_eq!(check_all(&[("a", &unknown), ("b", &to_x)], &[]), [document, nowhere("b:17:24")]);
    let lost = format!("{to_x}---\n{good}- <<: y\n");
    let merge = "a:21:3: error: merge keys (<<) are not supported: write the fields out".to_owned();
    assert_eq!(check_all(&[("a", &lost)], &[]), [nowhere("a:17:24"), merge]);
    let both = resources(&[cluster("x").replace('}', ", name: y}"), routes("r", "{cluster: nowhere}")]);
    let again = r#"a:2:75: error: "name" stands here a second time, first at line 2"#.to_owned();
    assert_eq!(check_all(&[("a", &both)], &[]), [again, nowhere("a:10:24")]);
}

#[test]
fn endpoints_and_clusters_come_in_pairs() {
    let set = resources(&[eds("shop", ""), assignment("shpo"), eds("cart", ", service_name: c"), assignment("zzzzz")]);
    assert_eq!(
        check_all(&[("a", &set)], &[]),
        [
            r#"a:2:3: warning: cluster "shop" has no endpoints: no ClusterLoadAssignment "shop" is defined (did you mean "shpo"?)"#,
            r#"a:3:3: warning: no cluster asks for the ClusterLoadAssignment "shpo" (did you mean "shop"?)"#,
            r#"a:4:3: warning: cluster "cart" has no endpoints: no ClusterLoadAssignment "c" is defined"#,
            r#"a:5:3: warning: no cluster asks for the ClusterLoadAssignment "zzzzz""#,
        ]
    );
    let own = eds("own", "").replace("ads", "self");
    let warning = r#"a:2:3: warning: cluster "own" has no endpoints: no ClusterLoadAssignment "own" is defined"#;
    assert_eq!(check_all(&[("a", &resources(&[own]))], &[]), [warning]);
    let file = "{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: f, type: EDS, \
                eds_cluster_config: {eds_config: {path_config_source: {path: /x}}}}";
    assert_eq!(check_all(&[("a", &resources(&[file.to_owned()]))], &[]), [""; 0]);
}

#[test]
fn a_name_stands_once() {
    let plain = resources(&[cluster("plain")]);
    for (a, b, expected) in [
        (rollout("shop"), rollout("shop"), r#"b:3:18: error: rollout "shop" is defined twice, first at a:3:18"#),
        (
            rollout("shop"),
            resources(&[cluster("shop")]),
            r#"b:2:3: error: Cluster "shop" has the name of rollout "shop" at a:3:18"#,
        ),
        (
            resources(&[cluster("shop")]),
            rollout("shop"),
            r#"b:3:18: error: rollout "shop" has the name of Cluster "shop" at a:2:3"#,
        ),
        (
            rollout("shop"),
            resources(&[cluster("shop/blue")]),
            r#"b:2:3: error: Cluster "shop/blue" has the name of Cluster "shop/blue" of rollout "shop" at a:3:18"#,
        ),
        (
            rollout("shop"),
            resources(&[assignment("shop/blue")]),
            r#"b:2:3: error: ClusterLoadAssignment "shop/blue" has the name of ClusterLoadAssignment "shop/blue" of rollout "shop" at a:3:18"#,
        ),
        (
            plain.clone(),
            format!("nodes: {{id: x}}\n{plain}"),
            r#"b:3:3: error: Cluster "plain" is defined twice, first at a:2:3 (the one without nodes goes to every proxy)"#,
        ),
        (
            format!("nodes: {{id: x}}\n{plain}"),
            format!("nodes: {{id: x}}\n{plain}"),
            r#"b:3:3: error: Cluster "plain" is defined twice, first at a:3:3 (their nodes are the same)"#,
        ),
    ] {
        assert_eq!(check_all(&[("a", &a), ("b", &b)], &[]), [expected]);
    }
    let (x, y) = (format!("nodes: {{id: x}}\n{plain}"), format!("nodes: {{id: y}}\n{plain}"));
    assert_eq!(check_all(&[("a", &x), ("b", &y)], &[]), [""; 0]);
    let both = resources(&[cluster("same"), eds("same", ""), assignment("same")]);
    assert_eq!(check_all(&[("a", &both)], &[]), [r#"a:3:3: error: Cluster "same" is defined twice, first at a:2:3"#]);
    let other = resources(&[routes("plain", "{cluster: plain}")]);
    assert_eq!(check_all(&[("a", &plain), ("b", &other)], &[]), [""; 0], "kinds have names of their own");
}

#[test]
fn a_group_has_more_than_one_rollout() {
    let (a, b) = (in_group("a", "shop"), in_group("b", "shop"));
    assert_eq!(check_all(&[("a", &a), ("b", &b)], &[]), [""; 0]);
    let alone = "a:3:18: warning: rollout \"a\" is alone in group \"shop\"";
    assert_eq!(check_all(&[("a", &a)], &[]), [alone]);
    let (c, d) = (in_group("c", "shpo"), in_group("d", "shpo"));
    let guess = format!("{alone} (did you mean \"shpo\"?)");
    assert_eq!(check_all(&[("a", &a), ("c", &c), ("d", &d)], &[]), [guess]);
    let broken = b.replace("target: blue", "target: bleu");
    let told = check_all(&[("a", &a), ("b", &broken)], &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("b:6:11: error: "), "{told:?}");
}

#[test]
fn templates_have_names_of_their_own() {
    let golden = template("golden");
    assert_eq!(check_all(&[("a", &golden), ("b", &rollout("golden"))], &[]), [""; 0]);
    let twice = "b:3:18: error: analysis template \"golden\" is defined twice, first at a:3:18";
    assert_eq!(check_all(&[("a", &golden), ("b", &golden)], &[]), [twice]);
    let broken = golden.replace("min: 1", "min: a");
    let told = check_all(&[("a", &golden), ("b", &broken)], &[]);
    assert_eq!(told[0], twice);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_template_must_be_defined() {
    let steps = "canary: {steps: [{analysis: {templates: [{templateName: goldn}]}}]}";
    let around = "blueGreen: {prePromotionAnalysis: {templates: [{templateName: x}]}, \
                  postPromotionAnalysis: {templates: [{templateName: golden}]}}";
    let strategy = |strategy| rollout("shop").replace("blueGreen: {}", strategy);
    let undefined = "a:7:70: error: no analysis template \"goldn\" is defined";
    assert_eq!(check_all(&[("a", &strategy(steps))], &[]), [undefined]);
    let told = check_all(&[("a", &strategy(steps)), ("b", &template("golden"))], &[]);
    assert_eq!(told, [format!("{undefined} (did you mean \"golden\"?)")]);
    let told = check_all(&[("a", &strategy(around)), ("b", &template("golden"))], &[]);
    assert_eq!(told, ["a:7:76: error: no analysis template \"x\" is defined"]);
    let beside = "canary: {stepWeights: [5], analysis: {templates: [{templateName: y}]}}";
    let told = check_all(&[("a", &strategy(beside))], &[]);
    assert_eq!(told, ["a:7:79: error: no analysis template \"y\" is defined"]);
    let broken = template("goldn").replace("min: 1", "min: a");
    let told = check_all(&[("a", &strategy(steps)), ("b", &broken)], &[]);
    assert_eq!(told.len(), 1, "what has mistakes is not called undefined: {told:?}");
    let cluster = resources(&[cluster("goldn")]);
    assert_eq!(check_all(&[("a", &strategy(steps)), ("b", &cluster)], &[]).len(), 1, "a cluster is no template");
}
