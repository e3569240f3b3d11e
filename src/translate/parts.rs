//! What all files make, and which of them speak of a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::part::Part;
use crate::tree::Map;

/// By path. A copy shares with what it was made from what is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    by_path: Map<Arc<str>, Arc<Part>>,
    /// Of each name the paths of those that [speak](Part::names) of it.
    by_name: Map<Arc<str>, Arc<BTreeSet<Arc<str>>>>,
}

impl Parts {
    pub(super) fn get(&self, path: &str) -> Option<&Arc<Part>> {
        self.by_path.get(path)
    }

    /// By path.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.by_path.values()
    }

    /// Those that speak of `name`, by path.
    pub(super) fn that_name<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Part>> {
        self.by_name.get(name).into_iter().flat_map(|paths| paths.iter()).filter_map(|path| self.by_path.get(path))
    }

    /// Those that speak of any of `names`, each once, by path.
    pub(super) fn that_name_any<'a, 'b>(&'a self, names: impl IntoIterator<Item = &'b Arc<str>>) -> Vec<&'a Arc<Part>> {
        let paths = names.into_iter().filter_map(|name| self.by_name.get(name)).flat_map(|paths| paths.iter());
        let paths: BTreeSet<&Arc<str>> = paths.collect();
        paths.into_iter().filter_map(|path| self.by_path.get(path)).collect()
    }

    /// Puts `part` in the place of what there was of `path`, or takes that away.
    pub(super) fn put(&mut self, path: &Arc<str>, part: Option<&Arc<Part>>) {
        let was = match part {
            Some(part) => self.by_path.insert(Arc::clone(path), Arc::clone(part)),
            None => self.by_path.remove(path),
        };
        let [was, is] = [was.as_ref(), part].map(|part| part.map(|part| part.names()).unwrap_or_default());
        for name in was.symmetric_difference(&is) {
            let mut paths = self.by_name.get(*name).map(|paths| BTreeSet::clone(paths)).unwrap_or_default();
            if is.contains(name) {
                paths.insert(Arc::clone(path))
            } else {
                paths.remove(path)
            };
            if paths.is_empty() {
                self.by_name.remove(*name);
            } else {
                self.by_name.insert(Arc::clone(name), Arc::new(paths));
            }
        }
    }
}
