//! `webhooks`: the list of calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{duration, required, scalar};
use crate::spec::Reporter;
use crate::spec::fields::{Fields, list, mapping, name};
use crate::spec::webhook::{Webhook, WebhookKind};
use crate::spec::yaml::{Data, Node};

const KEYS: [&str; 6] = ["name", "type", "url", "timeout", "retries", "metadata"];

/// Flagger's default.
const TIMEOUT: Duration = Duration::from_secs(10);

const MAX_RETRIES: u32 = 10;

/// Reads the list. Webhooks with mistakes are reported and left out.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Vec<Arc<Webhook>> {
    let items = list(node, "webhooks", reporter).unwrap_or_default();
    let mut hooks: Vec<Arc<Webhook>> = Vec::new();
    for item in items {
        let Some(hook) = one(item, reporter) else { continue };
        if hooks.iter().any(|other| other.name == hook.name) {
            let at = item.get("name").unwrap_or(item).position;
            reporter.error(at, format!("two webhooks are named {:?}", hook.name), &*hook.name, None);
        }
        hooks.push(Arc::new(hook));
    }
    hooks
}

fn one(node: &Node, reporter: &mut Reporter) -> Option<Webhook> {
    let fields = Fields::read(node, "a webhook", &KEYS, reporter)?;
    let hook = required(&fields, "name", "the journal knows the webhook by it", reporter);
    let hook = hook.and_then(|node| name(node, "name", reporter));
    let kind = required(&fields, "type", "it says when the webhook is called", reporter);
    let kinds = WebhookKind::ALL.map(|kind| (kind.word(), kind));
    let kind = kind.and_then(|node| scalar::word(node, "type", &kinds, reporter));
    let url = required(&fields, "url", "it is what is called", reporter);
    let url = url.and_then(|node| scalar::url(node, "url", reporter));
    let timeout = fields.get("timeout").and_then(|node| duration::positive(node, "timeout", reporter));
    let retries = fields.get("retries").and_then(|node| scalar::whole(node, "retries", 0..=MAX_RETRIES, reporter));
    let metadata = fields.get("metadata").map(|node| metadata(node, reporter));
    Some(Webhook {
        name: hook?.into(),
        kind: kind?,
        url: url?,
        timeout: timeout.unwrap_or(TIMEOUT),
        retries: retries.unwrap_or_default(),
        metadata: metadata.unwrap_or_default(),
    })
}

fn metadata(node: &Node, reporter: &mut Reporter) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    for entry in mapping(node, "metadata", reporter).unwrap_or_default() {
        let value = match &entry.value.data {
            Data::String(text) => Some(text.as_str()),
            _ => scalar::text(&entry.value, "a value of metadata", reporter),
        };
        read.extend(value.map(|value| (entry.key.clone(), value.to_owned())));
    }
    read
}
