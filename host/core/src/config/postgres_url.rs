//! The address of a PostgreSQL database with its credential, as `libpq` and every driver write it. It is shown without the
//! password.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use url::Url;

use super::Secret;

const EXAMPLE: &str = "postgres://user:password@host:5432/database";
/// The possible parameters after the `?`.
const PARAMETERS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "host", "options"];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Hints for TLS errors, by a part of the error's message.
const WAYS_OUT: [(&str, &str); 6] = [
    ("UnknownIssuer", NAME_THE_AUTHORITY),
    ("no root trust anchors", NAME_THE_AUTHORITY),
    (
        "not valid for name",
        "connect with a host name that the certificate contains, or do not check the name: `sslmode=verify-ca`",
    ),
    (
        "CaUsedAsEndEntity",
        "this is the certificate of an authority: let the authority sign one for the server, or create it with `basicConstraints=CA:FALSE`",
    ),
    ("Expired", "create a new certificate for the server"),
    ("does not support TLS", "turn TLS on in the server (`ssl = on`), or remove `sslmode` from the address"),
];
const NAME_THE_AUTHORITY: &str =
    "name the authority that signed the server's certificate: add `sslrootcert=/path/ca.crt` after the `?`";
/// The hint for a certificate or key file that does not exist.
const NO_FILE: &str = "do the files of `sslrootcert`, `sslcert` and `sslkey` exist? A path without a leading `/` is relative to the directory in which the server was started";

/// `postgres://user:password@host:5432/database?sslmode=verify-full`, or `postgresql://`.
///
/// ```
/// use tidegate_core::config::PostgresUrl;
///
/// let url: PostgresUrl = "postgres://tidegate:s3cret@db.example.com/app".parse().unwrap();
/// assert_eq!(url.to_string(), "postgres://tidegate@db.example.com/app");
/// assert!("postgres://db.example.com".parse::<PostgresUrl>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: Secret,
    shown: String,
}

/// The text is not a valid address. No variant shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPostgresUrl {
    /// It cannot be parsed, or has another scheme.
    #[error("expected `{EXAMPLE}`; in a name or a password write `@ : / ? # %` as `%40 %3A %2F %3F %23 %25`")]
    Malformed,
    /// It names no server.
    #[error("names no host: expected `{EXAMPLE}`, or `postgres:///database?host=/run/postgresql` for a socket")]
    NoHost,
    /// It names no database.
    #[error("names no database: expected `{EXAMPLE}`")]
    NoDatabase,
    /// A parameter that would be ignored.
    #[error("does not support the parameter `{name}`, only {}", PARAMETERS.join(", "))]
    Parameter {
        /// Its name.
        name: String,
    },
    /// An unknown mode.
    #[error("does not support this `sslmode`, only {}", SSL_MODES.join(", "))]
    SslMode,
}

impl PostgresUrl {
    /// To be run on every connection; `$1` is whether only for the transaction. It removes the server's own schema from
    /// the search path of unqualified names. A role called `tidegate` has that schema first, so the company's
    /// `sessions` would be the server's table.
    pub const PASSES_OWN_SCHEMA: &str = "SELECT set_config('search_path', coalesce(string_agg(part, ',' ORDER BY place), ''), $1) \
         FROM unnest(string_to_array(current_setting('search_path'), ',')) WITH ORDINALITY AS path (part, place) \
         WHERE replace(btrim(part, ' \"'), '$user', current_user) <> 'tidegate'";

    /// Why a connection was not possible, with a hint if one is known: the messages of TLS name neither keys nor files.
    #[must_use]
    pub fn explained(&self, cause: &str) -> String {
        let way_out = WAYS_OUT.iter().find(|(part, _)| cause.contains(part)).map(|(_, way_out)| *way_out);
        let names_files = || ["sslrootcert=", "sslcert=", "sslkey="].iter().any(|name| self.expose().contains(name));
        let way_out = way_out.or_else(|| (cause.contains("os error 2)") && names_files()).then_some(NO_FILE));
        way_out.map_or_else(|| cause.to_owned(), |way_out| format!("{cause}; hint: {way_out}"))
    }

    /// The address with the password, for the only place that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl std::str::FromStr for PostgresUrl {
    type Err = NoPostgresUrl;

    fn from_str(text: &str) -> Result<Self, NoPostgresUrl> {
        let (scheme, _) = text.split_once("://").ok_or(NoPostgresUrl::Malformed)?;
        let mut url = Url::parse(text).map_err(|_| NoPostgresUrl::Malformed)?;
        if !matches!(scheme, "postgres" | "postgresql") || url.fragment().is_some() {
            return Err(NoPostgresUrl::Malformed);
        }
        let mut has_host = url.host_str().is_some_and(|host| !host.is_empty());
        for (name, value) in url.query_pairs() {
            if !PARAMETERS.contains(&&*name) {
                return Err(NoPostgresUrl::Parameter { name: name.into_owned() });
            }
            if name == "sslmode" && !SSL_MODES.contains(&&*value) {
                return Err(NoPostgresUrl::SslMode);
            }
            has_host |= name == "host" && !value.is_empty();
        }
        if !has_host {
            return Err(NoPostgresUrl::NoHost);
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(NoPostgresUrl::NoDatabase);
        }
        // An address without a host has none.
        let _ = url.set_password(None);
        Ok(Self { text: text.to_owned().into(), shown: url.to_string() })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl<'de> Deserialize<'de> for PostgresUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer)?.expose().parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for PostgresUrl {
    fn schema_name() -> Cow<'static, str> {
        "PostgresUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": format!("`{EXAMPLE}?sslmode=verify-full`; `${{NAME}}` is replaced by the environment variable.") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://u:p%40ss@db:5433/app?sslmode=require", "postgres://u@db:5433/app?sslmode=require"),
            ("postgresql://u@db/app", "postgresql://u@db/app"),
            ("postgres://db/app", "postgres://db/app"),
            ("postgres://u:secret@[::1]/app", "postgres://u@[::1]/app"),
            ("postgres:///app?host=/run/postgresql", "postgres:///app?host=/run/postgresql"),
        ] {
            let url: PostgresUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (shown, shown), "{text}");
            assert_eq!(url.expose(), text);
        }
    }

    #[test]
    fn an_address_that_leads_nowhere_is_refused_with_the_reason_and_is_not_shown() {
        for (text, reason) in [
            ("mysql://u:hunter2@db/app", NoPostgresUrl::Malformed),
            ("postgres:u:hunter2@db/app", NoPostgresUrl::Malformed),
            ("postgres://u:hunter2#@db/app", NoPostgresUrl::Malformed),
            ("postgres://u:hunter2@db:port/app", NoPostgresUrl::Malformed),
            ("postgres:///app", NoPostgresUrl::NoHost),
            ("postgres://u:hunter2@db", NoPostgresUrl::NoDatabase),
            ("postgres://u:hunter2@db/", NoPostgresUrl::NoDatabase),
            ("postgres://u:hunter2@db/app?sslmod=require", NoPostgresUrl::Parameter { name: "sslmod".to_owned() }),
            ("postgres://u@db/app?password=hunter2", NoPostgresUrl::Parameter { name: "password".to_owned() }),
            ("postgres://u:hunter2@db/app?sslmode=on", NoPostgresUrl::SslMode),
        ] {
            let told = text.parse::<PostgresUrl>().unwrap_err();
            assert_eq!(told, reason, "{text}");
            assert!(!told.to_string().contains("hunter2"), "{told}");
        }
    }
}
