//! A web address as programs write it: an origin and everything after it. Parsed as in browsers (WHATWG URL).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use url::Url;

use super::Origin;

/// The URL of a resource on an HTTP server: no user name, no password, no fragment.
///
/// ```
/// use tidegate_core::config::WebUrl;
///
/// let url = WebUrl::parse("https://API.example.com:443/users?page=2#top").unwrap();
/// assert_eq!(url.to_string(), "https://api.example.com/users?page=2");
/// assert_eq!(url.origin().to_string(), "https://api.example.com");
/// assert_eq!(url.shown(), "https://api.example.com/users");
/// assert!(WebUrl::parse("https://user:word@api.example.com/").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl {
    url: Url,
    origin: Origin,
}

/// The text is not an accepted web address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoWebUrl {
    /// It is not an `http` or `https` URL.
    #[error("it is not a valid `http` or `https` URL")]
    Malformed,
    /// It contains a user name or a password.
    #[error("it contains a user name or a password; send those in a header instead")]
    Credentials,
}

impl WebUrl {
    /// Reads an absolute URL. A fragment is left out, because servers never receive it.
    ///
    /// # Errors
    /// [`NoWebUrl`].
    pub fn parse(text: &str) -> Result<Self, NoWebUrl> {
        Url::parse(text).map_err(|_| NoWebUrl::Malformed).and_then(Self::of)
    }

    /// Resolves a link found at this address: `/login`, `?page=2` or another absolute URL.
    ///
    /// # Errors
    /// [`NoWebUrl`].
    pub fn join(&self, link: &str) -> Result<Self, NoWebUrl> {
        self.url.join(link).map_err(|_| NoWebUrl::Malformed).and_then(Self::of)
    }

    fn of(mut url: Url) -> Result<Self, NoWebUrl> {
        let origin = Origin::of(&url).ok_or(NoWebUrl::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoWebUrl::Credentials);
        }
        url.set_fragment(None);
        Ok(Self { url, origin })
    }

    /// Scheme, host and port.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Everything except the query, which may contain a key: for logs and metrics.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.url.as_str().split('?').next().unwrap_or_default()
    }

    /// The whole URL in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The message shows nothing of the text, because it may contain a password.
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_written_in_one_way() {
        for (text, same) in [
            ("https://api.example.com", "https://api.example.com/"),
            ("HTTPS://API.Example.com:443/A b", "https://api.example.com/A%20b"),
            ("http://0x7f.1:80/", "http://127.0.0.1/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://[::ffff:7f00:1]/", "http://[::ffff:7f00:1]/"),
            ("https://a/x/../y?q#f", "https://a/y?q"),
            ("https:\\\\a\\b", "https://a/b"),
        ] {
            assert_eq!(WebUrl::parse(text).unwrap().as_str(), same, "{text}");
        }
        for wrong in ["", "/x", "ftp://a", "file:///etc/passwd", "https://", "data:,x", "https://a:99999/"] {
            assert_eq!(WebUrl::parse(wrong), Err(NoWebUrl::Malformed), "{wrong}");
        }
        for secret in ["https://u@a/", "https://u:p@a/", "https://granted.example.com@evil.example.com/"] {
            assert_eq!(WebUrl::parse(secret), Err(NoWebUrl::Credentials), "{secret}");
        }
    }

    #[test]
    fn a_link_is_followed_from_where_it_was_found() {
        let url = WebUrl::parse("https://a/b/c?d").unwrap();
        for (link, same) in
            [("e", "https://a/b/e"), ("/e", "https://a/e"), ("?e", "https://a/b/c?e"), ("//e/", "https://e/")]
        {
            assert_eq!(url.join(link).unwrap().as_str(), same, "{link}");
        }
        assert_eq!(url.join("javascript:alert(1)"), Err(NoWebUrl::Malformed));
    }
}
