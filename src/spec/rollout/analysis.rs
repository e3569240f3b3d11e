//! `analysis: {templates: [...]}` of a step or a strategy: which templates.

use std::sync::Arc;

use super::{refuse, required};
use crate::spec::Reporter;
use crate::spec::fields::{Fields, list, name};
use crate::spec::yaml::Node;

/// Keys that nothing acts on yet.
const REFUSED: [(&str, &str); 2] =
    [("args", "without them queries would ask something else"), ("dryRun", "without it a metric on trial would abort")];

/// Reads the value of the key `place`: the names of one or more templates. What is wrong is reported.
pub(super) fn read(node: &Node, place: &str, reporter: &mut Reporter) -> Vec<Arc<str>> {
    let fields = Fields::read(node, place, &["templates", "args", "dryRun"], reporter);
    fields.map(|fields| templates(&fields, place, reporter)).unwrap_or_default()
}

/// The same beside the steps, with the value of `startingStep`.
pub(super) fn read_background<'a>(
    node: &'a Node,
    place: &str,
    reporter: &mut Reporter,
) -> (Vec<Arc<str>>, Option<&'a Node>) {
    let known = ["templates", "startingStep", "args", "dryRun"];
    let Some(fields) = Fields::read(node, place, &known, reporter) else { return (Vec::new(), None) };
    (templates(&fields, place, reporter), fields.get("startingStep"))
}

fn templates(fields: &Fields<'_>, place: &str, reporter: &mut Reporter) -> Vec<Arc<str>> {
    refuse(fields, &REFUSED, reporter);
    let path = format!("{place}.templates");
    let Some(node) = required(fields, &path, "it says which metrics are judged", reporter) else { return Vec::new() };
    let items = list(node, &path, reporter);
    if items.is_some_and(<[_]>::is_empty) {
        reporter.error(node.position, format!("{path} is empty"), "[]", None);
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = Fields::read(item, "a template", &["templateName"], reporter) else { continue };
        let Some(node) = required(&fields, "templateName", "it is what the template is called", reporter) else {
            continue;
        };
        let Some(template) = name(node, "templateName", reporter) else { continue };
        if names.iter().any(|other| **other == *template) {
            reporter.error(node.position, format!("template {template:?} stands twice"), template, None);
        }
        names.push(template.into());
    }
    names
}
