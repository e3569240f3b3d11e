//! Keeps web pages out. A browser on this machine can reach loopback for any page it has open.
//!
//! Two ways in are closed. A page whose own name is made to resolve to 127.0.0.1 (DNS rebinding) sends that name as
//! `Host`: on loopback only `localhost` and IP addresses pass. A page of elsewhere that posts a form here cannot read
//! the answer, but could ring a bell: a request with an `Origin` that is not this server is refused.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

use super::Failure;

/// How strict to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Whether the server listens on loopback only.
    pub(super) loopback: bool,
}

/// Answers 403 instead of the page.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admit(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(words) => Failure::new(StatusCode::FORBIDDEN, words).into_response(),
    }
}

impl Guard {
    fn admit(self, headers: &HeaderMap) -> Result<(), String> {
        let host = text(headers, header::HOST).ok_or("expected a Host header")?;
        if self.loopback && !is_local(host) {
            return Err(format!("Host `{host}` is neither localhost nor an IP address"));
        }
        match text(headers, header::ORIGIN) {
            Some(origin) if origin.strip_prefix("http://") != Some(host) => {
                Err(format!("requests from pages of `{origin}` are not taken"))
            }
            _ => Ok(()),
        }
    }
}

/// The header's text; one that is no text is as good as a wrong one.
fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(loopback: bool, headers: &[(header::HeaderName, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        Guard { loopback }.admit(&headers).is_ok()
    }

    #[test]
    fn loopback_takes_localhost_and_addresses_only() {
        for host in ["localhost", "LocalHost:18001", "127.0.0.1:18001", "[::1]:18001", "10.0.0.1"] {
            assert!(admit(true, &[(header::HOST, host)]), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:18001", "", "a b", "127.0.0.1.evil.example"] {
            assert!(!admit(true, &[(header::HOST, host)]), "{host}");
        }
        assert!(!admit(true, &[]));
    }

    #[test]
    fn other_addresses_take_any_name() {
        assert!(admit(false, &[(header::HOST, "serin.internal:18001")]));
    }

    #[test]
    fn pages_of_elsewhere_are_refused() {
        let host = (header::HOST, "127.0.0.1:18001");
        assert!(admit(true, &[host.clone(), (header::ORIGIN, "http://127.0.0.1:18001")]));
        for origin in ["https://evil.example", "null", "http://127.0.0.1:9"] {
            assert!(!admit(true, &[host.clone(), (header::ORIGIN, origin)]), "{origin}");
        }
    }
}
