//! Traces: the spans of this server, and the place in a trace at which the present task works.
//!
//! A task that works for a trace carries a [`TraceContext`], set by [`Span::around`]. Spans are recorded while somebody
//! takes them ([`record_spans`]); then a trace may begin here, too. Otherwise a trace that came with a request or an event
//! is only passed on, and where there is none, nothing is allocated and no clock is read.

mod recorder;
mod span;

#[cfg(test)]
pub(super) use recorder::waiting;
pub use recorder::{FinishedSpan, RecordedSpans, record_spans};
pub(super) use recorder::{SPANS, SPANS_WAITING};
pub use span::{Attribute, Span, SpanKind, current_trace, with_trace};
