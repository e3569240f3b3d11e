//! Checks that reach across files: names that stand twice, and names that stand for nothing.
//!
//! Works on whatever set of files it is given, good together or not. Limit: whether the proxies that get a document
//! also get what it names is told only where there is one definition, by the conditions under `nodes:` as written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::eds::{self, Asked};
use super::model::{
    Broken, BrokenKind, FileSpec, NodeSelector, Origin, Reference, Resource, ResourceKind, Role, Rollout, SpecSet,
};
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
    check_about(set, options, None)
}

/// [`check`], but if there are `names` only what is wrong [about](Finding::about) these.
pub(super) fn check_about(set: &SpecSet, options: &Options, names: Option<&BTreeSet<Arc<str>>>) -> Vec<Finding> {
    let index = Index::of(set, options);
    let mut findings = duplicates(set);
    for file in set.files.values() {
        let references = file.references.iter().filter(|reference| names.is_none_or(|n| n.contains(&reference.name)));
        findings.extend(references.filter_map(|reference| index.look_up(file, reference)));
        findings.extend(file.resources.iter().filter_map(|resource| index.endpoints(resource)));
    }
    findings.extend(lone_groups(set));
    findings.retain(|finding| names.is_none_or(|names| names.contains(finding.about())));
    findings.sort();
    findings
}

impl Finding {
    /// The one name that it is about. Files that do not speak of it ([`names`]) make no difference to it, but for the
    /// words of help.
    pub(super) fn about(&self) -> &str {
        self.undefined.as_deref().unwrap_or(&self.diagnostic.found)
    }
}

mod names;
pub(super) use names::{candidates, names};

/// Whether `file` defines something called `name`, of whatever kind.
pub(super) fn defines(file: &FileSpec, name: &str) -> bool {
    file.resources.iter().any(|resource| *resource.name == *name)
        || file.templates.iter().any(|template| *template.name == *name)
        || file.rollouts.iter().any(|rollout| {
            *rollout.name == *name || rollout.versions.iter().any(|version| *version.cluster_name == *name)
        })
}

/// Whether `file` has a definition with mistakes that could be of `name`.
pub(super) fn may_define(file: &FileSpec, name: &str) -> bool {
    let of_its_versions = |rollout: &str| name.strip_prefix(rollout).is_some_and(|rest| rest.starts_with('/'));
    defines(file, name) || file.broken.iter().any(|broken| *broken.name == *name || of_its_versions(&broken.name))
}

/// A definition: which proxies get it, and where it stands.
type Definition<'a> = (&'a NodeSelector, &'a Origin);

type Definitions<'a> = BTreeMap<&'a str, Vec<Definition<'a>>>;

/// Every name that a document may refer to.
struct Index<'a> {
    clusters: Definitions<'a>,
    rollouts: BTreeMap<&'a str, &'a Rollout>,
    routes: Definitions<'a>,
    templates: BTreeSet<&'a str>,
    /// Clusters that are said to be in the bootstrap.
    bootstrap: BTreeSet<&'a str>,
    /// Clusters that an `existingCluster` names: where nothing defines them, they may be in the bootstrap.
    existing: BTreeSet<&'a str>,
    assignments: BTreeSet<&'a str>,
    /// The assignments that a Cluster asks for, or one we cannot see may ask for.
    asked: BTreeSet<Arc<str>>,
}

impl<'a> Index<'a> {
    fn of(set: &'a SpecSet, options: &'a Options) -> Self {
        let mut index = Self {
            clusters: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            routes: BTreeMap::new(),
            templates: BTreeSet::new(),
            bootstrap: options.bootstrap_clusters.iter().map(String::as_str).collect(),
            existing: BTreeSet::new(),
            assignments: BTreeSet::new(),
            asked: options.bootstrap_clusters.iter().map(|name| name.as_str().into()).collect(),
        };
        for file in set.files.values() {
            index.templates.extend(file.templates.iter().map(|template| &*template.name));
            for resource in &file.resources {
                let definition = (&*resource.nodes, &resource.origin);
                match resource.kind {
                    ResourceKind::Cluster => index.clusters.entry(&resource.name).or_default().push(definition),
                    ResourceKind::RouteConfiguration => {
                        index.routes.entry(&resource.name).or_default().push(definition);
                    }
                    ResourceKind::ClusterLoadAssignment => drop(index.assignments.insert(&resource.name)),
                    _ => {}
                }
                index.asked.extend(asked(resource).map(|asked| asked.name));
            }
            for rollout in &file.rollouts {
                index.rollouts.insert(&rollout.name, rollout);
                for version in &rollout.versions {
                    index.asked.insert(Arc::clone(&version.cluster_name));
                    match version.backend {
                        Backend::Existing(_) => drop(index.existing.insert(&version.cluster_name)),
                        Backend::Endpoints { .. } => {
                            let clusters = index.clusters.entry(&version.cluster_name).or_default();
                            clusters.push((&rollout.nodes, &rollout.origin));
                        }
                    }
                }
            }
        }
        index
    }

    /// What is wrong with a name, if anything.
    fn look_up(&self, file: &FileSpec, reference: &Reference) -> Option<Finding> {
        let Reference { position, name, role, nodes } = reference;
        if name.is_empty() {
            return None;
        }
        let finding = |severity, message, help, other: Option<Arc<str>>, undefined| {
            let diagnostic = diagnostic(&file.path, *position, severity, message, name, help);
            Some(Finding { diagnostic, other, undefined })
        };
        if *role == Role::AnalysisTemplate {
            let help = suggest::did_you_mean(name, self.templates.iter().copied());
            let message = format!("no analysis template {name:?} is defined");
            let undefined = !self.templates.contains(&**name);
            return finding(Severity::Error, message, help, None, Some(name.clone())).filter(|_| undefined);
        }
        let rollout = self.rollouts.get(&**name).filter(|_| *role != Role::RouteConfiguration);
        if let Some(rollout) = rollout.filter(|_| *role != Role::RouteAction) {
            let message = format!("{name:?} is a rollout, and {} needs a cluster", stands_in(*role));
            let mut clusters = rollout.versions.iter().map(|version| &version.cluster_name);
            let help = clusters.find(|cluster| *cluster != name).map(|name| format!("use one version's: {name:?}"));
            return finding(Severity::Error, message, help, Some(rollout.origin.file.clone()), None);
        }
        let (what, table) = match role {
            Role::RouteConfiguration => ("RouteConfiguration", &self.routes),
            _ => ("cluster", &self.clusters),
        };
        let of_rollout = rollout.map(|rollout| vec![(&*rollout.nodes, &rollout.origin)]);
        let Some(definitions) = of_rollout.as_ref().or_else(|| table.get(&**name)) else {
            let (severity, help) = match role {
                Role::RouteConfiguration => (Severity::Error, suggest::did_you_mean(name, self.routes.keys().copied())),
                _ if self.bootstrap.contains(&**name) => return None,
                Role::ExistingCluster => (Severity::Warning, Some(self.cluster_help(name, *role))),
                _ if self.existing.contains(&**name) => return None,
                _ => (Severity::Error, Some(self.cluster_help(name, *role))),
            };
            return finding(severity, format!("no {what} {name:?} is defined"), help, None, Some(name.clone()));
        };
        // With several definitions each is for some proxies, and only these know whether one is left out.
        let [(of, Origin { file, line, column })] = definitions.as_slice() else { return None };
        if self.bootstrap.contains(&**name) || nodes.as_ref().is_none_or(|nodes| of.covers(nodes)) {
            return None;
        }
        let what = if rollout.is_some() { "rollout" } else { what };
        let message = format!("{what} {name:?} ({file}:{line}:{column}) is not there for every proxy that gets this");
        let help = Some("its nodes: are others than those here".to_owned());
        finding(Severity::Warning, message, help, None, None)
    }

    fn cluster_help(&self, name: &str, role: Role) -> String {
        let rollouts = self.rollouts.keys().filter(|_| role == Role::RouteAction);
        let existing = self.existing.iter().filter(|_| role != Role::ExistingCluster);
        let candidates = self.clusters.keys().chain(&self.bootstrap).chain(existing).chain(rollouts).copied();
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
            let help = suggest::did_you_mean(name, self.asked.iter().map(|name| &**name));
            (format!("no cluster asks for the ClusterLoadAssignment {name:?}"), help, name.clone())
        } else {
            let Asked { name: wanted, over_ads } = asked(resource)?;
            if !over_ads || self.assignments.contains(&*wanted) {
                return None;
            }
            let help = suggest::did_you_mean(&wanted, self.assignments.iter().copied());
            let message = format!("cluster {name:?} has no endpoints: no ClusterLoadAssignment {wanted:?} is defined");
            (message, help, wanted)
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
        Role::AnalysisTemplate => "an analysis",
    }
}

fn asked(resource: &Resource) -> Option<Asked> {
    if resource.kind == ResourceKind::Cluster { eds::asked(&resource.message) } else { None }
}

/// Something that takes a name for itself.
struct Claim<'a> {
    name: &'a str,
    what: What<'a>,
    nodes: Option<&'a NodeSelector>,
    origin: &'a Origin,
}

#[derive(Clone, Copy, PartialEq)]
enum What<'a> {
    Template(&'a str),
    Rollout(&'a str),
    Resource(ResourceKind, &'a str),
    /// What a version of that rollout is served by.
    OfRollout(ResourceKind, &'a str, &'a str),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(name) => write!(f, "analysis template {name:?}"),
            Self::Rollout(name) => write!(f, "rollout {name:?}"),
            Self::Resource(kind, name) => write!(f, "{kind} {name:?}"),
            Self::OfRollout(kind, name, rollout) => write!(f, "{kind} {name:?} of rollout {rollout:?}"),
        }
    }
}

impl<'a> Claim<'a> {
    fn of_resource(kind: ResourceKind, name: &'a str, nodes: &'a NodeSelector, origin: &'a Origin) -> Self {
        let nodes = Some(nodes).filter(|nodes| !nodes.is_everything());
        Self { name, what: What::Resource(kind, name), nodes, origin }
    }

    fn of_template(name: &'a str, origin: &'a Origin) -> Self {
        Self { name, what: What::Template(name), nodes: None, origin }
    }

    fn of_rollout(name: &'a str, origin: &'a Origin) -> Self {
        Self { name, what: What::Rollout(name), nodes: None, origin }
    }
}

/// Names that stand twice, in definitions with mistakes too. Resources may share one if both are meant for certain
/// nodes and not for the same; a rollout's name, and the names of its clusters, are its own. Analysis templates have
/// names of their own: the claims without a kind of resource.
fn duplicates(set: &SpecSet) -> Vec<Finding> {
    let mut claims: BTreeMap<Option<ResourceKind>, Vec<Claim<'_>>> = BTreeMap::new();
    let mut claim = |kind, claim| claims.entry(kind).or_default().push(claim);
    for file in set.files.values() {
        for Resource { kind, name, nodes, origin, .. } in file.resources.iter().map(|resource| &**resource) {
            claim(Some(*kind), Claim::of_resource(*kind, name, nodes, origin));
        }
        for Broken { name, kind, origin } in &file.broken {
            match kind {
                None => {}
                Some(BrokenKind::Rollout) => claim(Some(ResourceKind::Cluster), Claim::of_rollout(name, origin)),
                Some(BrokenKind::AnalysisTemplate) => claim(None, Claim::of_template(name, origin)),
                Some(BrokenKind::Resource(kind, nodes)) => {
                    claim(Some(*kind), Claim::of_resource(*kind, name, nodes, origin));
                }
            }
        }
        for template in &file.templates {
            claim(None, Claim::of_template(&template.name, &template.origin));
        }
        for Rollout { name, versions, origin, .. } in file.rollouts.iter().map(|rollout| &**rollout) {
            claim(Some(ResourceKind::Cluster), Claim::of_rollout(name, origin));
            for version in versions.iter().filter(|version| matches!(version.backend, Backend::Endpoints { .. })) {
                for kind in [ResourceKind::Cluster, ResourceKind::ClusterLoadAssignment] {
                    let what = What::OfRollout(kind, &version.cluster_name, name);
                    claim(Some(kind), Claim { name: &version.cluster_name, what, nodes: None, origin });
                }
            }
        }
    }
    let of_one_kind = |mut claims: Vec<Claim<'_>>| {
        claims.sort_by_key(|claim| (claim.name, claim.origin));
        claims.chunk_by(|a, b| a.name == b.name).flat_map(collisions).collect::<Vec<_>>()
    };
    claims.into_values().flat_map(of_one_kind).collect()
}

/// `claims` are of one name, in the order of the files.
fn collisions(claims: &[Claim<'_>]) -> Vec<Finding> {
    let clash = |a: &Claim<'_>, b: &Claim<'_>| a.nodes.is_none() || b.nodes.is_none() || a.nodes == b.nodes;
    let pairs = claims.iter().enumerate().filter_map(|(i, later)| {
        // What serves the versions of a rollout that is there twice would only say the same again.
        let again = |before: &Claim<'_>| before.what == later.what && matches!(later.what, What::OfRollout(..));
        let first = claims[..i].iter().find(|first| clash(first, later))?;
        (!claims[..i].iter().any(again)).then_some((first, later))
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
            let diagnostic = diagnostic(&later.origin.file, at, Severity::Error, message, later.name, help);
            Finding { diagnostic, other: Some(file.clone()), undefined: None }
        })
        .collect()
}

/// Groups of one rollout: their others may have another word for it. Not told while a rollout has mistakes, as it may
/// be one of them.
fn lone_groups(set: &SpecSet) -> Vec<Finding> {
    let may_be_rollout = |broken: &Broken| matches!(broken.kind, None | Some(BrokenKind::Rollout));
    if set.files.values().any(|file| file.broken.iter().any(may_be_rollout)) {
        return Vec::new();
    }
    let mut groups: BTreeMap<&str, Vec<&Rollout>> = BTreeMap::new();
    for rollout in set.files.values().flat_map(|file| &file.rollouts) {
        if let Some(group) = &rollout.group {
            groups.entry(group).or_default().push(rollout);
        }
    }
    let lone =
        groups.iter().filter_map(|(group, rollouts)| Some((*group, rollouts.first().filter(|_| rollouts.len() == 1)?)));
    lone.map(|(group, rollout)| {
        let Origin { file, line, column } = &rollout.origin;
        let others = groups.keys().copied().filter(|other| *other != group);
        let message = format!("rollout {:?} is alone in group {group:?}", rollout.name);
        let at = Position { line: *line, column: *column };
        let diagnostic = diagnostic(file, at, Severity::Warning, message, group, suggest::did_you_mean(group, others));
        Finding { diagnostic, other: None, undefined: None }
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
