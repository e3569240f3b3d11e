//! `spec.webhooks`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{good, refused, with};
use crate::spec::{Webhook, WebhookKind};

fn rollout(webhooks: &str) -> String {
    with(4, &format!("spec:\n  webhooks: {webhooks}"))
}

#[test]
fn webhooks_are_read() {
    let hooks = good(&rollout(
        "
  - {name: smoke, type: pre-rollout, url: 'http://127.0.0.1:9999/smoke?a=b'}
  - name: told
    type: event
    url: https://user@[::1]/
    timeout: 1m
    retries: 10
    metadata: {channel: '#shop', empty: ''}",
    ))
    .webhooks
    .clone();
    let smoke = Webhook {
        name: "smoke".into(),
        kind: WebhookKind::PreRollout,
        url: "http://127.0.0.1:9999/smoke?a=b".into(),
        timeout: Duration::from_secs(10),
        retries: 0,
        metadata: BTreeMap::new(),
    };
    let told = Webhook {
        name: "told".into(),
        kind: WebhookKind::Event,
        url: "https://user@[::1]/".into(),
        timeout: Duration::from_secs(60),
        retries: 10,
        metadata: [("channel", "#shop"), ("empty", "")].map(|(key, value)| (key.into(), value.into())).into(),
    };
    assert_eq!(hooks.iter().map(|hook| &**hook).collect::<Vec<_>>(), [&smoke, &told]);
}

#[test]
fn every_type_is_known() {
    for kind in WebhookKind::ALL {
        let hooks = good(&rollout(&format!("[{{name: a, type: {}, url: 'http://a'}}]", kind.word()))).webhooks.clone();
        assert_eq!(hooks[0].kind, kind);
    }
}

#[test]
fn webhooks_are_checked() {
    let types = "type must be one of confirm-rollout, pre-rollout, rollout, confirm-traffic-increase, \
                 confirm-promotion, post-rollout, rollback, event, found";
    let url = "url must be a URL such as http://127.0.0.1:8080/path, found";
    for (text, expected) in [
        ("|{}", "webhooks must be a list, found a mapping"),
        ("[|a]", "a webhook must be a mapping, found \"a\""),
        ("[|{type: event, url: 'http://a'}]", "name is missing: the journal knows the webhook by it"),
        ("[|{name: a, url: 'http://a'}]", "type is missing: it says when the webhook is called"),
        ("[|{name: a, type: event}]", "url is missing: it is what is called"),
        ("[{name: a, type: event, |urll: 'http://a'}]", "unknown key \"urll\" in a webhook (did you mean \"url\"?)"),
        (
            "[{name: a, type: |pre-rolout, url: 'http://a'}]",
            &format!("{types} \"pre-rolout\" (did you mean \"pre-rollout\"?)"),
        ),
        ("[{name: a, type: |1, url: 'http://a'}]", &format!("{types} 1")),
        ("[{name: a, type: event, url: |'a:80/x'}]", &format!("{url} \"a:80/x\" (write http://a:80/x)")),
        ("[{name: a, type: event, url: |/x}]", &format!("{url} \"/x\"")),
        ("[{name: a, type: event, url: |'ftp://a/'}]", &format!("{url} \"ftp://a/\"")),
        ("[{name: a, type: event, url: |'http://'}]", &format!("{url} \"http://\"")),
        ("[{name: a, type: event, url: |'http://:80/'}]", &format!("{url} \"http://:80/\"")),
        ("[{name: a, type: event, url: |'http://a:/'}]", &format!("{url} \"http://a:/\"")),
        ("[{name: a, type: event, url: |'http://a:70000/'}]", &format!("{url} \"http://a:70000/\"")),
        ("[{name: a, type: event, url: |'http://a b/'}]", &format!("{url} \"http://a b/\"")),
        (
            "[{name: a, type: event, url: 'http://a', timeout: |0s}]",
            "timeout must be longer than nothing, found \"0s\"",
        ),
        (
            "[{name: a, type: event, url: 'http://a', retries: |11}]",
            "retries must be a whole number from 0 to 10, found 11",
        ),
        (
            "[{name: a, type: event, url: 'http://a', metadata: {x: |1}}]",
            "a value of metadata must be text, found 1 (quote it: \"1\")",
        ),
        (
            "[{name: a, type: event, url: 'http://a'}, {name: |a, type: rollback, url: 'http://b'}]",
            "two webhooks are named \"a\"",
        ),
    ] {
        refused(&rollout(text), expected);
    }
}
