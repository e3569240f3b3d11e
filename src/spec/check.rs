//! Checks that reach across files: names that stand twice, and names that stand for nothing.
//!
//! Works on whatever set of files it is given, good together or not. Limit: it takes all documents as one, whatever
//! their `nodes:`; that the proxies which get a route also get its cluster is not checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use prost_reflect::Value;

use super::model::{FileSpec, NodeSelector, Origin, Reference, Resource, ResourceKind, Role, Rollout, SpecSet};
use super::yaml::Position;
use super::{Backend, Diagnostic, Severity, suggest};

/// What is known from outside the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Clusters that the proxies' bootstraps define (`--bootstrap-cluster NAME`).
    pub bootstrap_clusters: BTreeSet<String>,
}

/// A diagnostic, and what else could be changed to be rid of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) diagnostic: Diagnostic,
    /// The other file of two that are at odds.
    pub(super) other: Option<Arc<str>>,
    /// The name that nothing defines, or asks for.
    pub(super) undefined: Option<Arc<str>>,
}

/// All that is wrong between the documents of `set`, by file and place.
pub(super) fn check(set: &SpecSet, options: &Options) -> Vec<Finding> {
    let index = Index::of(set, options);
    let mut findings = duplicates(set);
    for file in set.files.values() {
        findings.extend(file.references.iter().filter_map(|reference| index.look_up(file, reference)));
        findings.extend(file.resources.iter().filter_map(|resource| index.endpoints(resource)));
    }
    findings.sort();
    findings
}

/// Whether `file` defines something called `name`, of whatever kind.
pub(super) fn defines(file: &FileSpec, name: &str) -> bool {
    file.resources.iter().any(|resource| *resource.name == *name)
        || file.rollouts.iter().any(|rollout| {
            *rollout.name == *name || rollout.versions.iter().any(|version| *version.cluster_name == *name)
        })
}

/// Every name that a document may refer to.
struct Index<'a> {
    clusters: BTreeSet<&'a str>,
    rollouts: BTreeMap<&'a str, &'a Rollout>,
    routes: BTreeSet<&'a str>,
    assignments: BTreeSet<&'a str>,
    /// The assignments that a Cluster asks for, or one we cannot see may ask for.
    asked: BTreeSet<String>,
}

impl<'a> Index<'a> {
    fn of(set: &'a SpecSet, options: &'a Options) -> Self {
        let names = |kind| {
            let resources = set.files.values().flat_map(|file| &file.resources);
            resources.filter(move |resource| resource.kind == kind).map(|resource| &*resource.name)
        };
        let rollouts = || set.files.values().flat_map(|file| &file.rollouts);
        let versions = || rollouts().flat_map(|rollout| &rollout.versions).map(|version| &*version.cluster_name);
        let outside = || options.bootstrap_clusters.iter().map(String::as_str);
        let resources = set.files.values().flat_map(|file| &file.resources);
        let asked = resources.filter_map(|resource| asks_for(resource)).map(|(name, _)| name);
        Self {
            rollouts: rollouts().map(|rollout| (&*rollout.name, &**rollout)).collect(),
            routes: names(ResourceKind::RouteConfiguration).collect(),
            assignments: names(ResourceKind::ClusterLoadAssignment).collect(),
            asked: asked.chain(versions().chain(outside()).map(str::to_owned)).collect(),
            clusters: names(ResourceKind::Cluster).chain(versions()).chain(outside()).collect(),
        }
    }

    /// What is wrong with a name, if anything.
    fn look_up(&self, file: &FileSpec, reference: &Reference) -> Option<Finding> {
        let name = &*reference.name;
        let rollout = self.rollouts.get(name);
        let known = match reference.role {
            Role::RouteAction => rollout.is_some() || self.clusters.contains(name),
            Role::RouteConfiguration => self.routes.contains(name),
            // An existing cluster is known by being named; it must only not be a rollout.
            Role::ExistingCluster => rollout.is_none(),
            Role::WeightedCluster | Role::Mirror | Role::TcpProxy => rollout.is_none() && self.clusters.contains(name),
        };
        if known || name.is_empty() {
            return None;
        }
        let (message, help, other) = match rollout {
            Some(rollout) if reference.role != Role::RouteConfiguration => (
                format!("{name:?} is a rollout, and {} needs a cluster", stands_in(reference.role)),
                rollout.versions.first().map(|version| format!("use one version's: {:?}", version.cluster_name)),
                Some(rollout.origin.file.clone()),
            ),
            _ if reference.role == Role::RouteConfiguration => {
                let help = suggest::did_you_mean(name, self.routes.iter().copied());
                (format!("no RouteConfiguration {name:?} is defined"), help, None)
            }
            _ => (format!("no cluster {name:?} is defined"), Some(self.cluster_help(name, reference.role)), None),
        };
        let undefined = other.is_none().then(|| reference.name.clone());
        let diagnostic = diagnostic(&file.path, reference.position, Severity::Error, message, name, help);
        Some(Finding { diagnostic, other, undefined })
    }

    fn cluster_help(&self, name: &str, role: Role) -> String {
        let rollouts = self.rollouts.keys().filter(|_| role == Role::RouteAction);
        let candidates = self.clusters.iter().chain(rollouts).copied();
        let mut help = suggest::did_you_mean(name, candidates).map(|guess| guess + " ").unwrap_or_default();
        let _ = write!(help, "if the bootstrap defines it: --bootstrap-cluster {name}");
        help
    }

    /// A Cluster without its ClusterLoadAssignment, or the other way round.
    fn endpoints(&self, resource: &Resource) -> Option<Finding> {
        let name = &resource.name;
        let (message, help, undefined) = if resource.kind == ResourceKind::ClusterLoadAssignment {
            if self.asked.contains(&**name) {
                return None;
            }
            let help = suggest::did_you_mean(name, self.asked.iter().map(String::as_str));
            (format!("no cluster asks for the ClusterLoadAssignment {name:?}"), help, name.clone())
        } else {
            let (wanted, ads) = asks_for(resource)?;
            if !ads || self.assignments.contains(wanted.as_str()) {
                return None;
            }
            let help = suggest::did_you_mean(&wanted, self.assignments.iter().copied());
            let message = format!("cluster {name:?} has no endpoints: no ClusterLoadAssignment {wanted:?} is defined");
            (message, help, Arc::from(wanted))
        };
        let Origin { file, line, column } = &resource.origin;
        let position = Position { line: *line, column: *column };
        let diagnostic = diagnostic(file, position, Severity::Warning, message, name, help);
        Some(Finding { diagnostic, other: None, undefined: Some(undefined) })
    }
}

fn stands_in(role: Role) -> &'static str {
    match role {
        Role::RouteAction => "a route",
        Role::WeightedCluster => "an entry of weighted_clusters",
        Role::Mirror => "a mirror",
        Role::TcpProxy => "a TCP proxy",
        Role::ExistingCluster => "existingCluster",
        Role::RouteConfiguration => "RDS",
    }
}

/// The ClusterLoadAssignment that an EDS Cluster asks for, and whether it asks over ADS.
fn asks_for(resource: &Resource) -> Option<(String, bool)> {
    const EDS: i32 = 3;
    if resource.kind != ResourceKind::Cluster
        || resource.message.get_field_by_name("type")?.as_enum_number() != Some(EDS)
    {
        return None;
    }
    let config = resource.message.get_field_by_name("eds_cluster_config")?;
    let config = config.as_message()?;
    let service = config.get_field_by_name("service_name")?;
    let name = service.as_str().filter(|name| !name.is_empty()).unwrap_or(&resource.name).to_owned();
    let source = config.get_field_by_name("eds_config")?;
    let ads = matches!(&*source, Value::Message(source) if source.has_field_by_name("ads"));
    Some((name, ads))
}

/// Something that takes a name for itself.
struct Claim<'a> {
    what: String,
    nodes: Option<&'a NodeSelector>,
    origin: &'a Origin,
}

/// Names that stand twice. Resources may share one if both are meant for certain nodes and not for the same; a
/// rollout's name, and the names of its clusters, are its own.
fn duplicates(set: &SpecSet) -> Vec<Finding> {
    let mut claims: BTreeMap<(ResourceKind, String), Vec<Claim<'_>>> = BTreeMap::new();
    for file in set.files.values() {
        for resource in &file.resources {
            let (kind, name) = (resource.kind, resource.name.to_string());
            let what = format!("{kind} {name:?}");
            let nodes = Some(&*resource.nodes).filter(|nodes| !nodes.is_everything());
            claims.entry((kind, name)).or_default().push(Claim { what, nodes, origin: &resource.origin });
        }
        for rollout in &file.rollouts {
            let origin = &rollout.origin;
            let what = format!("rollout {:?}", rollout.name);
            let key = (ResourceKind::Cluster, rollout.name.to_string());
            let namesakes = claims.entry(key).or_default();
            namesakes.push(Claim { what: what.clone(), nodes: None, origin });
            if namesakes.iter().filter(|claim| claim.what == what).count() > 1 {
                continue; // Its versions' clusters would only say the same again.
            }
            for version in &rollout.versions {
                if let Backend::Endpoints { .. } = version.backend {
                    for kind in [ResourceKind::Cluster, ResourceKind::ClusterLoadAssignment] {
                        let what = format!("{} {:?} of {what}", kind, version.cluster_name);
                        let key = (kind, version.cluster_name.to_string());
                        claims.entry(key).or_default().push(Claim { what, nodes: None, origin });
                    }
                }
            }
        }
    }
    claims.into_iter().flat_map(|((_, name), claims)| collisions(&name, claims)).collect()
}

fn collisions(name: &str, mut claims: Vec<Claim<'_>>) -> Vec<Finding> {
    claims.sort_by_key(|claim| claim.origin);
    let clash = |a: &Claim<'_>, b: &Claim<'_>| a.nodes.is_none() || b.nodes.is_none() || a.nodes == b.nodes;
    let pairs = claims.iter().enumerate().filter_map(|(i, later)| {
        let first = claims[..i].iter().find(|first| clash(first, later))?;
        Some((first, later))
    });
    pairs
        .map(|(first, later)| {
            let Origin { file, line, column } = first.origin;
            let same = first.what == later.what;
            let message = if same {
                format!("{} is defined twice, first at {file}:{line}:{column}", later.what)
            } else {
                format!("{} has the name of {} at {file}:{line}:{column}", later.what, first.what)
            };
            let help = match (first.nodes, later.nodes) {
                (None, None) => None,
                (Some(_), Some(_)) => Some("their nodes are the same".to_owned()),
                _ => Some("the one without nodes goes to every proxy".to_owned()),
            };
            let help = help.filter(|_| same);
            let at = Position { line: later.origin.line, column: later.origin.column };
            let diagnostic = diagnostic(&later.origin.file, at, Severity::Error, message, name, help);
            Finding { diagnostic, other: Some(file.clone()), undefined: None }
        })
        .collect()
}

pub(super) fn diagnostic(
    file: &Arc<str>,
    Position { line, column }: Position,
    severity: Severity,
    message: String,
    found: &str,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic { file: file.clone(), line, column, severity, message, found: found.to_owned(), help }
}

#[cfg(test)]
mod tests;
