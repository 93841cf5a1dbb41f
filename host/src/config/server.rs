//! `config/tidegate.yaml`, key by key.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{ApiKeys, Auth, Broker, BrokerPrefix, BusSource, Limits, Name, Origin, PostgresUrl, Rollback, Secret};
use crate::telemetry::LogFormat;

/// The server's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Tidegate server configuration")]
pub struct Config {
    /// The address and port clients connect to. Default `127.0.0.1:3000`; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The directory of the channel manifests. Default `../channels`, relative to this file as every path here.
    pub channels: PathBuf,
    /// The directory of the plugins, one directory each. Default `../plugins`.
    pub plugins: PathBuf,
    /// Where compiled plugins are kept, a directory of the server's user alone. Default: `$CACHE_DIRECTORY`,
    /// `$XDG_CACHE_HOME/tidegate` or `~/.cache/tidegate`, the first there is; without any, every start compiles.
    pub plugin_cache: Option<PathBuf>,
    /// Where it stands which versions of plugins are not let in again, a file. Default `../tidegate.quarantine.json`.
    pub plugin_quarantine: PathBuf,
    /// The bridge table. Default `bridge.yaml`; without the file nothing crosses.
    pub bridge: PathBuf,
    /// Who may connect.
    pub auth: Auth,
    /// The keys of backends and operators, for the HTTP endpoints.
    pub api_keys: ApiKeys,
    /// Origins on private networks that plugins may reach when they are granted them: `http://10.0.0.7:8080`. Every
    /// other private, loopback or link-local address is never connected to. Default: none.
    pub private_origins: Vec<Origin>,
    /// Where the keys of plugins live, and the tables that their queries ask: `sqlite:PATH`; a PostgreSQL database that
    /// nodes share, `postgres://user:password@host/database?sslmode=verify-full`; or `sqlite::memory:`, which is gone with
    /// the process. Default `sqlite:../tidegate.db`; the file is made when the first plugin that is granted a bucket or a
    /// query loads.
    #[schemars(with = "String")]
    pub store: StorePlace,
    /// How publications reach other nodes: `memory` is one node, `redis://[user:password@]host[:port][/database]` and
    /// `rediss://…` are as many as name the same. Default `memory`.
    pub broker: Broker,
    /// The name of this node among others, the same after a restart: what was read for it is kept by this name. Default:
    /// the name of the machine.
    pub node: Option<Name>,
    /// What every key and channel of the broker in Redis begins with: installations that share a Redis have one each.
    /// Default `tidegate`.
    pub broker_prefix: BrokerPrefix,
    /// Where bus events come from besides the in-process bus, which is always there. Default: nowhere.
    pub bus: Vec<BusSource>,
    /// When a new version of a plugin is taken back.
    pub rollback: Rollback,
    /// The bounds of the server.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            channels: "../channels".into(),
            plugins: "../plugins".into(),
            plugin_cache: None,
            plugin_quarantine: "../tidegate.quarantine.json".into(),
            bridge: "bridge.yaml".into(),
            auth: Auth::default(),
            api_keys: ApiKeys::default(),
            private_origins: Vec::new(),
            store: StorePlace::default(),
            broker: Broker::default(),
            node: None,
            broker_prefix: BrokerPrefix::default(),
            bus: Vec::new(),
            rollback: Rollback::default(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!("expected an IP address and a port like `127.0.0.1:3000`, found `{text}`"))
    })
}

/// Where what survives a restart lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A SQLite database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which nodes may share.
    Postgres(PostgresUrl),
    /// In memory: nothing survives.
    Memory,
}

impl Default for StorePlace {
    fn default() -> Self {
        Self::Sqlite("../tidegate.db".into())
    }
}

impl<'de> Deserialize<'de> for StorePlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What it is not may hold a password.
        let text = Secret::deserialize(deserializer)?;
        if text.expose().starts_with("postgres") {
            return text.expose().parse().map(Self::Postgres).map_err(serde::de::Error::custom);
        }
        match text.expose().strip_prefix("sqlite:") {
            Some(":memory:") => Ok(Self::Memory),
            // What follows `?` or `//` means something elsewhere; here it would be a file of a strange name.
            Some(path) if !path.is_empty() && !path.starts_with("//") && !path.contains('?') => {
                Ok(Self::Sqlite(path.into()))
            }
            _ => Err(serde::de::Error::custom(
                "expected `sqlite:PATH`, `sqlite::memory:` or `postgres://USER:PASSWORD@HOST/DATABASE`",
            )),
        }
    }
}

/// The `log:` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level (`info`), or levels by module (`info,tidegate::flow=debug`). Default `info`; `RUST_LOG` goes first.
    pub filter: String,
    /// What a line looks like. Default `auto`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::default() }
    }
}

/// The JSON Schema of `config/tidegate.yaml`, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    super::editor_schema::<Config>()
}
