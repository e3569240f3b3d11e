//! The names that a file speaks of.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::model::{FileSpec, ResourceKind};
use super::{Backend, asked};

/// As what a file brings in a name that somebody else may have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum As {
    Resource(ResourceKind),
    Template,
    Rollout,
    /// Of a version; whether the rollout defines it.
    Version(bool),
    Asked,
    Group,
}

/// Every name that `file` defines, asks for or groups by: the words of help guess at these.
pub(in super::super) fn candidates(file: &FileSpec) -> BTreeSet<(As, Arc<str>)> {
    let mut names = BTreeSet::new();
    for resource in &file.resources {
        names.insert((As::Resource(resource.kind), Arc::clone(&resource.name)));
        names.extend(asked(resource).map(|asked| (As::Asked, asked.name)));
    }
    names.extend(file.templates.iter().map(|template| (As::Template, Arc::clone(&template.name))));
    for rollout in &file.rollouts {
        names.insert((As::Rollout, Arc::clone(&rollout.name)));
        names.extend(rollout.group.iter().map(|group| (As::Group, Arc::clone(group))));
        for version in &rollout.versions {
            let own = matches!(version.backend, Backend::Endpoints { .. });
            names.insert((As::Version(own), Arc::clone(&version.cluster_name)));
        }
    }
    names
}

/// Every name that a finding can be about because of `file`: those of [`candidates`], of its broken documents, and what
/// it refers to.
pub(in super::super) fn names(file: &FileSpec) -> BTreeSet<Arc<str>> {
    let mut names: BTreeSet<_> = candidates(file).into_iter().map(|(_, name)| name).collect();
    names.extend(file.broken.iter().map(|broken| Arc::clone(&broken.name)));
    names.extend(file.references.iter().map(|reference| Arc::clone(&reference.name)));
    names
}
