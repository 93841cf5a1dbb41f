//! Where traces and metrics go: the `telemetry:` section.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::check::Told;
use super::{HumanDuration, Secret, WebUrl};

/// Traces and metrics by OpenTelemetry's protocol (OTLP over HTTP, in protobuf).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The collector's base URL: `http://collector.example.com:4318`. The server sends traces to `/v1/traces` below it,
    /// and metrics to `/v1/metrics`. It may be on a private network. Default: none; then the server sends neither, records
    /// no trace, and only passes on a trace that comes with a request or an event.
    #[schemars(with = "Option<String>")]
    pub otlp: Option<WebUrl>,
    /// Headers of every request to the collector, such as `authorization: "Bearer ${OTLP_TOKEN}"`.
    pub headers: BTreeMap<String, Secret>,
    /// The share of the traces that begin here and are recorded, from 0 to 1. Default 0.01. A request or an event that
    /// comes in a trace keeps to that: it is recorded if its caller records it.
    pub sample: Share,
    /// The name of the service in traces and metrics (`service.name`). Default `tidegate`.
    pub service: String,
    /// How long a span waits for others, so that one request has many. Default 5 s.
    pub spans_every: HumanDuration,
    /// How often the server sends its metrics. Default 1 min; with 0 s it sends none.
    pub metrics_every: HumanDuration,
    /// How long the collector may take to answer. Default 10 s.
    pub timeout: HumanDuration,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp: None,
            headers: BTreeMap::new(),
            sample: Share(Share::WHOLE / 100),
            service: "tidegate".to_owned(),
            spans_every: HumanDuration::new(Duration::from_secs(5)),
            metrics_every: HumanDuration::new(Duration::from_secs(60)),
            timeout: HumanDuration::new(Duration::from_secs(10)),
        }
    }
}

/// A share of a whole, to one in a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// From 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&share) {
            return Err(serde::de::Error::custom(format!("expected a share from 0 to 1, found {share}")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        Ok(Self((share * f64::from(Self::WHOLE)).round() as u32))
    }
}

impl serde::Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// The range of waits for which a trace is still of use, and no request goes out for each span.
const SPANS_EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const METRICS_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// The keys that change nothing without `otlp`.
const NEED_OTLP: [&str; 6] = ["headers", "sample", "service", "spans_every", "metrics_every", "timeout"];
/// The headers that the server sets itself.
const OWN_HEADERS: [&str; 6] = ["connection", "content-length", "content-type", "host", "te", "transfer-encoding"];

/// Reports errors in values that were decoded.
pub(super) fn check(telemetry: &Telemetry, told: &mut Told<'_>) {
    let Telemetry { otlp, headers, service, spans_every, metrics_every, timeout, .. } = telemetry;
    if otlp.is_none() {
        // One mistake for one value.
        let keys: &[&str] = if told.is_empty() { &NEED_OTLP } else { &[] };
        for key in keys {
            if told.is_given("telemetry", key) {
                let message = format!("`{key}` changes nothing without `otlp`");
                told.add(&format!("/telemetry/{key}"), &message, Some("`otlp` is the URL of the collector"));
            }
        }
        return;
    }
    if let Some(url) = otlp {
        let (base, has_query) = (url.shown(), url.shown() != url.as_str());
        if has_query || ["/v1/traces", "/v1/metrics"].iter().any(|end| base.trim_end_matches('/').ends_with(end)) {
            let hint = "write the base URL: the server adds `/v1/traces` and `/v1/metrics` itself";
            told.add("/telemetry/otlp", &format!("`{base}` is not the base URL of a collector"), Some(hint));
        }
    }
    for (name, value) in headers {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = !name.is_empty() && name.bytes().all(is_token);
        let is_text = value.expose().bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let at = format!("/telemetry/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        if !is_name || OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            told.add(&at, &format!("`{name}` is not a header that a request may add"), None);
        } else if !is_text {
            told.add(&at, "the value has characters that no header may have", Some("write printable ASCII"));
        }
    }
    if service.is_empty() {
        told.add("/telemetry/service", "`service` is empty", Some("leave it out to use the default"));
    }
    for (key, time, range) in [
        ("spans_every", spans_every, SPANS_EVERY),
        ("metrics_every", metrics_every, METRICS_EVERY),
        ("timeout", timeout, TIMEOUT),
    ] {
        let is_off = key == "metrics_every" && time.get().is_zero();
        if !is_off && !range.contains(&time.get()) {
            let [least, most] = [*range.start(), *range.end()].map(HumanDuration::new);
            let message = format!("`{key}` is {time}: expected {least} to {most}");
            told.add(&format!("/telemetry/{key}"), &message, None);
        }
    }
}
