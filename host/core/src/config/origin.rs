//! An origin as operators write it: scheme, host and port, and nothing after them. With the other addresses in this
//! folder, the only home of `url`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use url::Url;

/// Scheme, host and port of an HTTP server: `https://api.example.com`, `http://127.0.0.1:8080`. Two origins are equal
/// when a browser treats them as the same origin (RFC 6454).
///
/// ```
/// use tidegate_core::config::Origin;
///
/// let origin: Origin = "https://API.example.com:443".parse().unwrap();
/// assert_eq!(origin.to_string(), "https://api.example.com");
/// assert!("https://api.example.com/v1".parse::<Origin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(String);

/// The text is not a valid origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin like `https://api.example.com` or `http://127.0.0.1:8080`, found `{0}`")]
pub struct NoOrigin(String);

impl Origin {
    /// The origin of a URL; `None` if its scheme is neither `http` nor `https`.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        let is_web = matches!(url.scheme(), "http" | "https") && url.host().is_some();
        is_web.then(|| Self(url.origin().ascii_serialization()))
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let mistake = || NoOrigin(text.to_owned());
        let url = Url::parse(text).map_err(|_| mistake())?;
        let (_, rest) = text.split_once("://").ok_or_else(mistake)?;
        let bare = !rest.contains(['/', '?', '#', '@', '\\', '*']) && !rest.contains(char::is_whitespace);
        // `${HOME}` that nothing was put in for is a host to the letter of the URL standard, and to nobody else.
        let is_host = |domain: &str| domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let named = url.domain().is_none_or(is_host);
        if bare && named { Self::of(&url).ok_or_else(mistake) } else { Err(mistake()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Origin {
    fn schema_name() -> Cow<'static, str> {
        "Origin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https?://[^/?#@\\\\*\\s]+$",
            "description": "Scheme, host and optional port: `https://api.example.com`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        for (text, same) in [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.example.com:443", "https://api.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://0x7f.1", "http://127.0.0.1"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), same, "{text}");
        }
        for wrong in [
            "",
            "api.example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://u:p@a",
            "https://*.example.com",
            "https:a",
            "ftp://a",
            "https://a b",
            "https://${HOME}",
            "https:///root",
            "https://a,b",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
