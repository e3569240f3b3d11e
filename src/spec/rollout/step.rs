//! `canary.steps`: what happens, one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{analysis, duration, header, refuse, required, scalar};
use crate::spec::fields::{Fields, list, name, one_of, unexpected};
use crate::spec::strategy::{HeaderRoute, MirrorRoute, Step};
use crate::spec::yaml::{Data, Node};
use crate::spec::{Reporter, suggest};

const KINDS: [&str; 5] = ["setWeight", "pause", "setHeaderRoute", "setMirrorRoute", "analysis"];

/// Reads the list. Steps with mistakes are reported and left out.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Vec<Step> {
    if node.data == Data::Null {
        return Vec::new();
    }
    let items = list(node, "canary.steps", reporter).unwrap_or_default();
    let mut steps = Steps { headers: Made::new("header route"), mirrors: Made::new("mirror"), reporter };
    items.iter().filter_map(|item| steps.one(item)).collect()
}

struct Steps<'a> {
    headers: Made,
    mirrors: Made,
    reporter: &'a mut Reporter,
}

impl Steps<'_> {
    fn one(&mut self, node: &Node) -> Option<Step> {
        let entry = one_of(node, "a step", &KINDS, self.reporter)?;
        let node = &entry.value;
        match entry.key.as_str() {
            "setWeight" => scalar::weight(node, self.reporter).map(Step::SetWeight),
            "pause" => self.pause(node),
            "setHeaderRoute" => self.header_route(node).map(Step::SetHeaderRoute),
            "setMirrorRoute" => self.mirror_route(node).map(Step::SetMirrorRoute),
            _ => Some(Step::Analysis(analysis::read(node, "analysis", self.reporter))),
        }
    }

    fn pause(&mut self, node: &Node) -> Option<Step> {
        if node.data == Data::Null {
            return Some(Step::Pause(None));
        }
        if let Data::Number(text) | Data::String(text) = &node.data {
            let help = Some(format!("write pause: {{duration: {text}}}"));
            return unexpected(node, "pause", "a mapping", help, self.reporter);
        }
        let fields = Fields::read(node, "pause", &["duration"], self.reporter)?;
        let Some(node) = fields.get("duration") else { return fields.lacks("duration").then_some(Step::Pause(None)) };
        let duration = duration::read(node, "pause.duration", self.reporter)?;
        if duration.is_zero() {
            let help = Some("pause: {} waits for promote".to_owned());
            self.reporter.warning(node.position, "a pause of 0s does not wait", node.found(), help);
        }
        Some(Step::Pause(Some(duration)))
    }

    fn header_route(&mut self, node: &Node) -> Option<HeaderRoute> {
        let fields = Fields::read(node, "setHeaderRoute", &["name", "match"], self.reporter)?;
        let name = self.name(&fields, "setHeaderRoute");
        let errors = self.reporter.errors();
        let matches = fields.get("match").map(|node| header::matches(node, "setHeaderRoute.match", self.reporter));
        let matches = matches.unwrap_or_default();
        // A match with mistakes was meant to make a route; so was a misspelt one.
        let misspelt = fields.get("match").is_none() && !fields.lacks("match");
        let makes = !matches.is_empty() || self.reporter.errors() > errors || misspelt;
        let (name, at) = name?;
        self.headers.note(&name, makes, at, self.reporter);
        Some(HeaderRoute { name, matches })
    }

    fn mirror_route(&mut self, node: &Node) -> Option<MirrorRoute> {
        let fields = Fields::read(node, "setMirrorRoute", &["name", "percentage", "match"], self.reporter)?;
        let name = self.name(&fields, "setMirrorRoute");
        refuse(&fields, &[("match", "without it more requests would be copied than asked for")], self.reporter);
        let percentage = fields
            .get("percentage")
            .map(|node| scalar::whole(node, "setMirrorRoute.percentage", 0..=100, self.reporter));
        let makes = percentage.map_or(!fields.lacks("percentage"), |percentage| percentage != Some(0));
        let (name, at) = name?;
        self.mirrors.note(&name, makes, at, self.reporter);
        Some(MirrorRoute { name, percentage: percentage.flatten().unwrap_or_default() })
    }

    fn name<'a>(&mut self, fields: &Fields<'a>, step: &str) -> Option<(Arc<str>, &'a Node)> {
        let place = format!("{step}.name");
        let node = required(fields, &place, "later steps know the route by it", self.reporter)?;
        name(node, &place, self.reporter).map(|text| (Arc::from(text), node))
    }
}

/// The routes of one kind that the steps so far have made and not taken away.
struct Made {
    kind: &'static str,
    names: BTreeSet<Arc<str>>,
}

impl Made {
    fn new(kind: &'static str) -> Self {
        Self { kind, names: BTreeSet::new() }
    }

    /// Notes that a step makes the route `name`, or takes it away: then an earlier one must have
    /// made it.
    fn note(&mut self, name: &Arc<str>, made: bool, at: &Node, reporter: &mut Reporter) {
        if made {
            self.names.insert(name.clone());
        } else if !self.names.remove(name) {
            let message = format!("there is no {} {name:?} to take away at this step", self.kind);
            let help = suggest::or_list(name, "there are", self.names.iter().map(|name| &**name));
            reporter.error(at.position, message, &**name, help);
        }
    }
}
