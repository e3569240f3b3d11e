//! What an answer that is no yes comes to, in words.

use http::header::LOCATION;
use http::{Response, StatusCode};
use serde::Deserialize;

/// Characters of an answer that are shown.
const MAX_SHOWN: usize = 200;

/// What is needed of an answer beside its body: its status, and where it sends the asker.
pub(super) fn head<B>(answer: &Response<B>) -> (StatusCode, Option<String>) {
    let location = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection());
    (answer.status(), location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned()))
}

/// `answered 503: overloaded`
pub(super) fn refusal(status: StatusCode, location: Option<&str>, body: &[u8]) -> String {
    let status = status.as_u16();
    if let Some(location) = location {
        return format!("answered {status} to {}: redirects are not followed", shown(location));
    }
    match complaint(body).unwrap_or_else(|| first_line(body)) {
        words if words.is_empty() => format!("answered {status}"),
        words => format!("answered {status}: {words}"),
    }
}

/// What JSON such as that of Prometheus names as its error.
pub(super) fn complaint(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Complaint {
        #[serde(rename = "errorType")]
        kind: Option<String>,
        error: String,
    }
    let Complaint { kind, error } = serde_json::from_slice(body).ok()?;
    let kind = kind.map(|kind| format!("{kind}: ")).unwrap_or_default();
    Some(shown(&format!("{kind}{error}")))
}

/// The first line that says something, fit to be shown.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.lines().map(shown).find(|line| !line.is_empty()).unwrap_or_default()
}

/// One line of what others wrote: a terminal takes it for text, and it is not longer than is read.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let text = text.trim();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
