//! `POST /v1/events`: puts CloudEvents on the bus, one or a batch, all or none.
//!
//! Structured and batched content modes of the HTTP binding:
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::State;
use super::answer::{HttpCode, Problem};
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::{Limits, Permission};
use tidegate_core::protocol::{BusEvent, Code, Refusal};

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Post,
    path: "/v1/events",
    id: "put_events",
    summary: "Put CloudEvents on the bus",
    caller: Caller::Key(Permission::Events),
    parameters: &[],
    body: &[
        ("application/cloudevents+json", "CloudEvent"),
        ("application/cloudevents-batch+json", "CloudEvents"),
        ("application/json", "OneOrMoreCloudEvents"),
    ],
    answers: Answers { status: 202, says: "All are taken.", contents: &[("application/json", "Accepted")] },
    refuses: &[Reason::Http(HttpCode::UnsupportedMediaType), Reason::Of(Code::Unavailable), Reason::Of(Code::Draining)],
};

/// Most errors reported for one batch; more would only repeat them.
const MISTAKES_MAX: usize = 10;

/// What the body may be, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    One,
    Batch,
    Either,
}

pub(super) async fn accept(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    state.admit(&headers, Permission::Events)?;
    let mode = mode(&headers)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.batch_bytes_max, limits).await?;
    let events = read(&text, mode, limits)?;
    let accepted = events.len();
    state.gates.publish_events(events)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "accepted": accepted }))))
}

fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    if headers.contains_key("ce-specversion") {
        return Err(unsupported(
            "the binary content mode is not supported: put the attributes next to `data` in a JSON body",
        ));
    }
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return Ok(Mode::Either) };
    let content_type = content_type.to_str().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/cloudevents+json" => Ok(Mode::One),
        "application/cloudevents-batch+json" => Ok(Mode::Batch),
        "application/json" => Ok(Mode::Either),
        _ => Err(unsupported(
            "the content type must be application/cloudevents+json, application/cloudevents-batch+json or \
             application/json",
        )),
    }
}

fn unsupported(message: &'static str) -> Problem {
    Problem::of_http(HttpCode::UnsupportedMediaType, message)
}

/// Reads every event of a body, or reports which are invalid and why.
fn read(text: &str, mode: Mode, limits: &Limits) -> Result<Vec<BusEvent>, Problem> {
    let is_batch = text.trim_ascii_start().starts_with('[');
    match mode {
        Mode::One if is_batch => {
            return Err(Problem::bad_request("send a batch as application/cloudevents-batch+json"));
        }
        Mode::Batch if !is_batch => return Err(Problem::bad_request("a batch must be a JSON array of CloudEvents")),
        _ => {}
    }
    let events: Vec<&RawValue> =
        if is_batch { serde_json::from_str(text) } else { serde_json::from_str(text).map(|event| vec![event]) }
            .map_err(|error| Problem::bad_request(format!("not JSON: {error}")))?;
    if events.len() > limits.events_per_batch_max {
        let details = json!({ "events": events.len(), "events_max": limits.events_per_batch_max });
        let refusal = Refusal::because(Code::PayloadTooLarge, "the batch holds too many events");
        return Err(Problem::from(refusal.with_details(details)));
    }
    if let Some(index) = events.iter().position(|event| event.get().len() > limits.payload_bytes_max) {
        let details = json!({ "index": index, "bytes_max": limits.payload_bytes_max });
        let refusal = Refusal::because(Code::PayloadTooLarge, "an event is too large");
        return Err(Problem::from(refusal.with_details(details)));
    }
    read_each(&events)
}

fn read_each(texts: &[&RawValue]) -> Result<Vec<BusEvent>, Problem> {
    let mut events = Vec::with_capacity(texts.len());
    let mut mistakes = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match BusEvent::parse(text.get()) {
            Ok(event) => events.push(event),
            Err(error) => mistakes.push(json!({ "index": index, "message": error.to_string() })),
        }
        if mistakes.len() == MISTAKES_MAX {
            break;
        }
    }
    if mistakes.is_empty() {
        return Ok(events);
    }
    let problem = Problem::bad_request("not every event is a valid CloudEvent; the server accepted none of them");
    Err(problem.with_details(json!({ "events": mistakes })))
}
