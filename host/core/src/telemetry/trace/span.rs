//! A span: begun, worked in, and recorded when it is dropped.

use std::borrow::Cow;
use std::pin::pin;
use std::time::SystemTime;

use super::super::metrics::Gate;
use super::recorder::{FinishedSpan, begin_trace, finish, is_recording, span_id};
use crate::protocol::TraceContext;

tokio::task_local! {
    /// The place in a trace at which this task works.
    static CURRENT: TraceContext;
}

/// The part of a span in what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside of the server.
    Internal,
    /// It answers a request from outside.
    Server,
    /// It asks another server.
    Client,
    /// It hands something to others, who take it later.
    Producer,
    /// It takes what was handed over earlier.
    Consumer,
}

/// What is known about a span. Never a token and never a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<usize> for Attribute {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Work that belongs to a trace, or to none. Dropping it ends it.
#[derive(Debug)]
pub struct Span {
    /// Where what happens in it belongs; `None`: to no trace.
    context: Option<TraceContext>,
    /// `None`: it is not recorded.
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    name: Cow<'static, str>,
    kind: SpanKind,
    parent: Option<u64>,
    began: SystemTime,
    attributes: Vec<(&'static str, Attribute)>,
    error: Option<&'static str>,
}

/// The place in a trace at which the present task works.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Works at a place in a trace. A task that is spawned inside does not inherit it: give it [`current_trace`].
pub async fn with_trace<F: Future>(trace: Option<TraceContext>, work: F) -> F::Output {
    match trace {
        Some(trace) => CURRENT.scope(trace, pin!(work)).await,
        None => work.await,
    }
}

impl Span {
    /// A span of the trace of `parent`. Without a parent a trace begins here, if spans are recorded.
    #[must_use]
    pub fn begin(name: &'static str, kind: SpanKind, parent: Option<TraceContext>) -> Self {
        match parent {
            Some(parent) => Self::within(name, kind, parent),
            None if is_recording() => {
                let Some(context) = begin_trace() else { return Self::none() };
                let open = context.is_sampled().then(|| Open::now(name, kind, None));
                Self { context: Some(context), open }
            }
            None => Self::none(),
        }
    }

    /// A span of the trace that the present task works for; of none, if there is none.
    #[must_use]
    pub fn inside(name: &'static str, kind: SpanKind) -> Self {
        current_trace().map_or_else(Self::none, |parent| Self::within(name, kind, parent))
    }

    /// A span of a trace, recorded if its trace is.
    #[must_use]
    pub fn within(name: &'static str, kind: SpanKind, parent: TraceContext) -> Self {
        if !parent.is_sampled() || !is_recording() {
            return Self { context: Some(parent), open: None };
        }
        let open = Some(Open::now(name, kind, Some(parent.span_id)));
        Self { context: Some(parent.at(span_id())), open }
    }

    /// Work that belongs to no trace.
    #[must_use]
    pub const fn none() -> Self {
        Self { context: None, open: None }
    }

    /// Where what happens in it belongs.
    #[must_use]
    pub const fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Works inside of this span.
    pub async fn around<F: Future>(&self, work: F) -> F::Output {
        with_trace(self.context.clone(), work).await
    }

    /// Adds what is known; `describe` is only asked if the span is recorded.
    pub fn describe<const N: usize>(&mut self, describe: impl FnOnce() -> [(&'static str, Attribute); N]) {
        if let Some(open) = &mut self.open {
            open.attributes.extend(describe());
        }
    }

    /// Gives it a name that is made only now.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(open) = &mut self.open {
            open.name = name().into();
        }
    }

    /// What was done went wrong; a code or the kind of a fault says how.
    pub fn fail(&mut self, error: &'static str) {
        if let Some(open) = &mut self.open {
            open.error = Some(error);
        }
    }
}

impl Gate {
    /// The name of its spans.
    #[must_use]
    pub const fn span(self) -> &'static str {
        match self {
            Self::Connect => "gate 1 connect",
            Self::Subscribe => "gate 2 subscribe",
            Self::Inbound => "gate 3 inbound",
            Self::Broadcast => "gate 4 broadcast",
        }
    }
}

impl Open {
    fn now(name: &'static str, kind: SpanKind, parent: Option<u64>) -> Box<Self> {
        let (attributes, began) = (Vec::new(), SystemTime::now());
        Box::new(Self { name: name.into(), kind, parent, began, attributes, error: None })
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let (Some(open), Some(context)) = (self.open.take(), self.context.take()) else { return };
        let Open { name, kind, parent, began, attributes, error } = *open;
        let ended = SystemTime::now().max(began);
        finish(FinishedSpan { name, kind, context, parent, began, ended, attributes, error });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RecordedSpans, record_spans};
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// A process has one recorder.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// The spans of one trace: other tests of the process may work meanwhile.
    async fn of(trace_id: u128, mut spans: RecordedSpans) -> Vec<FinishedSpan> {
        spans.close();
        let mut taken = Vec::new();
        while spans.take(&mut taken, usize::MAX).await > 0 {}
        taken.retain(|span| span.context.trace_id == trace_id);
        taken
    }

    fn parent() -> TraceContext {
        TraceContext::parse(PARENT).unwrap()
    }

    #[tokio::test]
    async fn a_span_is_a_part_of_the_one_that_its_task_works_in() {
        let _one = ONE_AT_A_TIME.lock().await;
        let spans = record_spans(0.0, 10_000);
        let mut outer = Span::begin("outer", SpanKind::Server, Some(parent()));
        outer.describe(|| [("n", 7_usize.into())]);
        let work = async {
            let mut inner = Span::inside("inner", SpanKind::Internal);
            inner.rename(|| "renamed".to_owned());
            inner.fail("forbidden");
        };
        outer.around(work).await;
        drop(outer);
        let taken = of(parent().trace_id, spans).await;
        let [inner, outer] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!(outer.parent, Some(parent().span_id));
        assert_eq!(inner.parent, Some(outer.context.span_id));
        assert_eq!((inner.name.as_ref(), inner.error), ("renamed", Some("forbidden")));
        assert_eq!(outer.attributes, [("n", Attribute::Number(7))]);
        assert!(outer.ended >= outer.began);
    }

    #[tokio::test]
    async fn a_trace_that_its_caller_does_not_record_is_passed_on_as_it_came() {
        let _one = ONE_AT_A_TIME.lock().await;
        let unsampled = TraceContext::parse(&PARENT.replace("4bf9", "5bf9").replace("-01", "-00")).unwrap();
        let spans = record_spans(1.0, 10_000);
        let span = Span::begin("outer", SpanKind::Server, Some(unsampled.clone()));
        assert_eq!(span.around(async { current_trace() }).await, Some(unsampled.clone()));
        drop(span);
        assert!(of(unsampled.trace_id, spans).await.is_empty());
    }

    #[tokio::test]
    async fn while_nobody_takes_spans_a_trace_is_passed_on_and_none_begins() {
        let _one = ONE_AT_A_TIME.lock().await;
        let span = Span::begin("outer", SpanKind::Server, Some(parent()));
        assert_eq!(span.around(async { current_trace() }).await, Some(parent()));
        let span = Span::begin("outer", SpanKind::Server, None);
        assert_eq!(span.around(async { current_trace() }).await, None);
    }

    #[tokio::test]
    async fn a_share_of_the_traces_that_begin_here_is_recorded_and_what_is_inside_keeps_to_it() {
        let _one = ONE_AT_A_TIME.lock().await;
        for (sample, least, most) in [(0.0, 0, 0), (0.5, 300, 700), (1.0, 1000, 1000)] {
            let spans = record_spans(sample, 10_000);
            let mut recorded = 0;
            for _ in 0..1000 {
                let outer = Span::begin("outer", SpanKind::Consumer, None);
                let context = outer.context().cloned().unwrap();
                let inner = outer.around(async { Span::begin("inner", SpanKind::Internal, current_trace()) }).await;
                let inner = inner.context().cloned().unwrap();
                assert_eq!((inner.trace_id, inner.is_sampled()), (context.trace_id, context.is_sampled()));
                recorded += usize::from(context.is_sampled());
            }
            assert!((least..=most).contains(&recorded), "{recorded} of 1000 with {sample}");
            drop(spans);
        }
    }

    #[tokio::test]
    async fn a_span_beyond_those_that_may_wait_is_dropped_and_counted() {
        let _one = ONE_AT_A_TIME.lock().await;
        let spans = record_spans(0.0, 1);
        let trace = TraceContext::parse(&PARENT.replace("4bf9", "6bf9")).unwrap();
        for _ in 0..3 {
            drop(Span::begin("outer", SpanKind::Server, Some(trace.clone())));
        }
        assert!(of(trace.trace_id, spans).await.len() <= 1);
        assert!(crate::telemetry::render().contains(r#"tidegate_spans_total{outcome="dropped"}"#));
    }
}
