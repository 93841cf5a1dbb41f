//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod api_key;
mod decode;
mod limits;
mod node;
mod secret;
mod server;
mod source;
mod units;
mod yaml;

pub use api_key::{ApiKey, ApiKeys, Permission};
pub use decode::{decode, nearest_name, unknown_key};
pub use limits::Limits;
pub use node::{Entry, Node, Shape};
pub use secret::Secret;
pub use server::{Anonymous, Auth, Broker, BusSource, Config, JwtAlgorithm, JwtProvider, Log, Provider, Store, schema};
pub use source::{Diagnostic, Place, SourceFile};
pub use units::{ByteSize, HumanDuration};
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, parse_yaml};
