//! Which web pages may use this server: its own pages, and pages of the listed origins.

use super::{AuthPolicy, Gates, Handshake};

impl Handshake {
    /// The browser itself says that the page is one of this server, by the address at which it asks. A proxy between
    /// them may have changed `Host`. No script can write this header. <https://www.w3.org/TR/fetch-metadata/>
    #[must_use]
    pub fn is_of_own_page(&self) -> bool {
        self.fetch_site.as_deref() == Some("same-origin")
    }
}

impl Gates {
    /// Whether a page of this origin may use this host at all, whatever its credential.
    #[must_use]
    pub fn admits_page(&self, handshake: &Handshake) -> bool {
        self.auth.admits_origin(handshake, false)
    }

    /// Whether pages of this origin are listed; `by_cookie`: for requests with a cookie.
    #[must_use]
    pub fn lists_origin(&self, origin: &str, by_cookie: bool) -> bool {
        self.auth.lists_origin(&canonical(origin), by_cookie)
    }
}

impl AuthPolicy {
    /// Browsers send `Origin`. Other clients do not send it and are not checked by it.
    pub(super) fn admits_origin(&self, handshake: &Handshake, by_cookie: bool) -> bool {
        let Some(origin) = handshake.origin.as_deref().map(canonical) else {
            // Some requests of pages, for example for an image, have no `Origin`, but carry the user's cookies
            // nevertheless.
            let is_of_elsewhere = matches!(handshake.fetch_site.as_deref(), Some("cross-site" | "same-site"));
            return !(by_cookie && is_of_elsewhere);
        };
        handshake.is_of_own_page()
            || handshake.host.as_deref().is_some_and(|host| is_same_host(&origin, host))
            || self.lists_origin(&origin, by_cookie)
    }

    /// Whether an origin, in canonical form, is listed. `*` is any origin, but never with a cookie;
    /// `https://*.example.com` is every host below `example.com` at any depth, but not that host itself.
    fn lists_origin(&self, origin: &str, by_cookie: bool) -> bool {
        // Any page can give itself an opaque origin, so `null` counts as any page: it is never accepted with the user's
        // cookie.
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

/// Whether an origin has this scheme and port, and a host below this one.
fn is_below(origin: &str, scheme: &str, above: &str) -> bool {
    let above = canonical(&format!("{scheme}://{above}"));
    let Some((scheme, above)) = above.split_once("://") else { return false };
    let Some(host) = origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) else { return false };
    let is_name = |below: &str| {
        !below.is_empty() && below.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    host.strip_suffix(above).and_then(|rest| rest.strip_suffix('.')).is_some_and(is_name)
}

/// Whether a web page of this origin came from the requested host. Behind a proxy that ends TLS the server does not
/// know its own scheme, so both schemes are accepted.
fn is_same_host(origin: &str, host: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| origin.starts_with(scheme) && origin == canonical(&format!("{scheme}{host}")))
}

/// The canonical form of an origin, as browsers write it: lower case, without the scheme's default port, without a
/// trailing slash. <https://www.rfc-editor.org/rfc/rfc6454#section-6.2>
fn canonical(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let own_port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(own_port).map_or_else(|| origin.clone(), str::to_owned)
}
