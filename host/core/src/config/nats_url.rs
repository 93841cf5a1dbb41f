//! The addresses of NATS servers as operators write them. Passwords and tokens are never shown.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use url::Url;

use super::Secret;

/// The default port of NATS.
const PORT: u16 = 4222;

/// `nats://[user:password@]host[:port]`, or `tls://…` for TLS; a token stands in place of the user. Commas separate the
/// servers of a cluster. Shown without user, password and token.
///
/// ```
/// use tidegate_core::config::NatsUrl;
///
/// let url = NatsUrl::parse("nats://tidegate:hunter2@a.example.com,nats://tidegate:hunter2@b.example.com:4223").unwrap();
/// assert_eq!(url.to_string(), "nats://a.example.com:4222,nats://b.example.com:4223");
/// assert_eq!(format!("{url:?}"), url.to_string());
/// assert!(NatsUrl::parse("nats://").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    servers: Vec<Secret>,
    shown: String,
}

/// The text is not a valid URL of NATS. It may contain a password, so it is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `nats://[user:password@]host[:port]`, or `tls://…` for TLS, with commas between the servers of a cluster"
)]
pub struct NoNatsUrl;

impl NatsUrl {
    /// Reads a URL, or several with commas between them.
    ///
    /// # Errors
    /// [`NoNatsUrl`], which says what one looks like.
    pub fn parse(text: &str) -> Result<Self, NoNatsUrl> {
        let urls: Vec<&str> = text.split(',').map(str::trim).collect();
        let shown = urls.iter().map(|url| shown(url)).collect::<Result<Vec<_>, _>>()?.join(",");
        Ok(Self { servers: urls.into_iter().map(|url| Secret::from(url.to_owned())).collect(), shown })
    }

    /// The whole URL of each server, with its password, for the only place that connects.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(Secret::expose)
    }
}

impl NatsUrl {
    /// The user and the password, or a token in place of the user, as the first server has them.
    #[must_use]
    pub fn login(&self) -> Option<(String, Option<String>)> {
        let url = Url::parse(self.servers.first()?.expose()).ok()?;
        let user = Some(url.username()).filter(|user| !user.is_empty())?;
        Some((decoded(user), url.password().map(decoded)))
    }
}

/// A part of a URL without its percent signs.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, more @ ..] = rest {
        let code = (*first == b'%').then(|| more.get(..2)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One server, without what nobody may see.
fn shown(text: &str) -> Result<String, NoNatsUrl> {
    let url = Url::parse(text).map_err(|_| NoNatsUrl)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NoNatsUrl)?;
    let is_known = matches!(url.scheme(), "nats" | "tls");
    if !is_known || !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(NoNatsUrl);
    }
    Ok(format!("{}://{host}:{}", url.scheme(), url.port().unwrap_or(PORT)))
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl<'de> Deserialize<'de> for NatsUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for NatsUrl {
    fn schema_name() -> Cow<'static, str> {
        "NatsUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let about = "The URL of a NATS server, `tls://` for TLS, with commas between the servers of a cluster; `${NAME}` is \
                     replaced by the environment variable.";
        json_schema!({ "type": "string", "description": about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connects_is_whole_and_what_is_shown_has_no_password_and_no_token() {
        for (text, shown) in [
            ("nats://h", "nats://h:4222"),
            ("nats://hunter2@h:7000/", "nats://h:7000"),
            ("tls://u:hunter2@[::1]:7000", "tls://[::1]:7000"),
        ] {
            let url = NatsUrl::parse(text).unwrap();
            assert_eq!((url.expose().collect::<Vec<_>>(), url.to_string().as_str()), (vec![text], shown));
            assert!(!format!("{url:?}").contains("hunter2"));
        }
        let cluster = NatsUrl::parse("nats://hunter2@a, tls://b:1").unwrap();
        assert_eq!(cluster.expose().collect::<Vec<_>>(), ["nats://hunter2@a", "tls://b:1"]);
        assert_eq!(cluster.to_string(), "nats://a:4222,tls://b:1");
    }

    #[test]
    fn who_connects_is_written_in_the_url_with_percent_signs_where_it_must() {
        let login = |url: &str| NatsUrl::parse(url).unwrap().login();
        assert_eq!(login("nats://h"), None);
        assert_eq!(login("nats://token@h"), Some(("token".to_owned(), None)));
        assert_eq!(login("nats://u:p%40s%2Fs%25@h,nats://h2"), Some(("u".to_owned(), Some("p@s/s%".to_owned()))));
    }

    #[test]
    fn what_is_no_nats_is_refused_and_not_shown() {
        for text in [
            "",
            "memory",
            "nats://",
            "redis://h",
            "nats://h/x",
            "nats://h?a=b",
            "nats://h#x",
            "nats://h,",
            "nats://h,i",
        ] {
            assert_eq!(NatsUrl::parse(text), Err(NoNatsUrl), "{text}");
        }
        let told = serde_json::from_str::<NatsUrl>(r#""http://:hunter2@h""#).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
