//! Spans in the messages of the protocol.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::messages::{About, attribute, text, unix_nano};
use tidegate_core::telemetry::{Attribute, FinishedSpan, SpanKind};

/// The body of a request with these spans.
pub(super) fn request(about: &About, spans: &[FinishedSpan]) -> Vec<u8> {
    let spans = spans.iter().map(message).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(about.scope.clone()), spans, ..ScopeSpans::default() }];
    let resource = Some(about.resource.clone());
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn message(span: &FinishedSpan) -> Span {
    let FinishedSpan { name, kind, context, parent, began, ended, attributes, error } = span;
    let mut attributes: Vec<_> = attributes
        .iter()
        .map(|(key, value)| match value {
            Attribute::Text(value) => text(key, value),
            Attribute::Number(value) => attribute(key, Value::IntValue(*value)),
        })
        .collect();
    let failed = |error: &&str| Status { message: (*error).to_owned(), code: StatusCode::Error.into() };
    attributes.extend(error.map(|error| text("error.type", error)));
    Span {
        trace_id: context.trace_id.to_be_bytes().to_vec(),
        span_id: context.span_id.to_be_bytes().to_vec(),
        trace_state: context.state().unwrap_or_default().to_owned(),
        parent_span_id: parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: context.flags().into(),
        name: name.clone().into_owned(),
        kind: kind_of(*kind).into(),
        start_time_unix_nano: unix_nano(*began),
        end_time_unix_nano: unix_nano(*ended),
        attributes,
        status: error.as_ref().map(failed),
        ..Span::default()
    }
}

const fn kind_of(kind: SpanKind) -> Kind {
    match kind {
        SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
    }
}
