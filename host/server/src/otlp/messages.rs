//! What the messages of traces and metrics share: about whom they are, and attributes.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// About whom a message is.
pub(super) struct About {
    pub(super) resource: Resource,
    pub(super) scope: InstrumentationScope,
    /// Since when metrics count, in nanoseconds since the Unix epoch.
    pub(super) since_unix_nano: u64,
}

impl About {
    pub(super) fn new(service: &str, node: &str, since: SystemTime) -> Self {
        let attributes =
            vec![text("service.name", service), text("service.version", VERSION), text("service.instance.id", node)];
        let scope = InstrumentationScope {
            name: "tidegate".to_owned(),
            version: VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        Self { resource: Resource { attributes, ..Resource::default() }, scope, since_unix_nano: unix_nano(since) }
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn unix_nano(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
