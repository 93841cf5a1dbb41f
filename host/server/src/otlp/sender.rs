//! One request to the collector, and what its answer means. It tells when the collector goes away and when it is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::time::timeout;

use tidegate_core::config::{Secret, WebUrl};
use tidegate_core::flow::http_client::{HttpClient, HttpRequest, HttpResponse};
use tidegate_core::telemetry::{Signal, collector_away, collector_back, collector_rejected, collector_request};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends to one collector.
pub(super) struct Sender {
    http: Arc<dyn HttpClient>,
    /// Without a slash at the end.
    base: String,
    headers: Vec<(String, Secret)>,
    timeout: Duration,
    traces_away: AtomicBool,
    metrics_away: AtomicBool,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The collector took it, but for so many of its spans or points.
    Taken { rejected: usize },
    /// It would never take it.
    Rejected,
    /// It may take it later.
    Away { again_in: Option<Duration> },
}

impl Sender {
    pub(super) fn new(
        http: Arc<dyn HttpClient>,
        base: &WebUrl,
        headers: &BTreeMap<String, Secret>,
        timeout: Duration,
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let base = base.as_str().trim_end_matches('/').to_owned();
        let [traces_away, metrics_away] = [const { AtomicBool::new(false) }; 2];
        Self { http, base, headers, timeout, traces_away, metrics_away }
    }

    pub(super) async fn send(&self, signal: Signal, body: Vec<u8>) -> Answer {
        let asked = timeout(self.timeout, self.exchange(signal, body)).await;
        let exchanged = asked.unwrap_or_else(|_| Err(format!("no answer for {:?}", self.timeout)));
        let (answer, why) = match exchanged {
            Ok(response) => read(signal, &response),
            Err(why) => (Answer::Away { again_in: None }, why),
        };
        self.tell(signal, &answer, &why);
        answer
    }

    async fn exchange(&self, signal: Signal, body: Vec<u8>) -> Result<HttpResponse, String> {
        let url = WebUrl::parse(&format!("{}/v1/{}", self.base, signal.as_str())).map_err(|error| error.to_string())?;
        let own = [("content-type".to_owned(), "application/x-protobuf".to_owned())];
        let others = self.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let headers = own.into_iter().chain(others).collect();
        let request = HttpRequest { method: "POST".to_owned(), url, headers, body: Some(body.into()) };
        self.http.exchange(&request, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())
    }

    fn tell(&self, signal: Signal, answer: &Answer, why: &str) {
        let was_away = match signal {
            Signal::Traces => &self.traces_away,
            Signal::Metrics => &self.metrics_away,
        };
        match answer {
            Answer::Away { .. } if !was_away.swap(true, Ordering::Relaxed) => collector_away(signal, &self.base, why),
            Answer::Taken { .. } if was_away.swap(false, Ordering::Relaxed) => collector_back(signal, &self.base),
            Answer::Away { .. } | Answer::Taken { .. } | Answer::Rejected => {}
        }
        let outcome = match answer {
            Answer::Taken { rejected: 0 } => "taken",
            Answer::Away { .. } => "away",
            Answer::Taken { .. } | Answer::Rejected => {
                collector_rejected(signal, &self.base, why);
                "rejected"
            }
        };
        collector_request(signal, outcome);
    }
}

/// What an answer means, and its words if it is a no:
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.
fn read(signal: Signal, response: &HttpResponse) -> (Answer, String) {
    match response.status {
        200..=299 => {
            let (rejected, why) = rejected(signal, &response.body);
            (Answer::Taken { rejected: usize::try_from(rejected).unwrap_or(0) }, why)
        }
        429 | 502..=504 => {
            let again_in =
                response.header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
            (Answer::Away { again_in }, format!("it answers {}", response.status))
        }
        status => (Answer::Rejected, format!("it answers {status}")),
    }
}

/// How much of a request the collector did not take, and why. An answer that is none of the protocol says nothing.
fn rejected(signal: Signal, body: &[u8]) -> (i64, String) {
    let partly = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|partly| (partly.rejected_spans, partly.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(body)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|partly| (partly.rejected_data_points, partly.error_message)),
    };
    partly.unwrap_or_default()
}
