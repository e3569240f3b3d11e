//! `HOST:PORT`, as people write it on the command line.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a server is found: an IP address or a host name, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPort {
    /// Which machine.
    pub(super) host: Host,
    /// 1 to 65535.
    pub(super) port: u16,
}

/// An IP address or a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// `127.0.0.1`, or `::1` (in brackets before a port).
    Ip(IpAddr),
    /// To be asked of DNS.
    Name(String),
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, e.g. 127.0.0.1:18000")?;
        let port =
            port.parse().ok().filter(|&port| port != 0).ok_or("expected a port from 1 to 65535 after the colon")?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(v6) => Host::Ip(IpAddr::V6(v6.parse().map_err(|_| format!("`{v6}` is not an IPv6 address"))?)),
            None if host.contains(':') => return Err(format!("an IPv6 address goes in brackets: [{host}]:{port}")),
            None => host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Ip),
        };
        if let Host::Name(name) = &host
            && (name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        {
            return Err(format!("`{name}` is neither an IP address nor a host name"));
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(ip) => ip.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["127.0.0.1:18000", "[::1]:18000", "serin.example:1", "localhost:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in
            ["", "127.0.0.1", "host:", "host:0", "host:65536", ":18000", "::1:18000", "[host]:1", "a b:1", "http://h:1"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
