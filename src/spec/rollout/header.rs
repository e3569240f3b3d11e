//! Conditions on request headers, and names of headers and cookies.

use std::sync::Arc;

use http::HeaderName;
use regex_syntax::ast;

use super::{required, scalar};
use crate::spec::Reporter;
use crate::spec::fields::{Fields, list, one_of, unexpected};
use crate::spec::strategy::{HeaderMatch, StringMatch};
use crate::spec::yaml::{Data, Node};

/// Envoy matches these like headers, the host only by the first:
/// <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-headermatcher>
const PSEUDO: [&str; 4] = [":authority", ":method", ":path", ":scheme"];

/// What names of headers and cookies are made of: RFC 9110 calls it a token.
const TOKEN: &str = "letters, digits and !#$%&'*+-.^_`|~";

/// Reads a list of conditions; nothing is none. Those with mistakes are reported and left out.
pub(super) fn matches(node: &Node, place: &str, reporter: &mut Reporter) -> Vec<HeaderMatch> {
    if node.data == Data::Null {
        return Vec::new();
    }
    let items = list(node, place, reporter).unwrap_or_default();
    items.iter().filter_map(|item| one(item, reporter)).collect()
}

fn one(node: &Node, reporter: &mut Reporter) -> Option<HeaderMatch> {
    let fields = Fields::read(node, "a match", &["headerName", "headerValue"], reporter)?;
    let header = required(&fields, "headerName", "it is the header to look at", reporter);
    let header = header.and_then(|node| header_or_pseudo(node, reporter));
    let value = required(&fields, "headerValue", "it is what the header must be", reporter);
    let value = value.and_then(|node| string_match(node, reporter));
    Some(HeaderMatch { header: header?, value: value? })
}

fn header_or_pseudo(node: &Node, reporter: &mut Reporter) -> Option<Arc<str>> {
    match &node.data {
        Data::String(text) if PSEUDO.contains(&text.as_str()) => Some(Arc::from(text.as_str())),
        Data::String(text) if text.eq_ignore_ascii_case("host") => {
            let help = Some("Envoy knows the host as \":authority\"".to_owned());
            unexpected(node, "headerName", "a header that can be matched", help, reporter)
        }
        _ => name(node, "headerName", reporter),
    }
}

/// The name of a header, in lower case as HTTP/2 and Envoy have it.
pub(super) fn name(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = scalar::text(node, place, reporter)?;
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Some(Arc::from(name.as_str())),
        Err(_) => unexpected(node, place, "a header name", Some(TOKEN.to_owned()), reporter),
    }
}

/// The name of a cookie, which keeps its case.
pub(super) fn cookie(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = scalar::text(node, place, reporter)?;
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Some(Arc::from(text)),
        Err(_) => unexpected(node, place, "a cookie name", Some(TOKEN.to_owned()), reporter),
    }
}

fn string_match(node: &Node, reporter: &mut Reporter) -> Option<StringMatch> {
    let entry = one_of(node, "headerValue", &["exact", "prefix", "regex"], reporter)?;
    let key = entry.key.as_str();
    // A header may be there and empty; every text begins with nothing, and Envoy refuses to ask for that.
    if key == "exact" && entry.value.data == Data::String(String::new()) {
        return Some(StringMatch::Exact(String::new()));
    }
    let text = scalar::text(&entry.value, key, reporter)?;
    match key {
        "exact" => Some(StringMatch::Exact(text.to_owned())),
        "prefix" => Some(StringMatch::Prefix(text.to_owned())),
        _ => match ast::parse::Parser::new().parse(text) {
            Ok(_) => Some(StringMatch::Regex(text.to_owned())),
            Err(error) => {
                let expected = format!("an RE2 expression ({})", error.kind());
                unexpected(&entry.value, key, &expected, None, reporter)
            }
        },
    }
}
