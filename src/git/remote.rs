//! The server of a repository far away, as its URL names it.

use super::location::percent_decode;

/// How a repository far away is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Over TLS.
    Https,
    /// In clear text.
    Http,
    /// Over ssh.
    Ssh,
    /// Git's own protocol, without any check.
    Git,
}

/// The server of a repository far away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub transport: Transport,
    /// The user of an ssh URL.
    pub user: Option<String>,
    /// The host's name or address, without brackets.
    pub host: String,
    /// The port, if it is not the usual one.
    pub port: Option<u16>,
}

impl Remote {
    /// Reads the server of a URL, or of `user@host:path`.
    pub fn parse(url: &str) -> Option<Remote> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let (server, _) = url.split_once(':')?;
            let (user, host) = server.rsplit_once('@')?;
            let user = Some(user.to_owned()).filter(|user| !user.is_empty());
            return Some(Remote { transport: Transport::Ssh, user, host: host.to_owned(), port: None }).filter(|it| !it.host.is_empty());
        };
        let (transport, usual) = match scheme.to_ascii_lowercase().as_str() {
            "https" => (Transport::Https, 443),
            "http" => (Transport::Http, 80),
            "ssh" => (Transport::Ssh, 22),
            "git" => (Transport::Git, 9418),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user.split(':').next().unwrap_or_default()), server),
            None => (None, authority),
        };
        let (host, port) = match server.strip_prefix('[') {
            Some(server) => server.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
            None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
        };
        let port = port.filter(|port| !port.is_empty()).map(|port| port.parse::<u16>().ok());
        let port = match port {
            Some(None) => return None,
            Some(Some(port)) => Some(port).filter(|port| *port != usual),
            None => None,
        };
        let user = user.filter(|user| !user.is_empty()).map(percent_decode);
        Some(Remote { transport, user, host: host.to_ascii_lowercase(), port }).filter(|it| !it.host.is_empty())
    }

    /// Tells whether what is sent stays on this host.
    pub fn is_this_host(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Tells whether a URL holds more than its server needs: a password, or with https the token or user.
pub(super) fn has_credentials(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    !scheme.eq_ignore_ascii_case("ssh") || user.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_a_url_is_read() {
        let remote = |text: &str| Remote::parse(text).map(|it| (it.transport, it.user.unwrap_or_default(), it.host, it.port));
        let expect = |transport, user: &str, host: &str, port| Some((transport, user.to_owned(), host.to_owned(), port));
        assert_eq!(remote("https://Git.example/a.git"), expect(Transport::Https, "", "git.example", None));
        assert_eq!(remote("http://[::1]:8080/a.git"), expect(Transport::Http, "", "::1", Some(8080)));
        assert_eq!(remote("ssh://git@git.example:22/a.git"), expect(Transport::Ssh, "git", "git.example", None));
        assert_eq!(remote("ssh://git.example:2222/a.git"), expect(Transport::Ssh, "", "git.example", Some(2222)));
        assert_eq!(remote("me@git.example:a.git"), expect(Transport::Ssh, "me", "git.example", None));
        assert_eq!(remote("https://:80/a.git"), None);
        assert_eq!(remote("https://git.example:http/a.git"), None);
    }
}
