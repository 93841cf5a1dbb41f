//! Server configuration: defaults → file → environment → flags; and how every YAML file is read.

mod limits;
mod source;

pub use limits::Limits;
pub use source::{Diagnostic, Place, SourceFile};
