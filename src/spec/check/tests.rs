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
        check_all(&[("a", &set), ("b", &shop)], &["bootstrapped"]),
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
            routes("r", "{weighted_clusters: {clusters: [{name: plian}]}}"),
            format!(r#"9:53: error: no cluster "plian" is defined (did you mean "plain"? {bootstrap} plian)"#),
        ),
        (
            routes("r", "{weighted_clusters: {clusters: [{name: shop}]}}"),
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
    let shop = rollout_of("shop", "{blue: {existingCluster: shop}, green: {existingCluster: unknown}}");
    assert_eq!(
        check_all(&[("a", &shop)], &[]),
        [r#"a:5:38: error: "shop" is a rollout, and existingCluster needs a cluster (use one version's: "shop")"#]
    );
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
