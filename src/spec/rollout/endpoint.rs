//! One endpoint: `"IP:port"`, `"[IPv6]:port"` or `"host:port"`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::spec::Reporter;
use crate::spec::model::Endpoint;
use crate::spec::yaml::{Data, Node};

const EXPECTED: &str = "expected \"IP:port\", \"[IPv6]:port\" or \"host:port\"";

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Ip(address) => address.fmt(f),
            Endpoint::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Reads one item of `endpoints:`, or reports what is wrong with it.
pub(super) fn read(node: &Node, reporter: &mut Reporter) -> Option<Endpoint> {
    let Data::String(text) = &node.data else {
        let found = node.found();
        reporter.error(node.position, format!("{EXPECTED}, found {found}"), found, None);
        return None;
    };
    parse(text).map_err(|message| reporter.error(node.position, message, text.as_str(), Some(EXPECTED.to_owned()))).ok()
}

fn parse(text: &str) -> Result<Endpoint, String> {
    if text.contains("://") {
        return Err(format!("{text:?} is a URL, not an endpoint"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("the IPv6 address {text:?} needs brackets and a port"));
    }
    let Some((host, port)) = split(text) else {
        return Err(format!("{text:?} has no port"));
    };
    let port = match port.parse::<u32>() {
        Ok(number) => u16::try_from(number).ok().filter(|port| *port > 0),
        Err(_) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => None,
        Err(_) => return Err(format!("{port:?} is no port number in {text:?}")),
    }
    .ok_or_else(|| format!("port {port} of {text:?} is not in the range 1-65535"))?;

    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| format!("{inner:?} is no IPv6 address"))?;
        return Ok(Endpoint::Ip(SocketAddr::new(IpAddr::V6(ip), port)));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Endpoint::Ip(SocketAddr::new(ip, port)));
    }
    if host.is_empty() {
        return Err(format!("{text:?} has no host"));
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("{host:?} is no IP address"));
    }
    let label = |label: &str| {
        let edges_fit = !label.starts_with('-') && !label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && edges_fit && label.bytes().all(is_name_byte)
    };
    if host.len() > 253 || !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
        return Err(format!("{host:?} is no host name"));
    }
    Ok(Endpoint::Host(host.to_owned(), port))
}

/// Splits off the port; a colon inside brackets is none of it.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    (!port.ends_with(']')).then_some((host, port))
}

/// The letters of host names; the underscore is none of them, but resolvers and service discovery use it.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms() {
        for text in ["10.0.0.1:80", "[::1]:65535", "shop.local:1", "shop_1:80", "shop.local.:80"] {
            assert_eq!(parse(text).map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
        assert!(matches!(parse("10.0.0.1:80"), Ok(Endpoint::Ip(_))));
        assert!(matches!(parse("[fd00::2]:80"), Ok(Endpoint::Ip(_))));
        assert!(matches!(parse("1.2.3.four:80"), Ok(Endpoint::Host(..))));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            ("10.0.0.1", r#""10.0.0.1" has no port"#),
            ("shop", r#""shop" has no port"#),
            ("[::1]", r#""[::1]" has no port"#),
            ("", r#""" has no port"#),
            ("::1", r#"the IPv6 address "::1" needs brackets and a port"#),
            ("http://shop:80", r#""http://shop:80" is a URL, not an endpoint"#),
            ("shop:", r#""" is no port number in "shop:""#),
            ("shop:http", r#""http" is no port number in "shop:http""#),
            ("shop:-1", r#""-1" is no port number in "shop:-1""#),
            ("shop:0", r#"port 0 of "shop:0" is not in the range 1-65535"#),
            ("shop:70000", r#"port 70000 of "shop:70000" is not in the range 1-65535"#),
            ("shop:99999999999", r#"port 99999999999 of "shop:99999999999" is not in the range 1-65535"#),
            (":80", r#"":80" has no host"#),
            ("10.0.0.256:80", r#""10.0.0.256" is no IP address"#),
            ("[::g]:80", r#""::g" is no IPv6 address"#),
            ("a b:80", r#""a b" is no host name"#),
            ("a..b:80", r#""a..b" is no host name"#),
            ("-a:80", r#""-a" is no host name"#),
            ("1:2:80", r#""1:2" is no host name"#),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()));
        }
    }
}
