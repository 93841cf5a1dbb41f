//! Where finished spans wait for whoever exports them: one bounded queue of the process, and the decision which traces that
//! begin here are recorded.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use metrics::{Counter, Gauge};
use tokio::sync::mpsc;

use super::super::metric::{self, Metric};
use super::super::registry;
use super::{Attribute, SpanKind};
use crate::protocol::TraceContext;

pub(in super::super) const SPANS: Metric = metric::counter(
    "tidegate_spans_total",
    "Spans of recorded traces, by outcome (exported; dropped: limits.spans waited; lost: the collector did not take them)",
);
pub(in super::super) const SPANS_WAITING: Metric =
    metric::gauge("tidegate_spans_waiting", "Spans that wait to be exported (limits.spans)");

static RECORDER: ArcSwapOption<Recorder> = ArcSwapOption::const_empty();
/// Whether there is a recorder: one read where there is none.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);
static DROPPED: LazyLock<Counter> = LazyLock::new(|| registry::counter(SPANS, &[("outcome", "dropped")]));
static WAITING: LazyLock<Gauge> = LazyLock::new(|| registry::gauge(SPANS_WAITING, &[]));

/// The bits of a trace's id that decide whether it is recorded, as in OpenTelemetry's sampler by ratio.
const RATIO_BITS: u32 = 63;

/// A span that is over.
#[derive(Debug, Clone)]
pub struct FinishedSpan {
    /// What was done; few different names.
    pub name: Cow<'static, str>,
    /// Its part in what is done.
    pub kind: SpanKind,
    /// Its trace, and its own id.
    pub context: TraceContext,
    /// The id of the span that it is a part of.
    pub parent: Option<u64>,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is known about it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// The code of what went wrong.
    pub error: Option<&'static str>,
}

struct Recorder {
    spans: mpsc::Sender<FinishedSpan>,
    /// A trace that begins here is recorded if the deciding bits of its id are below.
    below: u64,
}

/// The spans of the process. Dropping it ends the recording.
pub struct RecordedSpans {
    spans: mpsc::Receiver<FinishedSpan>,
    recorder: Arc<Recorder>,
}

/// Records spans from now on: those of every trace whose caller records it, and of a share (`sample`, 0 to 1) of the
/// traces that begin here. At most `waiting_max` wait (`limits.spans`); one more is dropped and counted.
#[must_use]
pub fn record_spans(sample: f64, waiting_max: usize) -> RecordedSpans {
    let (sender, spans) = mpsc::channel(waiting_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^63")]
    let below = (sample.clamp(0.0, 1.0) * (1_u64 << RATIO_BITS) as f64) as u64;
    let recorder = Arc::new(Recorder { spans: sender, below });
    RECORDER.store(Some(Arc::clone(&recorder)));
    IS_RECORDING.store(true, Ordering::Release);
    RecordedSpans { spans, recorder }
}

impl RecordedSpans {
    /// Takes spans behind the others of `batch`, until it has `batch_max`; waits for the first. 0: there are no more.
    pub async fn take(&mut self, batch: &mut Vec<FinishedSpan>, batch_max: usize) -> usize {
        let taken = self.spans.recv_many(batch, batch_max.saturating_sub(batch.len())).await;
        waiting(self.spans.len());
        taken
    }

    /// How many wait.
    #[must_use]
    pub fn left(&self) -> usize {
        self.spans.len()
    }

    /// Ends the recording. What waits can still be taken.
    pub fn close(&mut self) {
        self.spans.close();
        let is_own = RECORDER.load().as_ref().is_some_and(|recorder| Arc::ptr_eq(recorder, &self.recorder));
        if is_own {
            IS_RECORDING.store(false, Ordering::Release);
            RECORDER.store(None);
        }
    }
}

impl Drop for RecordedSpans {
    fn drop(&mut self) {
        self.close();
    }
}

/// Records how many spans wait.
pub(in super::super) fn waiting(spans: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a queue, not 2^52")]
    WAITING.set(spans as f64);
}

/// Whether spans are recorded.
pub(super) fn is_recording() -> bool {
    IS_RECORDING.load(Ordering::Relaxed)
}

/// A trace that begins here, with the id of its first span; `None` if nothing is recorded.
pub(super) fn begin_trace() -> Option<TraceContext> {
    let recorder = RECORDER.load();
    let recorder = recorder.as_ref()?;
    let trace_id = fastrand::u128(1..);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let deciding = (trace_id as u64) >> (u64::BITS - RATIO_BITS);
    Some(TraceContext::begin(trace_id, span_id(), deciding < recorder.below))
}

pub(super) fn span_id() -> u64 {
    fastrand::u64(1..)
}

pub(super) fn finish(span: FinishedSpan) {
    if let Some(Recorder { spans, .. }) = RECORDER.load().as_deref() {
        if spans.try_send(span).is_err() {
            DROPPED.increment(1);
        }
        waiting(spans.max_capacity() - spans.capacity());
    }
}
