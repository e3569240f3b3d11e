//! So many services, each a rollout of two versions and a route configuration of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serin::rollout;
use serin::spec::{Admission, Admitted, Files, Options, Served, SpecSet, Split, Traffic, admit};
use serin::translate::World;
use serin::tree::Map;
use serin::xds::{Assign, Node, Snapshot};

/// The files, and the set that they make.
pub(crate) struct Services {
    files: Files,
    admitted: Admitted,
}

impl Services {
    pub(crate) fn new(count: usize) -> Self {
        let mut files = Files::default();
        for service in 0..count {
            files.insert(path(service), document(service, "weights: {v1: 90, v2: 10}", "v1").into());
        }
        let admitted = admitted(&Admitted::default(), &files);
        Self { files, admitted }
    }

    pub(crate) fn spec(&self) -> SpecSet {
        self.admitted.spec_set()
    }

    /// The set after an edit of the first service's file.
    pub(crate) fn edit(&mut self, strategy: &str, target: &str) -> SpecSet {
        self.files.insert(path(0), document(0, strategy, target).into());
        self.admitted = admitted(&self.admitted, &self.files);
        self.spec()
    }
}

#[expect(clippy::panic, reason = "the files are written here")]
fn admitted(before: &Admitted, files: &Files) -> Admitted {
    match admit(before, files, &BTreeMap::new(), &Options::default()) {
        Admission::Ready { admitted, held_back, .. } if held_back.is_empty() => admitted,
        refused => panic!("{refused:?}"),
    }
}

fn path(service: usize) -> Arc<str> {
    format!("{service}.yaml").into()
}

fn document(service: usize, strategy: &str, target: &str) -> String {
    format!(
        r#"apiVersion: serin.dev/v1
kind: Rollout
metadata: {{name: service-{service}}}
spec:
  versions:
    v1: {{endpoints: ["10.0.0.1:8080", "10.0.0.2:8080"]}}
    v2: {{endpoints: ["10.0.1.1:8080", "10.0.1.2:8080"]}}
  target: {target}
  strategy: {{{strategy}}}
---
resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: routes-{service}
  virtual_hosts:
  - name: service-{service}
    domains: ["*"]
    routes:
    - match: {{prefix: /}}
      route: {{cluster: service-{service}}}
"#
    )
}

/// What is served of each rollout, as its file says.
pub(crate) fn served(spec: &SpecSet) -> Map<Arc<str>, Served> {
    let rollouts = spec.files.values().flat_map(|file| &file.rollouts);
    rollouts.map(|rollout| (Arc::clone(&rollout.name), Traffic::of(rollout::split(rollout)).into())).collect()
}

/// The same after one more step of the first service.
pub(crate) fn moved(served: &Map<Arc<str>, Served>) -> Map<Arc<str>, Served> {
    let mut moved = served.clone();
    let split = Split(vec![("v1".into(), 5_000), ("v2".into(), 5_000)]);
    moved.insert("service-0".into(), Traffic::of(split).into());
    moved
}

/// What a proxy has before such a step, and after it.
pub(crate) fn snapshots(count: usize) -> [Arc<Snapshot>; 2] {
    let spec = Services::new(count).spec();
    let served = served(&spec);
    let before = World::new(&spec, &served);
    let node = Node { id: "proxy".into(), ..Node::default() };
    let snapshot = before.assign(&node).snapshot;
    let after = before.next(&spec, &moved(&served));
    [snapshot, after.assign(&node).snapshot]
}
