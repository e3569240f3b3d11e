//! `google.protobuf.Any`: a message that says its type beside its fields.

use std::mem;

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::{Reader, expected, set, well_known};
use crate::spec::yaml::{Data, Node};
use crate::spec::{canonical, descriptor, suggest};

const TYPE: &str = "@type";
const PREFIX: &str = "type.googleapis.com/";

/// Longer than every name of a message; a longer one is not worth comparing.
const MAX_NAME: usize = 200;

/// Mistakes in one file beyond which no nearest type is looked for: it means comparing with every message there is.
const MAX_GUESSES: usize = 100;

impl Reader<'_> {
    pub(super) fn any(&mut self, node: &Node, descriptor: &MessageDescriptor, place: &str) -> Option<DynamicMessage> {
        let (url, payload_type) = self.payload_type(node, place)?;
        let payload = self.payload(node, &payload_type, place)?;
        let Data::String(url) = &url.data else { return None };
        let mut any = DynamicMessage::new(descriptor.clone());
        set(&mut any, &descriptor.get_field_by_name("type_url")?, Value::String(url.clone()));
        set(&mut any, &descriptor.get_field_by_name("value")?, Value::Bytes(canonical::encode(&payload)));
        Some(any)
    }

    /// The node of `"@type"`, which is text, and the message it names.
    pub(super) fn payload_type<'n>(&mut self, node: &'n Node, place: &str) -> Option<(&'n Node, MessageDescriptor)> {
        let Data::Mapping(entries) = &node.data else {
            return self.mismatch(node, "a mapping with \"@type\"", place);
        };
        let Some(url_node) = node.get(TYPE) else {
            let keys = entries.iter().map(|entry| entry.key.as_str());
            let help = match suggest::nearest(TYPE, keys) {
                Some(key) => format!("did you write {key:?} for {TYPE:?}?"),
                None => format!("say what it is, as in \"{TYPE}\": {PREFIX}envoy.config.cluster.v3.Cluster"),
            };
            let message = format!("{place}: expected a mapping with {TYPE:?}, found one without it");
            self.reporter.error(node.position, message, "", Some(help));
            return None;
        };
        let url = self.text_ref(url_node)?;
        let name = url.rsplit_once('/').map(|(_, name)| name);
        if let Some(payload_type) = name.and_then(descriptor::message).filter(|found| !found.is_map_entry()) {
            return Some((url_node, payload_type));
        }
        let bare = name.unwrap_or(url);
        let guess = if self.reporter.errors() < MAX_GUESSES { nearest_type(bare) } else { None };
        let help = guess.map(|name| format!("did you mean {PREFIX}{name}?"));
        let message = match name {
            Some(name) => format!("{TYPE}: unknown message type {name:?}"),
            None => format!("{TYPE}: expected {PREFIX} and the name of a message, found {url:?}"),
        };
        self.reporter.error(url_node.position, message, url, help);
        None
    }

    fn text_ref<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.data {
            Data::String(text) => Some(text),
            _ => self.mismatch(node, "text", TYPE),
        }
    }

    /// What stands beside `"@type"`: the fields, or `value` for a message that has a form of its own.
    pub(super) fn payload(
        &mut self,
        node: &Node,
        payload_type: &MessageDescriptor,
        place: &str,
    ) -> Option<DynamicMessage> {
        let Data::Mapping(entries) = &node.data else { return None };
        let outer = mem::replace(&mut self.depth, 0);
        let others = entries.iter().filter(|entry| entry.key != TYPE);
        let payload = match well_known::short_name(payload_type) {
            None => self.nested(node, |reader| Some(reader.fields(others, payload_type))),
            Some(name) => {
                for entry in others.filter(|entry| entry.key != "value") {
                    let message = format!("unknown field {:?} beside {TYPE:?} of {name}", entry.key);
                    let help = Some("what it holds is written as \"value\"".to_owned());
                    self.reporter.error(entry.position, message, &entry.key, help);
                }
                match node.get("value") {
                    Some(value) => self.message(value, payload_type, place),
                    None if name == "Empty" => Some(DynamicMessage::new(payload_type.clone())),
                    None => {
                        let message = format!("{place}: expected \"value\" with {}", expected::message(payload_type));
                        self.reporter.error(node.position, message, "", None);
                        None
                    }
                }
            }
        };
        self.depth = outer;
        payload
    }
}

/// The known message closest to `name`: of the same last word if there is one (its package changes between versions of
/// the API), else a few edits away.
fn nearest_type(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    let messages: Vec<_> = descriptor::pool().all_messages().filter(|message| !message.is_map_entry()).collect();
    let last = name.rsplit('.').next().unwrap_or(name);
    let names = || messages.iter().map(MessageDescriptor::full_name);
    let same = messages.iter().filter(|message| message.name() == last).map(MessageDescriptor::full_name);
    suggest::closest(name, same).or_else(|| suggest::nearest(name, names())).map(str::to_owned)
}
