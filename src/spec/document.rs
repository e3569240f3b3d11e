//! One file: its documents, each by its kind.

use std::sync::Arc;

use super::fields::{Fields, name};
use super::model::{BrokenKind, FileSpec};
use super::yaml::{self, Data, Node};
use super::{Diagnostic, Reporter, broken, nodes, references, resources, rollout, suggest, weights};

/// The `apiVersion` of the documents of our own.
const API_VERSION: &str = "serin.dev/v1";

const KINDS: [&str; 2] = ["Rollout", "AnalysisTemplate"];

const EXPECTED: &str = "expected resources: (Envoy resources), kind: Rollout or kind: AnalysisTemplate";

/// Reads all documents of a file; empty ones are fine. If any diagnostic is an error, the [`FileSpec`] holds only what
/// could be read, and the file must not be taken into service.
#[must_use]
pub fn parse_file(path: &Arc<str>, text: &str) -> (FileSpec, Vec<Diagnostic>) {
    let mut reporter = Reporter::new(path.clone());
    let mut file = FileSpec { path: path.clone(), ..FileSpec::default() };
    let (documents, mistakes) = yaml::parse(text);
    for mistake in mistakes {
        if mistake.ends_reading {
            file.unread = broken::unread(text, mistake.position.line).into();
        }
        reporter.error(mistake.position, mistake.message, "", None);
    }
    for document in &documents {
        read(document, &mut file, &mut reporter);
    }
    file.references.sort();
    (file, reporter.into_diagnostics())
}

fn read(document: &Node, file: &mut FileSpec, reporter: &mut Reporter) {
    let entries = match &document.data {
        Data::Null => return,
        Data::Mapping(entries) => entries,
        _ => {
            let found = document.found();
            reporter.error(document.position, format!("{EXPECTED}, found {found}"), found, None);
            return;
        }
    };
    if document.get("resources").is_some() {
        envoy_resources(document, file, reporter);
    } else if let Some(kind) = document.get("kind") {
        of_kind(kind, document, file, reporter);
    } else {
        let near = |entry: &&yaml::Entry| suggest::nearest(&entry.key, ["resources", "kind"]).is_some();
        let entry = entries.iter().find(near).or(entries.first());
        let (position, key) = entry.map_or((document.position, ""), |entry| (entry.position, &entry.key));
        let help = suggest::did_you_mean(key, ["resources", "kind"]);
        reporter.error(position, format!("unknown document: {EXPECTED}"), key, help);
        file.broken.extend(broken::unknown(document, reporter.file()));
    }
}

fn envoy_resources(document: &Node, file: &mut FileSpec, reporter: &mut Reporter) {
    // The last two stand in Envoy's own files; versions are computed here, and each resource says its type.
    let known = ["resources", "nodes", "version_info", "type_url"];
    let Some(fields) = Fields::read(document, "a document of resources", &known, reporter) else { return };
    let nodes = nodes::all_or_some(fields.get("nodes"), reporter);
    let mut read = resources::read(document, &nodes.clone().unwrap_or_default(), reporter);
    if nodes.is_none() {
        read.clear();
    }
    if let Some(list) = fields.get("resources") {
        weights::check(list, reporter);
        file.broken.extend(broken::resources(list, &read, nodes.as_ref(), reporter.file()));
        file.references.extend(references::of_resources(list, nodes.as_ref()));
    }
    file.resources.extend(read.into_iter().map(Arc::new));
}

fn of_kind(kind: &Node, document: &Node, file: &mut FileSpec, reporter: &mut Reporter) {
    let Some(word) = name(kind, "kind", reporter) else { return };
    if !KINDS.contains(&word) {
        let help = suggest::did_you_mean(word, KINDS);
        reporter.error(kind.position, format!("unknown kind {word:?}: {EXPECTED}"), word, help);
        file.broken.extend(broken::unknown(document, reporter.file()));
        return;
    }
    api_version(document, word, reporter);
    if word == "Rollout" {
        match rollout::read(document, reporter, &mut file.references) {
            Some(rollout) => file.rollouts.push(Arc::new(rollout)),
            None => file.broken.extend(broken::named(document, Some(BrokenKind::Rollout), reporter.file())),
        }
    } else {
        match rollout::template::read(document, reporter) {
            Some(template) => file.templates.push(Arc::new(template)),
            None => file.broken.extend(broken::named(document, Some(BrokenKind::AnalysisTemplate), reporter.file())),
        }
    }
}

fn api_version(document: &Node, kind: &str, reporter: &mut Reporter) {
    match document.get("apiVersion") {
        None => {
            let help = Some(format!("apiVersion: {API_VERSION}"));
            reporter.error(document.position, format!("apiVersion is missing beside kind: {kind}"), "", help);
        }
        Some(Node { data: Data::String(version), .. }) if version == API_VERSION => {}
        Some(node) => {
            let message = format!("apiVersion must be {API_VERSION}, found {}", node.found());
            reporter.error(node.position, message, node.found(), None);
        }
    }
}

#[cfg(test)]
mod tests;
