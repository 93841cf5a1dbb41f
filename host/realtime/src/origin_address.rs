//! The address of a client and the host that it asked for: the other end of its TCP connection and its `Host`, or what
//! a trusted proxy there reports.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, header};

use tidegate_core::config::{Auth, ForwardedHeader, Network};

/// Longest chain of trusted proxies.
const HOPS_MAX: usize = 32;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Knows the trusted proxies.
pub(super) struct Addresses {
    trusted: Vec<Network>,
    header: ForwardedHeader,
    has_warned: AtomicBool,
}

impl Addresses {
    pub(super) fn new(auth: &Auth) -> Self {
        let trusted = auth.trusted_proxies.clone();
        Self { trusted, header: auth.forwarded_header, has_warned: AtomicBool::new(false) }
    }

    /// The client's address; `None` if it is unknown, and then no failures are counted for it.
    pub(super) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if self.is_trusted(peer) {
            return self.forwarded(headers).map_or(Some(peer), |forwarded| forwarded.address);
        }
        // An unlisted proxy: all its clients have its address, and one that guesses would block the others. On the
        // Internet the proxy itself may be the one that guesses.
        let is_forwarded = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED);
        if !is_forwarded || !is_inside(peer) {
            return Some(peer);
        }
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "clients connect through a proxy that `auth.trusted_proxies` does not list: their failed logins are not counted",
            );
        }
        None
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The host that the client asked for: what the outermost trusted proxy was asked for, if the proxies report it. A
    /// proxy may ask this server under another name.
    pub(super) fn host(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<String> {
        let peer = peer.map(|peer| peer.to_canonical());
        let forwarded = peer.filter(|peer| self.is_trusted(*peer)).and_then(|_| match self.header {
            // Each proxy adds what it was asked for, or replaces what is there.
            ForwardedHeader::XForwardedFor => {
                let hosts: Vec<String> = lines(headers, &X_FORWARDED_HOST);
                let proxies = self.forwarded(headers).map_or(0, |forwarded| forwarded.proxies);
                hosts.len().checked_sub(1).map(|last| hosts[last.saturating_sub(proxies)].clone())
            }
            ForwardedHeader::Forwarded => self.forwarded(headers)?.host,
        });
        forwarded.filter(|host| !host.is_empty()).or_else(|| {
            let host = headers.get(header::HOST)?;
            Some(String::from_utf8_lossy(host.as_bytes()).into_owned())
        })
    }

    /// The last address that does not belong to a trusted proxy, from the end: anybody can claim everything before it.
    /// `None` if the proxy reports nothing.
    fn forwarded(&self, headers: &HeaderMap) -> Option<Forwarded> {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        let mut farthest: Option<Forwarded> = None;
        for (proxies, hop) in lines(headers, &name).iter().rev().take(HOPS_MAX).enumerate() {
            let (text, host) = match self.header {
                ForwardedHeader::XForwardedFor => (Some(hop.as_str()), None),
                ForwardedHeader::Forwarded => (named(hop, "for"), named(hop, "host").map(str::to_owned)),
            };
            let address = text.and_then(address);
            // A proxy that does not report what it was asked for did not change it.
            let host = host.or_else(|| farthest.take().and_then(|nearer| nearer.host));
            farthest = Some(Forwarded { address, proxies, host });
            if !address.is_some_and(|address| self.is_trusted(address)) {
                break;
            }
        }
        farthest
    }
}

/// What trusted proxies report about a client.
struct Forwarded {
    /// `None` if they do not know it.
    address: Option<IpAddr>,
    /// How many proxies there are behind the connected one.
    proxies: usize,
    /// The host that it asked for; `None` if they do not report it.
    host: Option<String>,
}

/// The items of a header that is a list, over all its lines.
fn lines(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_owned()).collect()
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43`, RFC 7239 §4.
fn named<'a>(hop: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().trim_matches('"'))
}

/// An address, with an optional port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whether an address belongs to this machine or a private network.
const fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // RFC 6598: container networks and carriers use these addresses.
            let is_shared = first == 100 && second & 0b1100_0000 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(trusted: &[&str], header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let auth = Auth { trusted_proxies, forwarded_header: header, ..Auth::default() };
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, HeaderValue::from_str(line).unwrap());
        }
        let address = Addresses::new(&auth).of(peer.parse().unwrap(), &headers);
        address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_a_client_claims_is_not() {
        let forwarded = |peer: &str, line: &str| {
            of(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor, peer, &[("x-forwarded-for", line)])
        };
        assert_eq!(forwarded("10.0.0.1", "192.0.2.1"), "192.0.2.1");
        assert_eq!(forwarded("10.0.0.1", "1.1.1.1, 192.0.2.1"), "192.0.2.1", "the client wrote the first one");
        assert_eq!(forwarded("10.0.0.1", "1.1.1.1, 192.0.2.1, 10.0.0.2"), "192.0.2.1");
        assert_eq!(forwarded("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "somebody inside");
        assert_eq!(forwarded("::ffff:10.0.0.1", "192.0.2.1:4711"), "192.0.2.1");
        assert_eq!(forwarded("10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(forwarded("10.0.0.1", "192.0.2.1, unknown"), "unknown");
        assert_eq!(forwarded("10.0.0.1", ""), "unknown");
        assert_eq!(forwarded("203.0.113.9", "192.0.2.1"), "203.0.113.9", "not a proxy of ours, whatever it says");
        let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(of(&["10.0.0.1"], ForwardedHeader::XForwardedFor, "10.0.0.1", &two), "192.0.2.1");
        assert_eq!(of(&["10.0.0.1"], ForwardedHeader::XForwardedFor, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn only_the_header_that_is_configured_is_looked_at() {
        let both = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=192.0.2.1;proto=https, For=\"[fd00::1]:80\"")];
        assert_eq!(of(&["10.0.0.0/8", "fd00::/8"], ForwardedHeader::Forwarded, "10.0.0.1", &both), "192.0.2.1");
        assert_eq!(of(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor, "10.0.0.1", &both), "1.1.1.1");
        let hidden = [("forwarded", "for=_hidden")];
        assert_eq!(of(&["10.0.0.0/8"], ForwardedHeader::Forwarded, "10.0.0.1", &hidden), "unknown");
    }

    fn host_of(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let auth = Auth { trusted_proxies, forwarded_header: header, ..Auth::default() };
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("backend:3000"));
        for (name, line) in lines {
            headers.append(*name, HeaderValue::from_str(line).unwrap());
        }
        Addresses::new(&auth).host(Some(peer.parse().unwrap()), &headers).unwrap()
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_the_host_that_was_asked_for_and_nobody_else_is() {
        let x = ForwardedHeader::XForwardedFor;
        let asked = [("x-forwarded-host", "app.example.com")];
        assert_eq!(host_of(x, "10.0.0.1", &asked), "app.example.com");
        assert_eq!(host_of(x, "::ffff:10.0.0.1", &asked), "app.example.com");
        assert_eq!(host_of(x, "192.0.2.1", &asked), "backend:3000", "not a proxy of ours, whatever it says");
        assert_eq!(host_of(x, "10.0.0.1", &[]), "backend:3000");
        assert_eq!(host_of(x, "10.0.0.1", &[("x-forwarded-host", "")]), "backend:3000");
        assert_eq!(host_of(x, "10.0.0.1", &[("forwarded", "host=app.example.com")]), "backend:3000");
    }

    #[test]
    fn of_several_proxies_in_a_row_the_outermost_that_is_trusted_says_the_host() {
        let x = ForwardedHeader::XForwardedFor;
        let row = |clients: &str, hosts: &str| {
            host_of(x, "10.0.0.1", &[("x-forwarded-for", clients), ("x-forwarded-host", hosts)])
        };
        assert_eq!(
            row("192.0.2.1", "claimed.com, app.example.com"),
            "app.example.com",
            "the client wrote the first one"
        );
        assert_eq!(row("192.0.2.1, 10.0.0.2", "app.example.com, inner"), "app.example.com");
        assert_eq!(row("192.0.2.1, 10.0.0.2", "claimed.com, app.example.com, inner"), "app.example.com");
        assert_eq!(row("192.0.2.1, 10.0.0.2", "app.example.com"), "app.example.com", "the inner one kept it");
    }

    #[test]
    fn forwarded_says_the_host_beside_the_address_and_perhaps_in_quotes() {
        let forwarded = |line: &str| host_of(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", line)]);
        assert_eq!(forwarded("for=192.0.2.1;Host=\"app.example.com:8443\";proto=https"), "app.example.com:8443");
        assert_eq!(forwarded("for=192.0.2.1;host=app.example.com, for=10.0.0.2;host=inner"), "app.example.com");
        assert_eq!(forwarded("for=192.0.2.1, for=10.0.0.2;host=app.example.com"), "app.example.com");
        assert_eq!(forwarded("host=claimed.com, for=192.0.2.1;host=app.example.com"), "app.example.com");
        assert_eq!(forwarded("host=app.example.com"), "app.example.com", "an address is not needed");
        assert_eq!(forwarded("for=192.0.2.1"), "backend:3000");
    }

    #[test]
    fn behind_a_proxy_that_nobody_listed_no_address_is_held_against_anybody() {
        let forwarded = [("x-forwarded-for", "192.0.2.1")];
        for peer in ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fe80::1"] {
            assert_eq!(of(&[], ForwardedHeader::XForwardedFor, peer, &forwarded), "unknown", "{peer}");
            assert_eq!(of(&[], ForwardedHeader::XForwardedFor, peer, &[]), peer);
        }
        assert_eq!(of(&[], ForwardedHeader::XForwardedFor, "8.8.8.8", &forwarded), "8.8.8.8");
    }
}
