//! The address of a Redis server as operators write it. The password is never shown.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use url::Url;

use super::Secret;

/// The default port of Redis.
const PORT: u16 = 6379;

/// `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS. Shown without user and password.
///
/// ```
/// use tidegate_core::config::RedisUrl;
///
/// let url = RedisUrl::parse("rediss://tidegate:hunter2@redis.example.com/3").unwrap();
/// assert_eq!(url.to_string(), "rediss://redis.example.com:6379/3");
/// assert_eq!(format!("{url:?}"), "rediss://redis.example.com:6379/3");
/// assert!(RedisUrl::parse("redis://").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    whole: Secret,
    shown: String,
    database: i64,
}

/// The text is not a valid URL of Redis. It may contain a password, so it is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS")]
pub struct NoRedisUrl;

impl RedisUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`NoRedisUrl`], which says what one looks like.
    pub fn parse(text: &str) -> Result<Self, NoRedisUrl> {
        let url = Url::parse(text).map_err(|_| NoRedisUrl)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NoRedisUrl)?;
        let is_known = matches!(url.scheme(), "redis" | "rediss");
        if !is_known || url.query().is_some() || url.fragment().is_some() {
            return Err(NoRedisUrl);
        }
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse::<u16>().map_err(|_| NoRedisUrl)?.into(),
        };
        let shown = format!("{}://{host}:{}/{database}", url.scheme(), url.port().unwrap_or(PORT));
        Ok(Self { whole: Secret::from(text.to_owned()), shown, database })
    }

    /// The whole URL with the password, for the only place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose()
    }

    /// The number of the database.
    #[must_use]
    pub const fn database(&self) -> i64 {
        self.database
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for RedisUrl {
    fn schema_name() -> Cow<'static, str> {
        "RedisUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let about =
            "The URL of a Redis server, `rediss://` for TLS; `${NAME}` is replaced by the environment variable.";
        json_schema!({ "type": "string", "description": about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connects_is_whole_and_what_is_shown_has_no_password() {
        for (text, shown) in [
            ("redis://h", "redis://h:6379/0"),
            ("redis://:hunter2@h:7000/2", "redis://h:7000/2"),
            ("rediss://u:hunter2@[::1]:7000", "rediss://[::1]:7000/0"),
        ] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!((url.expose(), url.to_string().as_str()), (text, shown));
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_redis_is_refused_and_not_shown() {
        for text in [
            "",
            "memory",
            "redis://",
            "http://h",
            "redis://h/x",
            "redis://h/99999",
            "redis://:hunter2@h/0?a=b",
            "redis://h#x",
        ] {
            assert_eq!(RedisUrl::parse(text), Err(NoRedisUrl), "{text}");
        }
        let told = serde_json::from_str::<RedisUrl>(r#""http://:hunter2@h""#).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
