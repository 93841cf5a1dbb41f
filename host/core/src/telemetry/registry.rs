//! Stores and renders metrics. The only home of the `metrics` crates.
//!
//! The recorder belongs to this module and is not the process-wide one of the `metrics` crate: nothing has to be
//! installed, and a test sees the same as the server.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::metric::{Kind, Metric};
use super::names::{MEMORY, METRICS};

/// Upper bounds in seconds: from a gate without a plugin (microseconds) to a reload that compiles several plugins.
const BUCKETS_SECONDS: [f64; 17] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.5, 2.5, 10.0,
];

/// How often recorded times are folded into their buckets. Between two folds they take 8 bytes each.
const FOLD_EVERY: Duration = Duration::from_secs(1);

const METADATA: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);

static RECORDER: LazyLock<PrometheusRecorder> = LazyLock::new(recorder);

thread_local! {
    /// Handles of the metrics on the hot path, by the only label that is not constant. A look-up takes no lock and
    /// allocates nothing. It never shrinks: neither does the registry behind it, and both are bounded by what was ever
    /// declared.
    static HOT: RefCell<HashMap<Box<str>, Slots>> = RefCell::default();
    /// What this thread does is not counted.
    static IS_APART: Cell<bool> = const { Cell::new(false) };
}

/// From now on nothing is counted that this thread does: it serves somebody else than the application's clients.
pub fn count_nothing_here() {
    IS_APART.set(true);
}

/// Whether what this thread does is not counted.
pub(super) fn is_apart() -> bool {
    IS_APART.get()
}

type Slots = Vec<(Slot, Handles)>;

/// The constant part of a hot metric's labels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) counter: &'static str,
    pub(super) what: &'static str,
    pub(super) outcome: &'static str,
}

/// A counter and, if the metric is timed, its histogram.
pub(super) struct Handles {
    pub(super) counter: Counter,
    pub(super) seconds: Histogram,
}

/// Everything recorded so far in the Prometheus text format, version 0.0.4.
#[must_use]
pub fn render() -> String {
    RECORDER.handle().render()
}

pub(super) fn counter(metric: Metric, labels: &[(&'static str, &str)]) -> Counter {
    if is_apart() {
        return Counter::noop();
    }
    RECORDER.register_counter(&key(metric, labels), &METADATA)
}

pub(super) fn gauge(metric: Metric, labels: &[(&'static str, &str)]) -> Gauge {
    if is_apart() {
        return Gauge::noop();
    }
    RECORDER.register_gauge(&key(metric, labels), &METADATA)
}

pub(super) fn seconds(metric: Metric, labels: &[(&'static str, &str)]) -> Histogram {
    if is_apart() {
        return Histogram::noop();
    }
    RECORDER.register_histogram(&key(metric, labels), &METADATA)
}

/// Uses a hot metric's handles, which `make` creates when this thread meets the labels for the first time.
pub(super) fn hot(label: &str, slot: Slot, make: impl FnOnce() -> Handles, record: impl FnOnce(&Handles)) {
    HOT.with_borrow_mut(|hot| {
        let known = hot.get(label).and_then(|slots| slots.iter().find(|(known, _)| *known == slot));
        if let Some((_, handles)) = known {
            return record(handles);
        }
        let handles = make();
        record(&handles);
        hot.entry(label.into()).or_default().push((slot, handles));
    });
}

fn key(metric: Metric, labels: &[(&'static str, &str)]) -> Key {
    let labels = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    // The only error is an empty list of buckets.
    let builder = builder.set_buckets(&BUCKETS_SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    for metric in METRICS {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Seconds => recorder.describe_histogram(name, Some(Unit::Seconds), help),
        }
    }
    keep_folding(recorder.handle());
    recorder
}

/// Folds on its own thread, so that it needs no runtime and no caller can forget it.
fn keep_folding(handle: PrometheusHandle) {
    let thread = std::thread::Builder::new().name("telemetry".to_owned());
    let started = thread.spawn(move || {
        loop {
            std::thread::sleep(FOLD_EVERY);
            handle.run_upkeep();
            measure_memory();
        }
    });
    if let Err(error) = started {
        // Scrapes fold, too; without them memory grows.
        tracing::error!(%error, "the thread that folds metrics does not start");
    }
}

/// Records the resident memory of the process, where the system tells it.
pub(super) fn measure_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    if let Some(kib) = resident.and_then(|kib| kib.trim().parse::<u32>().ok()) {
        gauge(MEMORY, &[]).set(f64::from(kib) * 1024.0);
    }
}
