//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod api_key;
mod auth;
mod broker;
mod bus;
mod check;
mod check_auth;
mod check_bus;
mod check_limits;
mod decode;
mod despite;
mod editors;
mod environment;
mod expectation;
mod jwt;
mod jwt_algorithm;
mod limits;
mod load;
mod mend;
mod misplaced;
mod nats_source;
mod nats_url;
mod network;
mod node;
mod nothing;
mod one_or_more;
mod origin;
mod percent;
mod places;
mod postgres_url;
mod quoting;
mod rate;
mod redact;
mod redis_url;
mod rollback;
mod secret;
mod server;
mod source;
mod strict;
mod teams;
mod telemetry;
mod transport;
mod units;
mod way_out;
mod web_url;
mod yaml;

pub use api_key::{ApiKey, ApiKeys, Permission};
pub use auth::{
    Anonymous, Auth, EVERY_COOKIE, ForwardedHeader, IntrospectProvider, PluginProvider, Provider, SessionProvider,
};
pub use broker::{Broker, BrokerPrefix};
pub use bus::{BusMode, BusSource, FieldName, FieldText, Name, PostgresSource, RedisSource, StreamFields, TableName};
pub use check::is_told;
pub use decode::{decode, nearest_name, unknown_key};
pub use despite::Failed;
pub use editors::editor_schema;
pub use jwt::{JwksPlace, JwtProvider, PublicKeyPlace};
pub use jwt_algorithm::JwtAlgorithm;
pub use limits::Limits;
pub use load::{DEFAULT_FILE, Override};
pub use nats_source::{BodyFormat, MessageFields, MessageText, NatsSource};
pub use nats_url::{NatsUrl, NoNatsUrl};
pub use network::{Network, NoNetwork};
pub use node::{Entry, Node, Shape};
pub use nothing::{OrNull, must_stay, tell_nothing};
pub use one_or_more::OneOrMore;
pub use origin::{NoOrigin, Origin};
pub use percent::Percent;
pub use postgres_url::{NoPostgresUrl, PostgresUrl};
pub use rate::Rate;
pub use redis_url::{NoRedisUrl, RedisUrl};
pub use rollback::Rollback;
pub use secret::Secret;
pub use server::{Config, Dashboard, Log, StorePlace, schema};
pub use source::{Diagnostic, Place, SourceFile};
pub use teams::{Team, TeamId, Teams};
pub use telemetry::{Share, Telemetry};
pub use transport::{Carrier, Transport};
pub use units::{ByteSize, HumanDuration};
pub(crate) use way_out::{KEY, with_hint};
pub use web_url::{NoWebUrl, WebUrl};
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, parse_yaml};

/// The variables with the secrets of the shipped configuration, which `tidegate dev` generates: the one that signs
/// JWTs, and an API key.
pub const DEV_SECRETS: [&str; 2] = ["TIDEGATE_JWT_SECRET", "TIDEGATE_API_KEY"];
