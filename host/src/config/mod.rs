//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod api_key;
mod limits;
mod source;

pub use api_key::{ApiKey, ApiKeys, Permission};
pub use limits::Limits;
pub use source::{Diagnostic, Place, SourceFile};
