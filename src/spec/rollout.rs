//! `kind: Rollout` documents to the model.
//!
//! What comes out holds together: two or more versions, a target that is one of them, weights that add up. What later
//! releases will understand is named as such: with a warning where leaving it out is harmless, with an error where it
//! would move traffic against the writer's wish.

mod analysis;
mod blue_green;
mod canary;
mod capacity;
mod convergence;
mod duration;
mod endpoint;
mod header;
mod scalar;
mod step;
mod strategy;
pub(super) mod template;
mod webhook;
mod window;

use std::sync::Arc;
use std::time::Duration;

use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::fields::{Fields, list, mapping, name};
use super::model::{Backend, Endpoint, Origin, Reference, Rollout, Version};
use super::strategy::Strategy;
use super::yaml::{Data, Entry, Node, Position};
use super::{Reporter, descriptor, message, nodes, references, suggest, walk};

/// Bound of names, in characters. They become file names in the state directory (255 with their ending on the usual
/// file systems), and 253 is what Kubernetes, Argo Rollouts and Flagger allow.
const MAX_NAME: usize = 253;

/// Fields of a Cluster that follow from the rollout itself.
const OWN_FIELDS: [(&str, &str); 5] = [
    ("name", "the cluster of a version is named ROLLOUT/VERSION"),
    ("type", "it follows from the endpoints: EDS for IPs, STRICT_DNS for host names"),
    ("cluster_type", "it follows from the endpoints: EDS for IPs, STRICT_DNS for host names"),
    ("eds_cluster_config", "endpoints given as IPs are sent over ADS"),
    ("load_assignment", "it is made of the version's endpoints"),
];

/// Ten minutes without progress are too many, as for Argo Rollouts.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// Reads one document. `None`, and at least one error reported, unless all of it is right. What it names elsewhere is
/// added to `found` either way.
pub(super) fn read(node: &Node, reporter: &mut Reporter, found: &mut Vec<Reference>) -> Option<Rollout> {
    let errors = reporter.errors();
    let document = Fields::read(node, "a Rollout", &["apiVersion", "kind", "metadata", "spec"], reporter)?;
    let name = metadata_name(&document, reporter);
    let spec = required(&document, "spec", "it holds the versions and the strategy", reporter)?;
    let mut known = vec!["nodes", "cluster", "versions", "target", "strategy", "convergence"];
    known.extend(["progressDeadlineSeconds", "progressDeadlineAbort", "rollbackWindow"]);
    known.extend(["promotionWindows", "group", "webhooks", "capacityGate"]);
    let spec = Fields::read(spec, "spec", &known, reporter)?;

    let nodes = nodes::all_or_some(spec.get("nodes"), reporter);
    if let Some(versions) = spec.get("versions") {
        found.extend(references::of_versions(versions, nodes.as_ref()));
    }
    let versions = versions(&spec, name.as_ref().map_or("", |(name, _)| name), reporter);
    let names: Vec<Arc<str>> = versions.iter().flatten().map(|version| version.name.clone()).collect();
    let target = spec.get("target").and_then(|node| target(node, &names, reporter));
    if let Some(node) = spec.get("strategy") {
        found.extend(references::of_strategy(node));
    }
    let strategy = strategy(&spec, &names, reporter);
    if matches!(strategy, Some(Strategy::BlueGreen(_) | Strategy::Canary(_))) {
        required(&spec, "spec.target", "it is the version that should carry the traffic", reporter);
    }
    let convergence = spec.get("convergence").map(|node| convergence::read(node, reporter)).unwrap_or_default();
    let progress_deadline = spec
        .get("progressDeadlineSeconds")
        .and_then(|node| scalar::seconds(node, "progressDeadlineSeconds", 1, reporter))
        .unwrap_or(PROGRESS_DEADLINE);
    let progress_deadline_abort = spec
        .get("progressDeadlineAbort")
        .and_then(|node| scalar::boolean(node, "progressDeadlineAbort", reporter))
        .unwrap_or_default();
    let rollback_window = spec.get("rollbackWindow").and_then(|node| rollback_window(node, reporter));
    let webhooks = spec.get("webhooks").map(|node| webhook::read(node, reporter));
    let promotion_windows = spec.get("promotionWindows").map(|node| window::read(node, reporter));
    let group = spec.get("group").and_then(|node| group(node, reporter));
    if let (Some(entry), Some(Strategy::Weights(_))) = (spec.entry("group"), &strategy) {
        let help = Some("groups move step by step, weights have no steps".to_owned());
        reporter.error(entry.position, "group cannot stand beside the strategy weights", "group", help);
    }
    let capacity_gate = spec.get("capacityGate").and_then(|node| capacity::read(node, reporter));
    if let (Some(entry), Some(Strategy::Weights(_))) = (spec.entry("capacityGate"), &strategy) {
        let message = "capacityGate has no effect beside the strategy weights: the file is the split";
        reporter.warning(entry.position, message, "capacityGate", None);
    }

    let (name, position) = name?;
    let (nodes, versions, strategy) = (nodes?, versions?, strategy?);
    (reporter.errors() == errors).then(|| Rollout {
        name,
        nodes,
        versions,
        target,
        strategy,
        convergence,
        progress_deadline,
        progress_deadline_abort,
        rollback_window: rollback_window.unwrap_or_default(),
        webhooks: webhooks.unwrap_or_default(),
        promotion_windows: promotion_windows.unwrap_or_default(),
        group,
        capacity_gate,
        origin: origin(position, reporter),
    })
}

fn origin(Position { line, column }: Position, reporter: &Reporter) -> Origin {
    Origin { file: reporter.file().clone(), line, column }
}

/// `metadata.name` and where it stands.
pub(super) fn metadata_name(document: &Fields<'_>, reporter: &mut Reporter) -> Option<(Arc<str>, Position)> {
    let metadata = required(document, "metadata", "other documents know this one by its name", reporter)?;
    let metadata = Fields::read(metadata, "metadata", &["name", "labels", "annotations"], reporter)?;
    let node = required(&metadata, "metadata.name", "other documents know this one by it", reporter)?;
    let text = name(node, "metadata.name", reporter)?;
    checked_name(text, "metadata.name", node.position, reporter).then(|| (Arc::from(text), node.position))
}

/// Whether `text` can be a name: together, ROLLOUT/VERSION must be one cluster name that can be taken apart again.
fn checked_name(text: &str, place: &str, position: Position, reporter: &mut Reporter) -> bool {
    let length = text.chars().count();
    if text.is_empty() {
        reporter.error(position, format!("{place} is empty"), text, None);
    } else if text.contains('/') {
        let help = Some("clusters are named ROLLOUT/VERSION".to_owned());
        reporter.error(position, format!("{place} {text:?} must not contain a slash"), text, help);
    } else if length > MAX_NAME {
        let help = Some("names become names of files".to_owned());
        reporter.error(position, format!("{place} has {length} characters, {MAX_NAME} are allowed"), text, help);
    } else {
        return true;
    }
    false
}

/// The value of the key at the end of the path `what`. Without it, `why` it is needed is reported, unless the key is
/// only misspelt.
fn required<'a>(fields: &Fields<'a>, what: &str, why: &str, reporter: &mut Reporter) -> Option<&'a Node> {
    let key = what.rsplit('.').next().unwrap_or(what);
    if fields.lacks(key) {
        reporter.error(fields.position(), format!("{what} is missing: {why}"), "", None);
    }
    fields.get(key)
}

/// Reports as an error each key that nothing acts on yet and that must not be left out, with why.
fn refuse(fields: &Fields<'_>, refused: &[(&str, &str)], reporter: &mut Reporter) {
    for (key, why) in refused {
        if let Some(entry) = fields.entry(key) {
            reporter.error(entry.position, format!("{key} is not supported yet"), *key, Some((*why).to_owned()));
        }
    }
}

fn rollback_window(node: &Node, reporter: &mut Reporter) -> Option<u32> {
    let fields = Fields::read(node, "rollbackWindow", &["revisions"], reporter)?;
    let why = "it is how far back a version may have been stable";
    let node = required(&fields, "rollbackWindow.revisions", why, reporter)?;
    scalar::whole(node, "rollbackWindow.revisions", 0..=u32::MAX, reporter)
}

fn group(node: &Node, reporter: &mut Reporter) -> Option<Arc<str>> {
    let fields = Fields::read(node, "group", &["name", "barrier"], reporter)?;
    if let Some(node) = fields.get("barrier") {
        scalar::word(node, "group.barrier", &[("step", ())], reporter);
    }
    let node = required(&fields, "group.name", "the rollouts that name it move together", reporter)?;
    name(node, "group.name", reporter).map(Arc::from)
}

fn target(node: &Node, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = name(node, "spec.target", reporter)?;
    known_version(text, node.position, versions, reporter)
}

/// The version called `text`, or a report. Says nothing where the versions themselves could not be read.
fn known_version(text: &str, at: Position, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Arc<str>> {
    let found = versions.iter().find(|version| ***version == *text);
    if found.is_none() && !versions.is_empty() {
        let names = versions.iter().map(|version| &**version);
        let help = suggest::or_list(text, "the versions are", names);
        reporter.error(at, format!("{text:?} is no version of this rollout"), text, help);
    }
    found.cloned()
}

fn strategy(spec: &Fields<'_>, versions: &[Arc<str>], reporter: &mut Reporter) -> Option<Strategy> {
    let node = required(spec, "spec.strategy", "expected exactly one of canary, blueGreen, weights", reporter)?;
    strategy::read(node, versions, reporter)
}

/// The versions in the order of the file; those with mistakes are kept by name, so that what names them is not
/// reported too (the rollout as a whole is refused in any case).
fn versions(spec: &Fields<'_>, rollout: &str, reporter: &mut Reporter) -> Option<Vec<Version>> {
    let cluster = descriptor::message("envoy.config.cluster.v3.Cluster")?;
    let common = spec.get("cluster").and_then(|node| native_cluster(node, &cluster, reporter));
    let common = common.unwrap_or_else(|| DynamicMessage::new(cluster));
    let node = required(spec, "spec.versions", "a rollout moves traffic between two or more", reporter)?;
    let entries = mapping(node, "spec.versions", reporter)?;
    if entries.len() < 2 {
        let message = format!("a rollout moves traffic between two or more versions, found {}", entries.len());
        reporter.error(node.position, message, "", None);
    }
    Some(entries.iter().map(|entry| version(entry, rollout, &common, reporter)).collect())
}

fn version(entry: &Entry, rollout: &str, common: &DynamicMessage, reporter: &mut Reporter) -> Version {
    let name: Arc<str> = Arc::from(entry.key.as_str());
    checked_name(&name, "the name of a version", entry.position, reporter);
    let backend = backend(entry, common, reporter);
    let cluster_name = match &backend {
        Backend::Existing(cluster) => cluster.clone(),
        Backend::Endpoints { .. } => Arc::from(format!("{rollout}/{name}")),
    };
    Version { name, backend, cluster_name }
}

fn backend(entry: &Entry, common: &DynamicMessage, reporter: &mut Reporter) -> Backend {
    let nothing = || Backend::Endpoints { cluster: common.clone(), endpoints: Vec::new() };
    let place = format!("version {:?}", entry.key);
    let known = ["endpoints", "existingCluster", "cluster"];
    let Some(fields) = Fields::read(&entry.value, &place, &known, reporter) else { return nothing() };
    match (fields.get("endpoints"), fields.get("existingCluster")) {
        (Some(node), None) => {
            let mut cluster = common.clone();
            if let Some(own) = fields.get("cluster") {
                overlay(&mut cluster, own, reporter);
            }
            Backend::Endpoints { cluster, endpoints: endpoints(node, &entry.key, reporter) }
        }
        (None, Some(node)) => {
            if let Some(own) = fields.entry("cluster") {
                let help = Some("write its fields where the existing cluster is defined".to_owned());
                reporter.error(own.position, "cluster cannot stand beside existingCluster", "cluster", help);
            }
            let cluster = name(node, "existingCluster", reporter);
            cluster.map_or_else(nothing, |cluster| Backend::Existing(Arc::from(cluster)))
        }
        (Some(_), Some(_)) => {
            let message = format!("{place} has both endpoints and existingCluster, expected one of them");
            reporter.error(entry.position, message, entry.key.as_str(), None);
            nothing()
        }
        (None, None) if fields.lacks("endpoints") && fields.lacks("existingCluster") => {
            let message = format!("{place} has neither endpoints nor existingCluster, expected one of them");
            reporter.error(entry.position, message, entry.key.as_str(), None);
            nothing()
        }
        (None, None) => nothing(),
    }
}

fn endpoints(node: &Node, version: &str, reporter: &mut Reporter) -> Vec<Endpoint> {
    let Some(items) = list(node, "endpoints", reporter) else { return Vec::new() };
    if items.is_empty() {
        let message = format!("version {version:?} has no endpoints: requests sent to it fail with 503");
        reporter.warning(node.position, message, "[]", None);
    }
    let read: Vec<(Position, Endpoint)> =
        items.iter().filter_map(|item| Some((item.position, endpoint::read(item, reporter)?))).collect();
    let is_ip = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Ip(_));
    if let Some((_, first)) = read.first()
        && let Some((position, other)) = read.iter().find(|(_, other)| is_ip(other) != is_ip(first))
    {
        let kind = |endpoint| if is_ip(endpoint) { "an IP" } else { "a host name" };
        let message = format!(
            "\"{other}\" is {}, but \"{first}\" is {}: a version has one kind of endpoints",
            kind(other),
            kind(first)
        );
        let help = Some("IPs are sent as EDS, host names make the cluster STRICT_DNS".to_owned());
        reporter.error(*position, message, other.to_string(), help);
    }
    read.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// Reads native Cluster fields and refuses those that follow from the rollout.
fn native_cluster(node: &Node, cluster: &MessageDescriptor, reporter: &mut Reporter) -> Option<DynamicMessage> {
    if let Data::Mapping(entries) = &node.data {
        for entry in entries {
            let field = walk::field(cluster, &entry.key);
            let own = OWN_FIELDS.iter().find(|(name, _)| field.as_ref().is_some_and(|field| field.name() == *name));
            if let Some((name, why)) = own {
                let help = Some((*why).to_owned());
                reporter.error(entry.position, format!("{name} is set by serin"), entry.key.as_str(), help);
            }
        }
    }
    message::read(node, cluster, reporter)
}

/// Lays a version's own fields over the common ones. Each top-level field given in the version replaces the common
/// one whole, also where it is given as its default (or as null); messages and lists are not merged inside.
fn overlay(cluster: &mut DynamicMessage, node: &Node, reporter: &mut Reporter) {
    let desc = prost_reflect::ReflectMessage::descriptor(cluster);
    let own = native_cluster(node, &desc, reporter);
    let (Some(own), Data::Mapping(entries)) = (own, &node.data) else { return };
    for field in entries.iter().filter_map(|entry| walk::field(&desc, &entry.key)) {
        if own.has_field(&field) {
            cluster.set_field(&field, own.get_field(&field).into_owned());
        } else {
            cluster.clear_field(&field);
        }
    }
}

#[cfg(test)]
mod tests;
