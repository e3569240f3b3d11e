//! What a change can make a difference to: all that has to be looked at, so that the rest need not be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::part::{Document, Service};
use super::parts::Parts;
use super::state::Change;
use crate::xds::ResourceType;

/// What may be another for somebody than it was.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Names by type, in push order: clusters before the endpoints that they ask for.
    pub(super) resources: BTreeMap<ResourceType, BTreeSet<Arc<str>>>,
    /// All rollouts that have a part in those, in the order of the files.
    pub(super) services: Vec<Arc<Service>>,
    /// All documents that have one of those names, in the order of the files.
    pub(super) documents: Vec<Arc<Document>>,
    /// Names of the rollouts that are not what they were.
    rollouts: BTreeSet<Arc<str>>,
}

/// More than is worth finding out.
struct TooMuch;

impl Touched {
    /// What `changes` make a difference to, where `parts` are all files now. `None` where that is more than is worth
    /// finding out: clusters and endpoints that documents define, or two rollouts.
    pub(super) fn of(changes: &[Change], parts: &Parts) -> Option<Self> {
        let mut touched = Self::default();
        touched.find(changes, parts).is_ok().then_some(touched)
    }

    fn find(&mut self, changes: &[Change], parts: &Parts) -> Result<(), TooMuch> {
        for (was, is) in changes {
            let none: &[Option<Arc<Service>>] = &[];
            let [was_services, is_services] = [was, is].map(|part| part.as_ref().map_or(none, |part| &part.services));
            for index in 0..was_services.len().max(is_services.len()) {
                let [was, is] = [was_services, is_services].map(|all| all.get(index).and_then(Option::as_ref));
                self.note_service(was, is);
            }
            let none: &[Arc<Document>] = &[];
            let [was, is] = [was, is].map(|part| part.as_ref().map_or(none, |part| &part.documents));
            for index in 0..was.len().max(is.len()) {
                let (was, is) = (was.get(index), is.get(index));
                if was.map(Arc::as_ptr) != is.map(Arc::as_ptr) {
                    was.into_iter().chain(is).try_for_each(|document| self.note_document(document))?;
                }
            }
        }
        // Every part that speaks of a name is among those found by it; what else these have is passed over.
        for document in parts.that_name_any(&self.rollouts).into_iter().flat_map(|part| &part.documents) {
            if self.rollouts.iter().any(|name| document.actions.contains(name)) {
                self.note_document(document)?;
            }
        }
        let named_so = parts.that_name_any(self.resources.values().flatten());
        let named_so = named_so
            .into_iter()
            .flat_map(|part| &part.documents)
            .filter(|document| self.has(document.ty(), &document.source.name));
        self.documents = named_so.cloned().collect();
        // Such a cluster may now be the one that counts, and ask for endpoints that nobody asked for.
        if self.documents.iter().any(|document| is_tied(document)) {
            return Err(TooMuch);
        }

        let named: BTreeSet<&Arc<str>> = self.documents.iter().flat_map(|document| &document.actions).collect();
        let clusters = self.resources.get(&ResourceType::Cluster);
        let those = named.iter().copied().chain(&self.rollouts).chain(clusters.into_iter().flatten());
        let mut services = Vec::new();
        for service in parts.that_name_any(those).into_iter().flat_map(|part| part.services.iter().flatten()) {
            let touched = self.rollouts.contains(&service.source.name);
            if touched || named.contains(&service.source.name) {
                services.push(Arc::clone(service));
            }
            if clusters.is_some() && !touched && service.resources.iter().any(|(ty, one)| self.has(*ty, &one.name)) {
                return Err(TooMuch);
            }
        }
        self.services = services;
        Ok(())
    }

    fn has(&self, ty: ResourceType, name: &str) -> bool {
        self.resources.get(&ty).is_some_and(|names| names.contains(name))
    }

    fn note_service(&mut self, was: Option<&Arc<Service>>, is: Option<&Arc<Service>>) {
        if was.map(Arc::as_ptr) == is.map(Arc::as_ptr) {
            return;
        }
        self.rollouts.extend(was.into_iter().chain(is).map(|service| Arc::clone(&service.source.name)));
        let only_traffic = matches!((was, is), (Some(was), Some(is)) if Arc::ptr_eq(&was.resources, &is.resources)
            && (&was.source.name, &was.source.nodes) == (&is.source.name, &is.source.nodes));
        if only_traffic {
            return;
        }
        for (ty, resource) in was.into_iter().chain(is).flat_map(|service| &*service.resources) {
            // A cluster asks for endpoints of its name, whether or not there are any.
            for ty in [*ty, ResourceType::Endpoint] {
                self.resources.entry(ty).or_default().insert(Arc::clone(&resource.name));
            }
        }
    }

    fn note_document(&mut self, document: &Document) -> Result<(), TooMuch> {
        if is_tied(document) {
            return Err(TooMuch);
        }
        self.resources.entry(document.ty()).or_default().insert(Arc::clone(&document.source.name));
        Ok(())
    }
}

/// Whether what others are depends on it.
fn is_tied(document: &Document) -> bool {
    matches!(document.ty(), ResourceType::Cluster | ResourceType::Endpoint)
}
