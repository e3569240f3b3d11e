//! Single values of a rollout: yes and no, words, whole numbers, percentages, text.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::duration;
use crate::spec::fields::unexpected;
use crate::spec::strategy::TOTAL_WEIGHT;
use crate::spec::yaml::{Data, Node};
use crate::spec::{Reporter, suggest};

/// `true` or `false`.
pub(super) fn boolean(node: &Node, place: &str, reporter: &mut Reporter) -> Option<bool> {
    let help = match node.boolean() {
        Ok(value) => return Some(value),
        Err(help) => help,
    };
    unexpected(node, place, "true or false", help, reporter)
}

/// One of `words`.
pub(super) fn word<T: Copy>(node: &Node, place: &str, words: &[(&str, T)], reporter: &mut Reporter) -> Option<T> {
    let text = if let Data::String(text) = &node.data { text } else { "" };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let names = || words.iter().map(|(word, _)| *word);
    let expected = format!("one of {}", names().collect::<Vec<_>>().join(", "));
    unexpected(node, place, &expected, suggest::did_you_mean(text, names()), reporter)
}

/// A whole number in `range`.
pub(super) fn whole(node: &Node, place: &str, range: RangeInclusive<u32>, reporter: &mut Reporter) -> Option<u32> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let help = match &node.data {
        Data::Number(text) => match number(text).filter(|number| range.contains(number)) {
            Some(number) => return Some(number),
            None => None,
        },
        Data::String(text) => number(text).map(|number| format!("write {number}, without quotes")),
        _ => None,
    };
    let expected = match range.into_inner() {
        (start, u32::MAX) => format!("a whole number from {start} up"),
        (start, end) => format!("a whole number from {start} to {end}"),
    };
    unexpected(node, place, &expected, help, reporter)
}

/// A whole number of seconds from `least` up: the keys that end in `Seconds`.
pub(super) fn seconds(node: &Node, place: &str, least: u32, reporter: &mut Reporter) -> Option<Duration> {
    if let Data::String(text) = &node.data
        && let Some(meant) = duration::parse(text).filter(|meant| meant.subsec_nanos() == 0)
    {
        let help = Some(format!("write {} as a bare number", meant.as_secs()));
        return unexpected(node, place, "a whole number of seconds", help, reporter);
    }
    let most = u32::try_from(duration::MAX.as_secs()).unwrap_or(u32::MAX);
    whole(node, place, least..=most, reporter).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Text that is not empty.
pub(super) fn text<'a>(node: &'a Node, place: &str, reporter: &mut Reporter) -> Option<&'a str> {
    let help = match &node.data {
        Data::String(text) if !text.is_empty() => return Some(text),
        Data::Bool(_) | Data::Number(_) => Some(format!("quote it: \"{}\"", node.found())),
        _ => None,
    };
    unexpected(node, place, "text", help, reporter)
}

/// An `http://` or `https://` address with a host.
pub(super) fn url(node: &Node, place: &str, reporter: &mut Reporter) -> Option<Arc<str>> {
    let text = text(node, place, reporter)?;
    let help = match text.parse::<Uri>() {
        Ok(uri) if is_web(&uri) => return Some(text.into()),
        _ => format!("http://{text}").parse().is_ok_and(|uri| is_web(&uri)).then(|| format!("write http://{text}")),
    };
    let help = help.filter(|_| !text.contains("://"));
    unexpected(node, place, "a URL such as http://127.0.0.1:8080/path", help, reporter)
}

fn is_web(uri: &Uri) -> bool {
    let after_host = |host: &str| uri.authority()?.as_str().rsplit('@').next()?.strip_prefix(host);
    let port = uri.host().filter(|host| !host.is_empty()).and_then(after_host);
    let port_fits = |port: &str| port.is_empty() || uri.port_u16().is_some_and(|port| port > 0);
    matches!(uri.scheme_str(), Some("http" | "https")) && port.is_some_and(port_fits)
}

/// A percentage as parts of [`TOTAL_WEIGHT`].
pub(super) fn weight(node: &Node, reporter: &mut Reporter) -> Option<u32> {
    percent(node).map_err(|message| reporter.error(node.position, message, node.found(), None)).ok()
}

/// A percentage in hundredths, read digit by digit: no rounding.
fn percent(node: &Node) -> Result<u32, String> {
    let expected = || format!("a weight is a percentage such as 12.5, found {}", node.found());
    let Data::Number(text) = &node.data else { return Err(expected()) };
    if text.starts_with('-') {
        return Err(format!("a weight cannot be negative, found {text}"));
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) {
        return Err(expected());
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 2 {
        return Err(format!("a weight has at most two decimals, found {text}"));
    }
    format!("{whole}{decimals:0<2}")
        .parse()
        .ok()
        .filter(|weight| *weight <= TOTAL_WEIGHT)
        .ok_or_else(|| format!("a weight cannot be above 100, found {text}"))
}

/// A weight as people write it: in percent.
pub(super) fn shown(hundredths: u64) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:02}").trim_end_matches('0').to_owned(),
    }
}
