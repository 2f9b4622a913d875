//! Where the server is.

use std::{fmt, str::FromStr};

/// A server: `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

/// What is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no server: expected https://host or https://host:port, such as https://bastide.city.example:8443"
)]
pub struct ServerError {
    found: String,
}

impl Server {
    /// Its name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As HTTP's `Host` wants it.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = || ServerError { found: text.chars().take(128).collect() };
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        if host.is_empty() || host.len() > 253 || !host.chars().all(letter) {
            return Err(wrong());
        }
        let port = port.map_or(Ok(443), str::parse).ok().filter(|&port| port != 0).ok_or_else(wrong)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_https_and_a_host_only() {
        let check = |text: &str, expected: Option<(&str, u16)>| {
            let found = text.parse::<Server>().ok();
            assert_eq!(found.as_ref().map(|server| (server.host(), server.port())), expected, "{text}");
        };
        check("https://bastide.city.example:8443", Some(("bastide.city.example", 8443)));
        check("https://bastide.city.example", Some(("bastide.city.example", 443)));
        check("https://10.0.0.1:8443/", Some(("10.0.0.1", 8443)));
        check("https://[fd00::1]:8443", Some(("fd00::1", 8443)));
        check("https://[fd00::1]", Some(("fd00::1", 443)));
        for wrong in [
            "",
            "bastide.city.example",
            "http://bastide.city.example",
            "https://",
            "https://:8443",
            "https://host:0",
            "https://host:65536",
            "https://host:x",
            "https://host/path",
            "https://user@host",
            "https://host\r\nX: y",
            "https://[fd00::1",
            "https://[x]:1",
            "https://[fd00::1]8443",
        ] {
            check(wrong, None);
        }
        assert_eq!("https://[fd00::1]".parse::<Server>().unwrap().to_string(), "https://[fd00::1]:443");
    }
}
