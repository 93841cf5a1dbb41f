//! Whose page may speak to this server: the server's own, and those of the origins that are listed.

use super::{AuthPolicy, Gates, Handshake};

impl Gates {
    /// Whether a page of this origin may speak to this host at all, whatever its credential.
    #[must_use]
    pub fn admits_page(&self, handshake: &Handshake) -> bool {
        self.auth.admits_origin(handshake, false)
    }

    /// Whether pages of this origin are listed; with a cookie where `by_cookie` says so.
    #[must_use]
    pub fn lists_origin(&self, origin: &str, by_cookie: bool) -> bool {
        self.auth.lists_origin(&canonical(origin), by_cookie)
    }
}

impl AuthPolicy {
    /// Browsers send `Origin`; other clients do not and are not judged by it.
    pub(super) fn admits_origin(&self, handshake: &Handshake, by_cookie: bool) -> bool {
        let Some(origin) = handshake.origin.as_deref().map(canonical) else {
            // Some requests of pages carry no `Origin`, an image's for one, and the user's cookies all the same.
            let is_of_elsewhere = matches!(handshake.fetch_site.as_deref(), Some("cross-site" | "same-site"));
            return !(by_cookie && is_of_elsewhere);
        };
        handshake.host.as_deref().is_some_and(|host| is_same_host(&origin, host))
            || self.lists_origin(&origin, by_cookie)
    }

    /// Whether an origin, in its canonical form, is one of those listed. `*` is any, but never with a cookie;
    /// `https://*.example.com` is every host below that one, at any depth, and not that one itself.
    fn lists_origin(&self, origin: &str, by_cookie: bool) -> bool {
        // Any page can make itself an opaque origin, so `null` is as good as anyone: never with the user's cookie.
        let is_anyone = origin == "null";
        self.origins.iter().any(|allowed| match allowed.as_str() {
            "*" => !by_cookie,
            allowed => match allowed.split_once("://*.") {
                Some((scheme, above)) => is_below(origin, scheme, above),
                None => canonical(allowed) == origin && !(is_anyone && by_cookie),
            },
        })
    }
}

/// Whether an origin is of this scheme and of a host below that one, on the same port.
fn is_below(origin: &str, scheme: &str, above: &str) -> bool {
    let above = canonical(&format!("{scheme}://{above}"));
    let Some((scheme, above)) = above.split_once("://") else { return false };
    let Some(host) = origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) else { return false };
    let is_name = |below: &str| {
        !below.is_empty() && below.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    host.strip_suffix(above).and_then(|rest| rest.strip_suffix('.')).is_some_and(is_name)
}

/// Whether a web page of this origin came from the host that is asked now. Behind a proxy that ends TLS the server
/// does not know its own scheme, so that either will do.
fn is_same_host(origin: &str, host: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| origin.starts_with(scheme) && origin == canonical(&format!("{scheme}{host}")))
}

/// An origin as browsers write it: lower case, without the scheme's own port, without a slash at the end.
/// <https://www.rfc-editor.org/rfc/rfc6454#section-6.2>
fn canonical(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let own_port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(own_port).map_or_else(|| origin.clone(), str::to_owned)
}
