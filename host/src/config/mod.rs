//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod api_key;
mod broker;
mod check;
mod decode;
mod limits;
mod load;
mod node;
mod origin;
mod postgres_url;
mod redact;
mod redis_url;
mod rollback;
mod secret;
mod server;
mod source;
mod strict;
mod units;
mod unserved;
mod web_url;
mod yaml;

pub use api_key::{ApiKey, ApiKeys, Permission};
pub use broker::{Broker, BrokerPrefix};
pub use decode::{decode, nearest_name, unknown_key};
pub use limits::Limits;
pub use load::{DEFAULT_FILE, Override};
pub use node::{Entry, Node, Shape};
pub use origin::{NoOrigin, Origin};
pub use postgres_url::{NoPostgresUrl, PostgresUrl};
pub use redis_url::{NoRedisUrl, RedisUrl};
pub use rollback::Rollback;
pub use secret::Secret;
pub use server::{
    Anonymous, Auth, BusSource, Config, JwtAlgorithm, JwtProvider, Log, PluginProvider, Provider, StorePlace, schema,
};
pub use source::{Diagnostic, Place, SourceFile};
pub use units::{ByteSize, HumanDuration};
pub use web_url::{NoWebUrl, WebUrl};
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, parse_yaml};

/// The variables whose secrets the shipped configuration takes from the environment, and `tidegate dev` makes up:
/// the one JWTs are signed with, and an API key.
pub const DEV_SECRETS: [&str; 2] = ["TIDEGATE_JWT_SECRET", "TIDEGATE_API_KEY"];
