//! Traces and metrics to a collector: OTLP over HTTP, in protobuf. The only home of OpenTelemetry's crates.
//!
//! Nobody waits for the collector. While it is away, spans wait in a bounded queue (`limits.spans`), and what has no room is
//! dropped and counted; metrics are cumulative, so that the next request makes up for those that were not sent.

mod messages;
mod metric_messages;
mod sender;
mod span_messages;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use messages::About;
use sender::{Answer, Sender};
use tidegate_core::config::{Limits, Telemetry};
use tidegate_core::flow::http_client::HttpClient;
use tidegate_core::telemetry::{FinishedSpan, RecordedSpans, Signal, gathered, record_spans, spans_over};

/// Most spans of one request, if no fewer may wait.
const BATCH_MAX: usize = 1024;
/// How long the same spans are sent again, and the longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the end of the server waits for the collector.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Sends traces and metrics to a collector.
pub struct Exporter {
    sender: Arc<Sender>,
    about: Arc<About>,
    sample: f64,
    spans_max: usize,
    /// Most spans of one request; beside it as many wait as may.
    batch_max: usize,
    spans_every: Duration,
    metrics_every: Duration,
}

impl Exporter {
    /// The exporter of a configuration; `None` if it names no collector. `node` tells this server from others of the same
    /// service.
    #[must_use]
    pub fn new(config: &Telemetry, limits: &Limits, node: &str, http: Arc<dyn HttpClient>) -> Option<Self> {
        let base = config.otlp.as_ref()?;
        Some(Self {
            sender: Arc::new(Sender::new(http, base, &config.headers, config.timeout.get())),
            about: Arc::new(About::new(&config.service, node, SystemTime::now())),
            sample: config.sample.get(),
            spans_max: limits.spans_max,
            batch_max: BATCH_MAX.min(limits.spans_max).max(1),
            spans_every: config.spans_every.get(),
            metrics_every: config.metrics_every.get(),
        })
    }

    /// Records spans, and sends them and the metrics until `shutdown`; then it sends what is left, for a limited time.
    #[must_use]
    pub fn spawn(self, shutdown: CancellationToken) -> JoinHandle<()> {
        let spans = record_spans(self.sample, self.spans_max);
        tokio::spawn(async move {
            tokio::join!(self.export_spans(spans, &shutdown), self.export_metrics(&shutdown));
        })
    }

    async fn export_spans(&self, mut spans: RecordedSpans, shutdown: &CancellationToken) {
        let mut batch = Vec::with_capacity(self.batch_max);
        let exported = async {
            loop {
                self.gather(&mut spans, &mut batch).await;
                self.send_spans(&mut batch).await;
            }
        };
        let _: Option<()> = shutdown.run_until_cancelled(exported).await;
        spans.close();
        let flushed = async {
            loop {
                if !batch.is_empty() && self.try_send_spans(&mut batch).await.is_some() {
                    return;
                }
                if spans.take(&mut batch, self.batch_max).await == 0 && batch.is_empty() {
                    return;
                }
            }
        };
        let _ = timeout(FLUSH_MAX, flushed).await;
        spans_over("lost", batch.len() + spans.left());
    }

    /// Waits for a first span, and then a while for others.
    async fn gather(&self, spans: &mut RecordedSpans, batch: &mut Vec<FinishedSpan>) {
        if batch.is_empty() {
            spans.take(batch, self.batch_max).await;
        }
        let until = Instant::now() + self.spans_every;
        while batch.len() < self.batch_max && timeout_at(until, spans.take(batch, self.batch_max)).await.is_ok() {}
    }

    /// Sends the same spans until the collector takes or rejects them, or it was away for too long.
    async fn send_spans(&self, batch: &mut Vec<FinishedSpan>) {
        let until = Instant::now() + RETRY_MAX;
        let mut pause = PAUSE_MIN;
        while let Some(asked) = self.try_send_spans(batch).await {
            let next = Instant::now() + asked.unwrap_or(pause).clamp(PAUSE_MIN, PAUSE_MAX);
            if next > until {
                spans_over("lost", batch.len());
                batch.clear();
                return;
            }
            tokio::time::sleep_until(next).await;
            pause *= 2;
        }
    }

    /// Empties the batch, unless the collector is away: then `Some`, with the pause that it asks for.
    async fn try_send_spans(&self, batch: &mut Vec<FinishedSpan>) -> Option<Option<Duration>> {
        let rejected = match self.sender.send(Signal::Traces, span_messages::request(&self.about, batch)).await {
            Answer::Taken { rejected } => batch.len().min(rejected),
            Answer::Rejected => batch.len(),
            Answer::Away { again_in } => return Some(again_in),
        };
        spans_over("exported", batch.len() - rejected);
        spans_over("lost", rejected);
        batch.clear();
        None
    }

    async fn export_metrics(&self, shutdown: &CancellationToken) {
        if self.metrics_every.is_zero() {
            return;
        }
        let exported = async {
            loop {
                tokio::time::sleep(self.metrics_every).await;
                self.send_metrics().await;
            }
        };
        let _: Option<()> = shutdown.run_until_cancelled(exported).await;
        let _ = timeout(FLUSH_MAX, self.send_metrics()).await;
    }

    /// Once: the next request says the same and more.
    async fn send_metrics(&self) {
        self.sender.send(Signal::Metrics, metric_messages::request(&self.about, &gathered())).await;
    }
}

#[cfg(test)]
mod tests {
    //! Over collectors that take, reject, hang or are not there. Time stands still but for what is waited for.

    use super::*;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use prost::Message as _;
    use tidegate_core::flow::http_client::HttpRequest;
    use tidegate_core::protocol::TraceContext;
    use tidegate_core::telemetry::{Span, SpanKind, render};
    use tidegate_testkit::{FakeHttp, Reply};

    const TRACES: &str = "http://collector/otlp/v1/traces";
    const METRICS: &str = "http://collector/otlp/v1/metrics";

    /// A process has one recorder.
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn exporter(http: &Arc<FakeHttp>, more: &serde_json::Value) -> Exporter {
        let mut config =
            serde_json::json!({ "otlp": "http://collector/otlp/", "headers": { "x-key": "secret" }, "sample": 0 });
        let fields = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(fields);
        let config: Telemetry = serde_json::from_value(config).unwrap();
        Exporter::new(&config, &Limits::default(), "n1", http.clone()).unwrap()
    }

    fn span(trace: u128) {
        drop(Span::begin("work", SpanKind::Server, Some(TraceContext::begin(trace, 7, true))));
    }

    /// The traces of the spans in a request.
    fn traces(request: &HttpRequest) -> Vec<u128> {
        let message = ExportTraceServiceRequest::decode(request.body.clone().unwrap()).unwrap();
        let spans = message.resource_spans.into_iter().flat_map(|one| one.scope_spans).flat_map(|one| one.spans);
        let ids = spans.map(|span| u128::from_be_bytes(span.trace_id.try_into().unwrap()));
        // Other tests of the process may work meanwhile.
        ids.filter(|id| *id < 0x1000).collect()
    }

    /// The requests with spans of these tests.
    fn sent(http: &FakeHttp) -> Vec<Vec<u128>> {
        let all = http.seen().into_iter().filter(|request| request.url.as_str() == TRACES);
        all.map(|request| traces(&request)).filter(|traces| !traces.is_empty()).collect()
    }

    async fn until(what: impl Fn() -> bool) {
        while !what() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spans_of_a_while_go_in_one_request_with_the_headers_of_the_configuration() {
        let _one = ONE_AT_A_TIME.lock().await;
        let (http, end) = (FakeHttp::serving(TRACES, ""), CancellationToken::new());
        let exporting = exporter(&http, &serde_json::json!({ "metrics_every": "0s" })).spawn(end.clone());
        span(1);
        span(2);
        until(|| !sent(&http).is_empty()).await;
        assert_eq!(sent(&http), [[1, 2]]);
        let request = http.seen().remove(0);
        assert_eq!(request.method, "POST");
        for header in [("content-type", "application/x-protobuf"), ("x-key", "secret")] {
            assert!(request.headers.contains(&(header.0.to_owned(), header.1.to_owned())), "{:?}", request.headers);
        }
        span(3);
        end.cancel();
        exporting.await.unwrap();
        assert_eq!(sent(&http), [vec![1, 2], vec![3]], "the end sends what is left");
        span(4);
        assert_eq!(sent(&http).len(), 2, "and nothing is recorded after it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_away_gets_the_same_spans_when_it_is_back_and_what_it_rejects_is_not_sent_again() {
        let _one = ONE_AT_A_TIME.lock().await;
        let (http, end) = (Arc::new(FakeHttp::default()), CancellationToken::new());
        let exporting = exporter(&http, &serde_json::json!({ "metrics_every": "0s" })).spawn(end.clone());
        for away in [Reply::Unreachable, Reply::Status(503, String::new()), Reply::Silent] {
            http.answer(TRACES, away);
            let before = http.count();
            span(0x10);
            http.until(before + 1).await;
            http.answer(TRACES, Reply::Status(200, String::new()));
            let taken = sent(&http).len();
            until(|| sent(&http).len() > taken).await;
            assert_eq!(sent(&http).last().unwrap(), &[0x10]);
        }
        let count = sent(&http).len();
        http.answer(TRACES, Reply::Status(400, String::new()));
        span(0x11);
        until(|| sent(&http).len() > count).await;
        http.answer(TRACES, Reply::Status(200, String::new()));
        span(0x12);
        until(|| sent(&http).len() > count + 1).await;
        assert_eq!(&sent(&http)[count..], [[0x11], [0x12]]);
        end.cancel();
        exporting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn spans_that_nobody_takes_for_a_minute_are_given_up_for_newer_ones() {
        let _one = ONE_AT_A_TIME.lock().await;
        let (http, end) = (Arc::new(FakeHttp::default()), CancellationToken::new());
        let exporting = exporter(&http, &serde_json::json!({ "metrics_every": "0s" })).spawn(end.clone());
        span(0x20);
        http.until(1).await;
        span(0x21);
        until(|| sent(&http).contains(&vec![0x21])).await;
        let old = sent(&http).iter().filter(|traces| **traces == [0x20]).count();
        assert!((2..=8).contains(&old), "{old} attempts");
        end.cancel();
        exporting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_waits_for_a_silent_collector_for_a_limited_time() {
        let _one = ONE_AT_A_TIME.lock().await;
        let (http, end) = (Arc::new(FakeHttp::default()), CancellationToken::new());
        for url in [TRACES, METRICS] {
            http.answer(url, Reply::Silent);
        }
        let exporting = exporter(&http, &serde_json::json!({})).spawn(end.clone());
        span(0x30);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        end.cancel();
        exporting.await.unwrap();
        assert!(began.elapsed() <= FLUSH_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_collector_takes_in_part_is_counted_as_lost() {
        let _one = ONE_AT_A_TIME.lock().await;
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans: 1, error_message: "full".to_owned() });
        let answer = String::from_utf8(ExportTraceServiceResponse { partial_success }.encode_to_vec()).unwrap();
        let (http, end) = (FakeHttp::serving(TRACES, &answer), CancellationToken::new());
        let exporting = exporter(&http, &serde_json::json!({ "metrics_every": "0s" })).spawn(end.clone());
        span(0x40);
        span(0x41);
        until(|| !sent(&http).is_empty()).await;
        end.cancel();
        exporting.await.unwrap();
        let text = render();
        assert!(text.contains(r#"tidegate_otlp_requests_total{signal="traces",outcome="rejected"}"#), "{text}");
        assert!(text.contains(r#"tidegate_spans_total{outcome="lost"}"#), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_go_at_their_interval_and_at_the_end() {
        let _one = ONE_AT_A_TIME.lock().await;
        let (http, end) = (FakeHttp::serving(METRICS, ""), CancellationToken::new());
        let exporting = exporter(&http, &serde_json::json!({ "metrics_every": "10s" })).spawn(end.clone());
        let metrics = || http.seen().into_iter().filter(|request| request.url.as_str() == METRICS).collect::<Vec<_>>();
        tokio::time::sleep(Duration::from_secs(25)).await;
        assert_eq!(metrics().len(), 2);
        end.cancel();
        exporting.await.unwrap();
        assert_eq!(metrics().len(), 3);
        let message = ExportMetricsServiceRequest::decode(metrics()[2].body.clone().unwrap()).unwrap();
        let resource = &message.resource_metrics[0];
        let names: Vec<&str> = resource.scope_metrics[0].metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert!(names.contains(&"tidegate_otlp_requests_total"), "{names:?}");
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert!(attributes.iter().any(|attribute| attribute.key == "service.instance.id"));
    }

    #[test]
    fn without_a_collector_there_is_no_exporter() {
        let http = Arc::new(FakeHttp::default());
        assert!(Exporter::new(&Telemetry::default(), &Limits::default(), "n1", http).is_none());
    }
}
