//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod decode;
mod limits;
mod node;
mod source;
mod units;
mod yaml;

pub use decode::{decode, nearest_name, unknown_key};
pub use limits::Limits;
pub use node::{Entry, Node, Shape};
pub use source::{Diagnostic, Place, SourceFile};
pub use units::{ByteSize, HumanDuration};
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX, parse_yaml};
