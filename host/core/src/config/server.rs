//! `config/tidegate.yaml`, key by key.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::{
    ApiKeys, Auth, Broker, BrokerPrefix, BusSource, Limits, Name, Origin, PostgresUrl, Rollback, Secret, Teams,
    Telemetry, Transport, with_hint,
};
use crate::telemetry::LogFormat;

/// The server's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Tidegate server configuration")]
pub struct Config {
    /// The address and port that clients connect to. Default `127.0.0.1:3000`; port 0 picks a free port.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The directory of the channel manifests. Default `../channels`; like every path here it is relative to this file.
    pub channels: PathBuf,
    /// The directory of the plugins: each plugin has its own directory in it. Default `../plugins`.
    pub plugins: PathBuf,
    /// The directory for compiled plugins; only the server's user may have access to it. Default: the first of
    /// `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/tidegate` and `~/.cache/tidegate` that is set. Without a cache every start
    /// compiles again.
    pub plugin_cache: Option<PathBuf>,
    /// The file that lists the quarantined plugin versions, which the server does not load. Default
    /// `../tidegate.quarantine.json`.
    pub plugin_quarantine: PathBuf,
    /// The bridge table. Default `bridge.yaml`. Without the file no bus event reaches clients.
    pub bridge: PathBuf,
    /// Who may connect.
    pub auth: Auth,
    /// The keys with which backends and operators call the HTTP endpoints.
    pub api_keys: ApiKeys,
    /// Origins on private networks that a plugin may reach if it is granted them: `http://10.0.0.7:8080`. The server
    /// never connects to any other private, loopback or link-local address for a plugin. Default: none.
    pub private_origins: Vec<Origin>,
    /// The database for the plugins' keys and for the tables that their queries read: `sqlite:PATH`;
    /// `postgres://user:password@host/database?sslmode=verify-full`, a PostgreSQL database that nodes share; or
    /// `"sqlite::memory:"`, which is lost when the process ends and needs its quotes in YAML. Default
    /// `sqlite:../tidegate.db`. The server creates the file when it loads the first plugin with a granted bucket or query.
    #[schemars(with = "String")]
    pub store: StorePlace,
    /// How publications reach other nodes. `memory`: there is only one node.
    /// `redis://[user:password@]host[:port][/database]` or `rediss://…`, or `nats://[user:password@]host[:port]` or
    /// `tls://…` with commas between the servers of a cluster: all nodes that share it work together. Default `memory`.
    pub broker: Broker,
    /// The name of this node. It must differ from the other nodes' names and stay the same after a restart, because the
    /// node continues reading where it stopped under this name. Default: the machine's name.
    pub node: Option<Name>,
    /// The prefix of every key and channel of the broker in Redis, or the name of its stream in NATS and the prefix of
    /// every subject. Installations that share a Redis or a NATS need different prefixes. Default `tidegate`.
    pub broker_prefix: BrokerPrefix,
    /// Sources of bus events in addition to the in-process bus, which is always there. Default: none.
    pub bus: Vec<BusSource>,
    /// The shares of teams, by the name of each. Default: none; then nothing is counted by team.
    pub teams: Teams,
    /// When the server rolls a new plugin version back.
    pub rollback: Rollback,
    /// How clients of Socket.IO connect.
    pub transport: Transport,
    /// The limits of the server.
    pub limits: Limits,
    /// The operators' page at `/dashboard/`, its sessions and its live data. Default: `off` in `serve`, `on` in `dev`.
    pub dashboard: Option<Dashboard>,
    /// Where traces and metrics go.
    pub telemetry: Telemetry,
    /// What the server logs.
    pub log: Log,
}

impl Config {
    /// Whether the server has the operators' page.
    #[must_use]
    pub fn has_dashboard(&self) -> bool {
        self.dashboard == Some(Dashboard::On)
    }
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
            teams: Teams::default(),
            rollback: Rollback::default(),
            transport: Transport::default(),
            limits: Limits::default(),
            dashboard: None,
            telemetry: Telemetry::default(),
            log: Log::default(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct Address;
    impl Visitor<'_> for Address {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an IP address and a port like `127.0.0.1:3000`")
        }

        fn visit_u64<E: de::Error>(self, port: u64) -> Result<SocketAddr, E> {
            self.visit_str(&port.to_string())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            let mistake = format!("expected an IP address and a port like `127.0.0.1:3000`, found `{text}`");
            let port = text.rsplit(':').next().unwrap_or_default();
            text.parse().map_err(|_| match port.parse::<u16>() {
                Ok(port) => {
                    let way_out =
                        format!("`127.0.0.1:{port}` is for this machine alone, `0.0.0.0:{port}` for every interface");
                    with_hint(mistake, &way_out)
                }
                Err(_) => E::custom(mistake),
            })
        }
    }
    deserializer.deserialize_any(Address)
}

/// Where the server keeps the data that survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A SQLite database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, which nodes may share.
    Postgres(PostgresUrl),
    /// In memory: nothing survives a restart.
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
                "expected `sqlite:PATH`, `\"sqlite::memory:\"` or `postgres://USER:PASSWORD@HOST/DATABASE`",
            )),
        }
    }
}

/// Whether the server has the operators' page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dashboard {
    /// It has none.
    Off,
    /// It has.
    On,
}

/// The `log:` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level (`info`), or levels by module (`info,tidegate_core::flow=debug`). Default `info`; `RUST_LOG` overrides it.
    pub filter: String,
    /// The format of a log line. Default `auto`.
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
