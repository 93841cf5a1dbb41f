//! JSON Schemas, compiled. The only home of `jsonschema`.

use serde::Serialize;
use serde_json::Value;

/// SKELETON: A compiled JSON Schema.
#[derive(Debug)]
pub struct Schema(());

/// One way a payload fails its schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where, a JSON Pointer into the payload; empty for the payload itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Schema {
    /// Judges a payload.
    ///
    /// # Errors
    /// The first violations, at most 10, in document order.
    pub fn check(&self, _value: &Value) -> Result<(), Vec<Violation>> {
        unimplemented!()
    }
}
