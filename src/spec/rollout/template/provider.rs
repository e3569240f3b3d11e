//! `provider:` of a metric: who is asked for values.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde_json::{Number, Value};
use serde_json_path::JsonPath;

use super::super::{duration, header, required, scalar};
use crate::spec::Reporter;
use crate::spec::analysis::{Header, HeaderText, Provider, QueryRange, Question, WebMethod};
use crate::spec::fields::{Fields, list, one_of, unexpected};
use crate::spec::yaml::{Data, Node};

/// As for Argo Rollouts.
const PROMETHEUS_TIMEOUT: Duration = Duration::from_secs(30);

/// As for Argo Rollouts.
const WEB_TIMEOUT: Duration = Duration::from_secs(10);

/// What every provider can be told beside its question.
const SHARED: [&str; 5] = ["headers", "authentication", "timeout", "timeoutSeconds", "insecure"];

/// Values of a range query that Prometheus gives at most.
/// <https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries> and `web/api/v1/api.go` of its source
const MAX_STEPS: u128 = 11_000;

pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let entry = one_of(node, "provider", &["prometheus", "web"], reporter)?;
    if entry.key == "web" { web(&entry.value, reporter) } else { prometheus(&entry.value, reporter) }
}

fn prometheus(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let known: Vec<_> = ["address", "query", "rangeQuery"].into_iter().chain(SHARED).collect();
    let fields = Fields::read(node, "prometheus", &known, reporter)?;
    let address = required(&fields, "prometheus.address", "it is the Prometheus to ask", reporter);
    let address = address.and_then(|node| scalar::url(node, "prometheus.address", reporter));
    let query = required(&fields, "prometheus.query", "it is what to ask", reporter);
    let query = query.and_then(|node| scalar::text(node, "prometheus.query", reporter));
    let range = fields.get("rangeQuery").map(|node| query_range(node, reporter));
    let shared = shared(&fields, "prometheus", PROMETHEUS_TIMEOUT, reporter);
    let range = match range {
        Some(range) => Some(range?),
        None => None,
    };
    let question = Question::Prometheus { address: address?, query: query?.into(), range };
    Some(Provider { question, ..shared? })
}

fn web(node: &Node, reporter: &mut Reporter) -> Option<Provider> {
    let known: Vec<_> = ["url", "jsonPath", "method", "body", "jsonBody"].into_iter().chain(SHARED).collect();
    let fields = Fields::read(node, "web", &known, reporter)?;
    let url = required(&fields, "web.url", "it is what to ask", reporter);
    let url = url.and_then(|node| scalar::url(node, "web.url", reporter));
    let path = required(&fields, "web.jsonPath", "it says where in the answer the value stands", reporter);
    let path = path.and_then(|node| json_path(node, reporter));
    let method = web_method(&fields, reporter);
    let shared = shared(&fields, "web", WEB_TIMEOUT, reporter);
    let question = Question::Web { url: url?, json_path: path?, method: method? };
    Some(Provider { question, ..shared? })
}

/// What does not depend on the question, with an empty question.
fn shared(fields: &Fields<'_>, place: &str, timeout: Duration, reporter: &mut Reporter) -> Option<Provider> {
    let errors = reporter.errors();
    let items = fields.get("headers").and_then(|node| list(node, &format!("{place}.headers"), reporter));
    let mut headers: Vec<_> = items.unwrap_or_default().iter().filter_map(|item| web_header(item, reporter)).collect();
    if let Some(entry) = fields.entry("authentication") {
        if headers.iter().any(|header| &*header.name == "authorization") {
            let message = "authentication cannot stand beside a header authorization";
            reporter.error(entry.position, message, "authentication", None);
        }
        headers.extend(authentication(&entry.value, reporter));
    }
    if let (Some(_), Some(entry)) = (fields.get("timeout"), fields.entry("timeoutSeconds")) {
        reporter.error(entry.position, "timeoutSeconds cannot stand beside timeout", "timeoutSeconds", None);
    }
    let seconds = fields.get("timeoutSeconds");
    let seconds = seconds.and_then(|node| scalar::seconds(node, &format!("{place}.timeoutSeconds"), 1, reporter));
    let given = fields.get("timeout");
    let given = given.and_then(|node| duration::positive(node, &format!("{place}.timeout"), reporter)).or(seconds);
    let insecure = fields.get("insecure").and_then(|node| scalar::boolean(node, "insecure", reporter));
    let question = Question::Prometheus { address: "".into(), query: "".into(), range: None };
    let (timeout, insecure) = (given.unwrap_or(timeout), insecure.unwrap_or_default());
    (reporter.errors() == errors).then_some(Provider { question, headers, timeout, insecure })
}

fn web_header(node: &Node, reporter: &mut Reporter) -> Option<Header> {
    let fields = Fields::read(node, "a header", &["key", "value", "valueFrom"], reporter)?;
    let key = required(&fields, "key", "it is the name of the header", reporter);
    let key = key.and_then(|node| header::name(node, "key", reporter));
    if let Some(from) = fields.entry("valueFrom") {
        if fields.get("value").is_some() {
            reporter.error(from.position, "valueFrom cannot stand beside value", "valueFrom", None);
            return None;
        }
        let from = Fields::read(&from.value, "valueFrom", &["file"], reporter)?;
        let file = required(&from, "valueFrom.file", "it is the file that holds the value", reporter)?;
        let path = path(file, "valueFrom.file", reporter)?;
        return Some(Header { name: key?, value: HeaderText::File { prefix: "", path } });
    }
    let node = required(&fields, "value", "it is the value of the header", reporter)?;
    let value = scalar::text(node, "value", reporter)?;
    if HeaderValue::from_str(value).is_err() {
        return unexpected(node, "value", "what a header can hold: one line of text", None, reporter);
    }
    Some(Header { name: key?, value: HeaderText::Plain(value.into()) })
}

fn authentication(node: &Node, reporter: &mut Reporter) -> Option<Header> {
    let fields = Fields::read(node, "authentication", &["bearerToken"], reporter)?;
    let why = "it says where the token stands";
    let node = required(&fields, "authentication.bearerToken", why, reporter)?;
    let fields = Fields::read(node, "bearerToken", &["file"], reporter)?;
    let node = required(&fields, "bearerToken.file", "a token is read from a file", reporter)?;
    let path = path(node, "bearerToken.file", reporter)?;
    Some(Header { name: "authorization".into(), value: HeaderText::File { prefix: "Bearer ", path } })
}

/// A path from the root: what it means must not depend on where serin was started.
fn path(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = scalar::text(node, place, reporter)?;
    if !text.starts_with('/') {
        return unexpected(node, place, "a path from the root, such as /run/secrets/token", None, reporter);
    }
    Some(text.into())
}

/// May stand in braces and without its `$`, as for Argo Rollouts.
fn json_path(node: &Node, reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = scalar::text(node, "web.jsonPath", reporter)?;
    if let Err(error) = JsonPath::parse(&bare(text)) {
        let expected = format!("a JSON path such as $.data.rate ({error})");
        let guess = format!("$.{text}");
        let help = JsonPath::parse(&guess).is_ok().then(|| format!("write {guess}"));
        return unexpected(node, "web.jsonPath", &expected, help, reporter);
    }
    Some(text.into())
}

/// The path itself.
fn bare(text: &str) -> String {
    let bare = text.trim();
    let bare = bare.strip_prefix('{').and_then(|bare| bare.strip_suffix('}')).unwrap_or(bare).trim();
    if bare.starts_with('$') { bare.to_owned() } else { format!("${bare}") }
}

fn web_method(fields: &Fields<'_>, reporter: &mut Reporter) -> Option<WebMethod> {
    let given = fields.get("method");
    let post = given.map(|node| scalar::word(node, "web.method", &[("GET", false), ("POST", true)], reporter));
    let body = match (fields.entry("body"), fields.entry("jsonBody")) {
        (Some(_), Some(entry)) => {
            reporter.error(entry.position, "jsonBody cannot stand beside body", "jsonBody", None);
            return None;
        }
        (Some(entry), None) => Some((entry, scalar::text(&entry.value, "web.body", reporter)?.to_owned(), false)),
        (None, Some(entry)) => Some((entry, json(&entry.value).to_string(), true)),
        (None, None) => None,
    };
    let post = match post {
        Some(post) => post?,
        None => false,
    };
    match (post, body) {
        (false, None) => Some(WebMethod::Get),
        (false, Some((entry, ..))) => {
            let help = Some("method: POST".to_owned());
            reporter.error(entry.position, format!("{} needs a method that sends it", entry.key), &*entry.key, help);
            None
        }
        (true, body) => {
            let (text, json) = body.map(|(_, text, json)| (text, json)).unwrap_or_default();
            Some(WebMethod::Post { body: text.into(), json })
        }
    }
}

/// As JSON. A number that JSON cannot hold stays as it was written.
fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Number(text) => text.parse::<Number>().map_or_else(|_| Value::String(text.clone()), Value::Number),
        Data::String(text) => Value::String(text.clone()),
        Data::Sequence(items) => items.iter().map(json).collect(),
        Data::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
    }
}

fn query_range(node: &Node, reporter: &mut Reporter) -> Option<QueryRange> {
    let fields = Fields::read(node, "rangeQuery", &["start", "end", "step"], reporter)?;
    let mut ago = |key: &str, why| {
        let place = format!("rangeQuery.{key}");
        let node = required(&fields, &place, why, reporter)?;
        let text = scalar::text(node, &place, reporter)?;
        let expected = "now() or a time before it, such as now() - duration(\"5m\")";
        before_now(text).or_else(|| unexpected(node, &place, expected, None, reporter))
    };
    let (start, end) = (ago("start", "it is the first time"), ago("end", "it is the last time"));
    let step = required(&fields, "rangeQuery.step", "it is the time between two values", reporter);
    let step = step.and_then(|node| duration::positive(node, "rangeQuery.step", reporter));
    let (start, end, step) = (start?, end?, step?);
    if start <= end {
        reporter.error(node.position, "rangeQuery.start is not before end", "start", None);
        return None;
    }
    if start.saturating_sub(end).as_nanos() / step.as_nanos() >= MAX_STEPS {
        let message =
            format!("rangeQuery asks for more than {MAX_STEPS} values of each series, which Prometheus refuses");
        reporter.error(node.position, message, "step", Some("a longer step".to_owned()));
        return None;
    }
    Some(QueryRange { start, end, step })
}

/// How long before now `now()` and `now() - duration("5m")` are.
fn before_now(text: &str) -> Option<Duration> {
    let text: String = text.split_whitespace().collect();
    let rest = text.strip_prefix("now()")?;
    if rest.is_empty() {
        return Some(Duration::ZERO);
    }
    let span = rest.strip_prefix("-duration(")?.strip_suffix(')')?;
    let quoted = |quote| span.strip_prefix(quote)?.strip_suffix(quote);
    duration::parse(quoted('"').or_else(|| quoted('\''))?).filter(|span| *span <= duration::MAX)
}
