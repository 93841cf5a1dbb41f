//! Which address a client comes from: the other end of its TCP connection, or what a trusted proxy there says.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, header};

use crate::config::{Auth, ForwardedHeader, Network};

/// Most proxies in a row that are believed.
const HOPS_MAX: usize = 32;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Knows whose word counts.
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

    /// The client's address; `None` when it is not known, and then nothing is held against it.
    pub(super) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if self.is_trusted(peer) {
            return self.told(headers).unwrap_or(Some(peer));
        }
        // A proxy that nobody listed: all its clients have its address, and one that guesses would shut out the others.
        // On the Internet this may as well be the one that guesses.
        let is_told = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED);
        if !is_told || !is_inside(peer) {
            return Some(peer);
        }
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "clients come through a proxy that `auth.trusted_proxies` does not list: whose credentials are no good is not counted",
            );
        }
        None
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The last address that no trusted proxy has, from the end: everything before it is what somebody claims. `None`
    /// when the proxy says nothing; nothing in it when it does not know.
    fn told(&self, headers: &HeaderMap) -> Option<Option<IpAddr>> {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
        let mut farthest = None;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            let text = match self.header {
                ForwardedHeader::XForwardedFor => hop.trim(),
                ForwardedHeader::Forwarded => named_for(hop),
            };
            let Some(address) = address(text) else { return Some(None) };
            farthest = Some(Some(address));
            if !self.is_trusted(address) {
                break;
            }
        }
        farthest
    }
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43`, RFC 7239 §4.
fn named_for(hop: &str) -> &str {
    let pairs = hop.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    named.next().map_or("", |(_, value)| value.trim().trim_matches('"'))
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whether an address is of this machine or of a private network.
const fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // RFC 6598: where container networks and carriers have theirs.
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
        let told = |peer: &str, line: &str| {
            of(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor, peer, &[("x-forwarded-for", line)])
        };
        assert_eq!(told("10.0.0.1", "192.0.2.1"), "192.0.2.1");
        assert_eq!(told("10.0.0.1", "1.1.1.1, 192.0.2.1"), "192.0.2.1", "the client wrote the first one");
        assert_eq!(told("10.0.0.1", "1.1.1.1, 192.0.2.1, 10.0.0.2"), "192.0.2.1");
        assert_eq!(told("10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3", "somebody inside");
        assert_eq!(told("::ffff:10.0.0.1", "192.0.2.1:4711"), "192.0.2.1");
        assert_eq!(told("10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(told("10.0.0.1", "192.0.2.1, unknown"), "unknown");
        assert_eq!(told("10.0.0.1", ""), "unknown");
        assert_eq!(told("203.0.113.9", "192.0.2.1"), "203.0.113.9", "not a proxy of ours, whatever it says");
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

    #[test]
    fn behind_a_proxy_that_nobody_listed_no_address_is_held_against_anybody() {
        let told = [("x-forwarded-for", "192.0.2.1")];
        for peer in ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fe80::1"] {
            assert_eq!(of(&[], ForwardedHeader::XForwardedFor, peer, &told), "unknown", "{peer}");
            assert_eq!(of(&[], ForwardedHeader::XForwardedFor, peer, &[]), peer);
        }
        assert_eq!(of(&[], ForwardedHeader::XForwardedFor, "8.8.8.8", &told), "8.8.8.8");
    }
}
