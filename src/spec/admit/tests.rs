use proptest::prelude::*;

use super::*;

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| (Arc::from(*path), Arc::from(*text))).collect()
}

/// What is in force after `current` was found while `before` was in force, as (path, text), with what was held back
/// and said.
fn step(before: &[(&str, &str)], current: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>, Vec<String>) {
    step_without(before, current, &[])
}

fn step_without(
    before: &[(&str, &str)],
    current: &[(&str, &str)],
    unreadable: &[(&str, &str)],
) -> (Vec<(String, String)>, Vec<String>, Vec<String>) {
    let options = Options::default();
    let previous = Admitted::restore(&files(before), &options).expect("a good set");
    let unreadable = unreadable.iter().map(|(path, reason)| (Arc::from(*path), (*reason).to_owned())).collect();
    match admit(&previous, &files(current), &unreadable, &options) {
        Admission::Ready { admitted, held_back, diagnostics } => (
            admitted.texts().iter().map(|(path, text)| (path.to_string(), text.to_string())).collect(),
            held_back.iter().map(ToString::to_string).collect(),
            diagnostics.iter().map(ToString::to_string).collect(),
        ),
        Admission::NotReady { diagnostics } => {
            (vec![], vec!["not ready".into()], diagnostics.iter().map(ToString::to_string).collect())
        }
    }
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

const X: &str = "resources: [{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: x}]";
const X2: &str =
    "resources: [{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: x, connect_timeout: 2s}]";
const Y: &str = "resources: [{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: yyy}]";
const W: &str = "resources: [{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: w}]";
const TO_W: &str = "resources: [{'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: r, \
                    request_mirror_policies: [{cluster: w}]}]";
const TO_X: &str = "resources: [{'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: r, \
                    request_mirror_policies: [{cluster: x}]}]";
const TO_Y: &str = "resources: [{'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: r, \
                    request_mirror_policies: [{cluster: yyy}]}]";
const BROKEN: &str = "resources: [";
const NO_YYY: &str = "no cluster \"yyy\" is defined (if the bootstrap defines it: --bootstrap-cluster yyy)";

#[test]
fn a_good_set_is_taken_whole() {
    for (before, current) in [
        (vec![], vec![("a", X), ("b", TO_X)]),
        (vec![("a", X), ("b", TO_X)], vec![("a", Y), ("b", TO_Y)]),
        (vec![("a", X)], vec![("b", X)]),
        (vec![("a", X), ("b", Y)], vec![("a", Y), ("b", X)]),
        (vec![("a", X), ("b", TO_X)], vec![("a", Y)]),
        (vec![("a", X)], vec![("a", X), ("b", "# nothing yet")]),
    ] {
        assert_eq!(step(&before, &current), (owned(&current), vec![], vec![]));
    }
}

#[test]
fn a_file_with_mistakes_keeps_its_last_good_version_and_the_others_go_on() {
    let (now, held, said) = step(&[("a", X), ("b", TO_X)], &[("a", BROKEN), ("b", TO_X), ("c", Y)]);
    assert_eq!(now, owned(&[("a", X), ("b", TO_X), ("c", Y)]));
    assert_eq!(held, ["a"]);
    assert_eq!(said.len(), 1, "that x is not defined is not told while the file that names it has mistakes: {said:?}");
    assert!(said[0].starts_with("a:2:1: error: "), "{said:?}");
}

#[test]
fn a_new_file_with_mistakes_is_left_out() {
    let (now, held, _) = step(&[("a", X)], &[("a", X2), ("b", BROKEN)]);
    assert_eq!((now, held), (owned(&[("a", X2)]), vec!["b".to_owned()]));
}

#[test]
fn errors_across_files_hold_back_what_has_them() {
    let (now, held, said) = step(&[("a", X), ("b", TO_X)], &[("a", X2), ("b", TO_Y)]);
    assert_eq!((now, held), (owned(&[("a", X2), ("b", TO_X)]), vec!["b".to_owned()]));
    assert_eq!(said, [format!("b:1:130: error: {NO_YYY}")]);
}

#[test]
fn who_takes_away_what_others_name_is_held_back() {
    let (now, held, said) = step(&[("a", Y), ("b", TO_Y), ("c", X)], &[("a", X), ("b", TO_Y), ("c", "kind: [")]);
    assert_eq!(now, owned(&[("a", Y), ("b", TO_Y), ("c", X)]));
    assert_eq!(held, ["a", "c"]);
    assert!(said.iter().any(|d| d.starts_with("a:1:1: error: this change is held back, ")), "{said:?}");

    let (now, held, said) = step(&[("a", Y), ("b", TO_Y), ("c", X)], &[("a", X2), ("b", TO_Y), ("c", Y)]);
    assert_eq!((now, held), (owned(&[("a", X2), ("b", TO_Y), ("c", Y)]), vec![]), "a name may move");
    assert_eq!(said, [""; 0]);

    let (now, held, said) = step(&[("a", Y), ("b", TO_Y)], &[("a", X), ("b", TO_Y)]);
    assert_eq!((now, held), (owned(&[("a", Y), ("b", TO_Y)]), vec!["a".to_owned()]));
    let why = "this change is held back, the last good version stays in force: with it";
    assert_eq!(
        said,
        [format!("a:1:1: error: {why}, b:1:130: no cluster \"yyy\" is defined"), format!("b:1:130: error: {NO_YYY}"),]
    );
}

#[test]
fn a_deletion_that_breaks_others_does_not_happen() {
    let (now, held, said) = step(&[("a", Y), ("b", TO_Y)], &[("b", TO_Y)]);
    assert_eq!((now, held), (owned(&[("a", Y), ("b", TO_Y)]), vec!["a".to_owned()]));
    assert_eq!(
        said,
        [
            "a:1:1: error: deleted, but its last good version stays in force: without it, b:1:130: no cluster \
         \"yyy\" is defined"
                .to_owned(),
            format!("b:1:130: error: {NO_YYY}"),
        ]
    );
}

#[test]
fn a_template_that_a_rollout_names_stays() {
    let template = |name: &str| {
        format!(
            "apiVersion: serin.dev/v1\nkind: AnalysisTemplate\nmetadata: {{name: {name}}}\nspec:\n  metrics: [{{name: a, \
             thresholdRange: {{min: 1}}, provider: {{web: {{url: 'http://a', jsonPath: $.a}}}}}}]\n"
        )
    };
    let (golden, other) = (template("golden"), template("other"));
    let shop = "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {name: shop}\nspec:\n  versions: {a: {endpoints: \
                ['10.0.0.1:80']}, b: {endpoints: ['10.0.0.2:80']}}\n  target: a\n  strategy: {canary: {steps: [{analysis: \
                {templates: [{templateName: golden}]}}]}}\n";
    let before = [("a", &*golden), ("b", shop)];
    let why = "b:7:70: no analysis template \"golden\" is defined";
    for (current, state) in [
        (vec![("b", shop)], "deleted, but its last good version stays in force: without it"),
        (vec![("a", &*other), ("b", shop)], "this change is held back, the last good version stays in force: with it"),
    ] {
        let (now, held, said) = step(&before, &current);
        assert_eq!((now, held), (owned(&before), vec!["a".to_owned()]));
        assert_eq!(said[0], format!("a:1:1: error: {state}, {why}"));
    }
    for current in [[("b", shop), ("c", &*golden)], [("a", &*other), ("c", X)]] {
        assert_eq!(step(&before, &current), (owned(&current), vec![], vec![]), "it may move, or go with who names it");
    }
    let (now, held, _) = step(&[("a", &golden)], &[("a", "# all gone")]);
    assert_eq!((now, held), (owned(&[("a", &golden)]), vec!["a".to_owned()]), "a template is a document");
}

#[test]
fn what_leans_on_a_file_with_mistakes_waits_for_it() {
    let wrong_y = format!("{Y}\n---\n{BROKEN}");
    let (now, held, said) = step(&[("a", X), ("b", TO_X)], &[("a", &wrong_y), ("b", TO_Y)]);
    assert_eq!((now, held), (owned(&[("a", X), ("b", TO_X)]), vec!["a".to_owned(), "b".to_owned()]));
    assert!(said[0].starts_with("a:4:1: error: "), "{said:?}");
    let state = "this change is held back, the last good version stays in force: with it, b:1:130: no cluster \"yyy\" is defined";
    assert_eq!(said[1..], [format!("b:1:1: error: {state}")]);
}

#[test]
fn of_two_that_are_at_odds_the_first_is_taken() {
    let (now, held, said) = step(&[("c", Y)], &[("a", X), ("b", X2), ("c", Y)]);
    assert_eq!((now, held), (owned(&[("a", X), ("c", Y)]), vec!["b".to_owned()]));
    assert_eq!(said, ["b:1:13: error: Cluster \"x\" is defined twice, first at a:1:13"]);
    let (now, held, said) = step(&[("b", X)], &[("a", X2), ("b", X)]);
    assert_eq!((now, held), (owned(&[("b", X)]), vec!["a".to_owned()]), "what is in force has the older right");
    assert_eq!(
        said,
        [
            "a:1:1: error: this file is held back: with it, b:1:13: Cluster \"x\" is defined twice, first at a:1:13",
            "b:1:13: error: Cluster \"x\" is defined twice, first at a:1:13",
        ]
    );
}

#[test]
fn changes_that_are_good_only_together_are_not_held_back_for_others() {
    let swapped = |more: &[(&'static str, &'static str)]| [&[("a", Y), ("b", X)], more].concat();
    let before = [("a", X), ("b", Y), ("c", W), ("d", TO_W)];
    let (now, held, _) = step(&before, &swapped(&[("d", TO_W)]));
    assert_eq!((now, held), (owned(&swapped(&[("c", W), ("d", TO_W)])), vec!["c".to_owned()]));
    let before = [("a", X), ("b", Y), ("d", W)];
    let (now, held, _) = step(&before, &swapped(&[("c", W), ("d", W)]));
    assert_eq!((now, held), (owned(&swapped(&[("d", W)])), vec!["c".to_owned()]));
}

#[test]
fn accidents_are_not_wishes() {
    let all = [("a", X), ("b", TO_X)];
    let (now, held, said) = step(&all, &[]);
    assert_eq!((now, held.len()), (owned(&all), 2));
    assert_eq!(said[0], "a:1:1: error: all files are gone at once: the last good version of this one stays in force");
    for empty in ["", "# all gone\n", "---\n"] {
        let (now, held, said) = step(&all, &[("a", empty), ("b", TO_X)]);
        assert_eq!((now, held), (owned(&all), vec!["a".to_owned()]));
        assert_eq!(
            said[0],
            "a:1:1: error: no documents are left in this file: its last good version stays in force \
                             (delete the file to withdraw its documents)"
        );
    }
}

#[test]
fn what_cannot_be_read_keeps_its_last_version() {
    let before = [("d/a", X), ("d/b", TO_X), ("dd", Y)];
    let (now, held, said) = step_without(&before, &[("d/a", X2), ("dd", Y)], &[("d/b", "permission denied")]);
    assert_eq!((now, held), (owned(&[("d/a", X2), ("d/b", TO_X), ("dd", Y)]), vec!["d/b".to_owned()]));
    assert_eq!(said, ["d/b:1:1: error: cannot be read: permission denied"]);
    let (now, held, _) = step_without(&before, &[("dd", Y)], &[("d", "permission denied")]);
    assert_eq!((now, held), (owned(&before), ["d", "d/a", "d/b"].map(str::to_owned).to_vec()));
    let (now, ..) = step_without(&before, &[("d/a", X), ("d/b", TO_X)], &[("d", "permission denied")]);
    assert_eq!(now, owned(&[("d/a", X), ("d/b", TO_X)]), "dd does not lie in d");
    let (now, held, _) = step_without(&before, &[], &[("d/a", "x"), ("d/b", "x"), ("dd", "x")]);
    assert_eq!((now, held.len()), (owned(&before), 3));
}

#[test]
fn before_the_first_good_set_there_is_nothing() {
    for current in [vec![], vec![("a", "")], vec![("a", X), ("b", BROKEN)], vec![("a", X), ("b", TO_Y)]] {
        let (_, held, said) = step(&[], &current);
        assert_eq!(held, ["not ready"]);
        assert_eq!(said.is_empty(), current.len() < 2, "{said:?}");
    }
    let (_, held, said) = step_without(&[], &[("a", X)], &[("b", "permission denied")]);
    assert_eq!(held, ["not ready"]);
    assert_eq!(said, ["b:1:1: error: cannot be read: permission denied"]);
}

#[test]
fn only_a_good_set_can_be_restored() {
    let errors = Admitted::restore(&files(&[("a", X), ("b", TO_Y)]), &Options::default()).expect_err("dangling");
    assert_eq!(errors[0].to_string(), format!("b:1:130: error: {NO_YYY}"));
    let options = Options { bootstrap_clusters: ["yyy".to_owned()].into() };
    assert!(Admitted::restore(&files(&[("a", X), ("b", TO_Y)]), &options).is_ok());
}

#[test]
fn an_unchanged_file_is_not_parsed_again() {
    let options = Options::default();
    let before = Admitted::restore(&files(&[("a", X), ("b", TO_X)]), &options).expect("good");
    let Admission::Ready { admitted, .. } =
        admit(&before, &files(&[("a", X2), ("b", TO_X)]), &BTreeMap::new(), &options)
    else {
        panic!("ready")
    };
    let (old, new) = (before.spec_set(), admitted.spec_set());
    assert!(Arc::ptr_eq(&old.files["b"], &new.files["b"]));
    assert!(!Arc::ptr_eq(&old.files["a"], &new.files["a"]));
}

/// A file of a few clusters and of references to some, so that files often clash and often need each other; at times
/// with a mistake of syntax.
fn text() -> impl Strategy<Value = Arc<str>> {
    let names = || prop::sample::subsequence(vec!["p", "q", "r", "s"], 0..3);
    (names(), names(), 0..10_u32).prop_map(|(defined, named, luck)| {
        let cluster = |name: &str| format!("- {{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}}}\n");
        let mirrors = named.iter().map(|name| format!("{{cluster: {name}}}")).collect::<Vec<_>>().join(", ");
        let routes = format!(
            "nodes: {{id: 'n-{luck}-{}'}}\nresources:\n- {{'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration, \
             name: routes, request_mirror_policies: [{mirrors}]}}\n",
            named.concat()
        );
        let clusters = defined.iter().map(|name| cluster(name)).collect::<Vec<_>>().concat();
        let mut text = if clusters.is_empty() { String::new() } else { format!("resources:\n{clusters}---\n") };
        match luck {
            0 => text.push_str("kind: Nonsense"),
            1..=4 => text.push_str(&routes),
            _ => {}
        }
        Arc::from(text)
    })
}

fn directory() -> impl Strategy<Value = Files> {
    let path = prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(Arc::<str>::from);
    prop::collection::btree_map(path, text(), 0..5).prop_map(|files| files.into_iter().collect())
}

fn error_free(files: &Files) -> bool {
    !has_errors(&check_files(files, &Options::default()))
}

fn has_documents(text: &Arc<str>) -> bool {
    !Parsed::new(&Arc::from("p"), text).is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The promises of the module, over whole histories of a directory.
    #[test]
    fn the_promises_hold(history in prop::collection::vec((directory(), 0..8_usize), 1..8)) {
        let options = Options::default();
        let mut previous = Admitted::default();
        for (mut current, lost) in history {
            let lost = ["a", "b", "c", "d"].get(lost).map(|path| Arc::<str>::from(*path));
            if let Some(path) = &lost {
                current.remove(path);
            }
            let unreadable: BTreeMap<_, _> = lost.iter().map(|path| (path.clone(), "lost".to_owned())).collect();
            let before = previous.texts();
            let admission = admit(&previous, &current, &unreadable, &options);

            let same = Admitted::restore(&before, &options).expect("what was in force is good");
            prop_assert_eq!(&admit(&same, &current, &unreadable, &options), &admission, "a function of the texts");
            let slow = Admitted { known: None, ..previous.clone() };
            prop_assert_eq!(&admit(&slow, &current, &unreadable, &options), &admission, "the quick way is another");

            let good = error_free(&current) && unreadable.is_empty() && current.values().any(has_documents);
            let Admission::Ready { admitted, held_back, diagnostics } = admission else {
                prop_assert!(before.is_empty() && !good);
                continue;
            };
            let now = admitted.texts();
            prop_assert!(error_free(&now), "no errors in force");
            prop_assert_eq!(held_back.is_empty(), now == current && unreadable.is_empty());
            for path in &held_back {
                prop_assert!(diagnostics.iter().any(|d| d.file == *path && d.severity == Severity::Error), "{path}: why?");
            }

            let emptied = |path: &Arc<str>| {
                before.get(path).is_some_and(has_documents) && current.get(path).is_some_and(|text| !has_documents(text))
            };
            if good && !current.keys().any(emptied) {
                prop_assert_eq!(&now, &current, "a good set is taken whole");
            }
            for (path, text) in &before {
                let withdrawn = !current.contains_key(path) && !unreadable.contains_key(path) && !current.is_empty();
                prop_assert!(now.contains_key(path) || withdrawn, "{} is gone", path);
                prop_assert!(!has_documents(text) || withdrawn || has_documents(&now[path]), "{} is emptied", path);
                let newest = current.get(path) == now.get(path);
                prop_assert!(newest || now.get(path) == Some(text), "{} is neither old nor new", path);
            }
            for path in held_back.iter().filter(|path| !unreadable.contains_key(*path) && !emptied(path)) {
                let mut more = now.clone();
                match current.get(path) {
                    Some(text) => more.insert(path.clone(), text.clone()),
                    None => more.remove(path),
                };
                prop_assert!(!error_free(&more) || current.is_empty(), "{} could have been taken", path);
            }
            previous = admitted;
        }
    }
}

/// A document that others need, or that needs others: clusters, endpoints, routes, listeners, rollouts and groups of them.
fn needy() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["p", "q", "r", "p/a"]);
    (name(), name(), 0..9_u32).prop_map(|(name, other, kind)| {
        let typed = |kind: &str, rest: &str| format!("resources: [{{'@type': type.googleapis.com/envoy.config.{kind}, {rest}}}]\n");
        let rollout = |rest: &str, a: &str| {
            format!(
                "apiVersion: serin.dev/v1\nkind: Rollout\nmetadata: {{name: {}}}\nspec:\n  {rest}target: a\n  versions: {{a: {a}, \
                 b: {{endpoints: ['10.0.0.1:80']}}}}\n  strategy: {{weights: {{a: 90, b: 10}}}}\n",
                name.replace('/', "-")
            )
        };
        match kind {
            0 => typed("cluster.v3.Cluster", &format!("name: {name}")),
            1 => "nodes: {id: edge}\n".to_owned() + &typed("cluster.v3.Cluster", &format!("name: {name}")),
            2 => typed(
                "cluster.v3.Cluster",
                &format!("name: {name}, type: EDS, eds_cluster_config: {{service_name: {other}, eds_config: {{ads: {{}}}}}}"),
            ),
            3 => typed("endpoint.v3.ClusterLoadAssignment", &format!("cluster_name: {name}")),
            4 | 5 => {
                let nodes = if kind == 4 { "" } else { "nodes: {id: edge}\n" };
                let mirror = format!("name: {name}, request_mirror_policies: [{{cluster: {other}}}]");
                nodes.to_owned() + &typed("route.v3.RouteConfiguration", &mirror)
            }
            6 => rollout("", "{endpoints: ['10.0.0.2:80']}"),
            7 => rollout("", &format!("{{existingCluster: {other}}}")),
            _ => rollout(&format!("group: {}\n  ", other.replace('/', "-")), "{endpoints: ['10.0.0.3:80']}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Each edit of one file is decided as if all files were looked at.
    #[test]
    fn the_quick_way_is_the_way(
        start in prop::collection::vec(needy(), 9),
        edits in prop::collection::vec((0..9_usize, prop::option::weighted(0.8, needy())), 1..40),
    ) {
        let options = Options { bootstrap_clusters: ["p/a".to_owned()].into() };
        let path = |index: usize| Arc::<str>::from(format!("f{index}"));
        let (mut current, mut previous) = (Files::new(), Admitted::default());
        let start = start.into_iter().enumerate().map(|(index, text)| (index, Some(text)));
        for (index, text) in start.chain(edits) {
            match text {
                Some(text) => drop(current.insert(path(index), text.into())),
                None => drop(current.remove(&path(index))),
            }
            let slow = Admitted { known: None, ..previous.clone() };
            let admission = admit(&previous, &current, &BTreeMap::new(), &options);
            prop_assert_eq!(&admission, &admit(&slow, &current, &BTreeMap::new(), &options));
            if let Admission::Ready { admitted, held_back, .. } = admission {
                // The next edit goes on from what was found, so that the quick way is taken often.
                if held_back.is_empty() { previous = admitted } else { current = admitted.texts() }
            }
        }
    }
}
