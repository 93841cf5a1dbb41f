//! `POST`, `GET`, `DELETE /v1/recordings/{plugin}`: an operator records the next calls of a plugin, reads them
//! page by page, and ends the recording. A call shows payloads: only a key that may `read` sees them.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use super::answer::{Fresh, HttpCode, Problem, fresh};
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::query::Query;
use tidegate_core::config::Permission;
use tidegate_core::flow::ports::{NoRecording, RecordingEnd, RecordingPage, RecordingWish};
use tidegate_core::protocol::{Code, Payload, Refusal};

pub(super) const BEGIN: Operation = Operation {
    method: Verb::Post,
    path: "/v1/recordings/{plugin}",
    id: "begin_recording",
    summary: "Record the next calls of a plugin; the key must be one that may `read`, too",
    caller: Caller::Key(Permission::Operate),
    parameters: &["plugin"],
    body: &[("application/json", "RecordingRequest")],
    answers: Answers {
        status: 201,
        says: "It is recorded from now on; this is the first line of the file.",
        contents: &[("application/json", "RecordingHead")],
    },
    refuses: &[
        Reason::Http(HttpCode::NotFound),
        Reason::Http(HttpCode::Conflict),
        Reason::Of(Code::InvalidPayload),
        Reason::Of(Code::Unavailable),
    ],
};

pub(super) const READ: Operation = Operation {
    method: Verb::Get,
    path: "/v1/recordings/{plugin}",
    id: "read_recording",
    summary: "Read the recorded calls of a plugin; the key must be one that may `read`, too",
    caller: Caller::Key(Permission::Operate),
    parameters: &["plugin", "after_calls"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "Some calls; `ended` is there once these are the last ones.",
        contents: &[("application/json", "Recording")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

pub(super) const FILE: Operation = Operation {
    method: Verb::Get,
    path: "/v1/recordings/{plugin}/calls",
    id: "recording_file",
    summary: "The recording of a plugin as a file; the key must be one that may `read`, too",
    caller: Caller::Key(Permission::Operate),
    parameters: &["plugin"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "A JSON object on each line: the first one, the calls, and how it ended once it has.",
        contents: &[("application/x-ndjson", "RecordingFile")],
    },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

pub(super) const END: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/recordings/{plugin}",
    id: "end_recording",
    summary: "End the recording of a plugin, and forget its calls",
    caller: Caller::Key(Permission::Operate),
    parameters: &["plugin"],
    body: &[],
    answers: Answers { status: 200, says: "It is over.", contents: &[("application/json", "RecordingEnded")] },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(deserialize_with = "whole")]
    calls: u64,
    #[serde(default)]
    redact: Vec<String>,
}

/// A whole number, however it is written: `1000.0` is an integer of JSON Schema.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let written =
        number.as_u64().or_else(|| format!("{:.0}", number.as_f64().filter(|it| it.fract() == 0.0)?).parse().ok());
    written.ok_or_else(|| de::Error::custom("expected a whole number"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQuery {
    after: Option<usize>,
}

/// Written as text: the numbers of a payload keep their digits.
#[derive(Serialize)]
pub(super) struct Page {
    calls: Vec<Payload>,
    next: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<RecordingEnd>,
}

type PluginPath = Result<Path<String>, PathRejection>;

/// `{ calls, redact? }`: 201 with the first line of the file.
pub(super) async fn begin(
    extract::State(state): extract::State<State>,
    plugin: PluginPath,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Payload>), Problem> {
    let by = admit(&state, &headers)?;
    let plugin = named(plugin)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    let expected = || Problem::bad_request("expected `{ \"calls\": 1000, \"redact\": [\"/payload/email\"] }`");
    let fields = body::fields(&text).map_err(|_| expected())?;
    let Wish { calls, redact } = serde_json::from_value(Value::Object(fields)).map_err(|_| expected())?;
    let most = limits.recording_calls_max;
    let Some(calls_max) = usize::try_from(calls).ok().filter(|calls| (1..=most).contains(calls)) else {
        let says = format!("`calls` is {calls}: expected 1 to {most} (`limits.recording_calls`)");
        return Err(Refusal::because(Code::InvalidPayload, says).into());
    };
    let wish = RecordingWish {
        plugin: &plugin,
        by,
        calls_max,
        bytes_max: limits.recording_bytes_max,
        time_max: limits.recording_time_max,
        recordings_max: limits.recordings_max,
        pointers: redact,
    };
    let head = state.plugins.record(wish).map_err(|no| refused(no, limits.recordings_max))?;
    Ok((StatusCode::CREATED, Json(head)))
}

/// `after` is the number of calls that were read: `next` of the page before.
pub(super) async fn read(
    extract::State(state): extract::State<State>,
    plugin: PluginPath,
    query: Query<ReadQuery>,
    headers: HeaderMap,
) -> Result<Fresh<Page>, Problem> {
    admit(&state, &headers)?;
    let ReadQuery { after } = query.expecting("the query may have `after`, a whole number")?;
    let page = state.plugins.recording(&named(plugin)?, after.unwrap_or_default());
    let RecordingPage { calls, next, ended } = page.ok_or_else(no_recording)?;
    Ok(fresh(Page { calls, next, ended }))
}

/// What there is, for a browser that saves it.
pub(super) async fn file(
    extract::State(state): extract::State<State>,
    plugin: PluginPath,
    headers: HeaderMap,
) -> Result<([(HeaderName, &'static str); 3], String), Problem> {
    admit(&state, &headers)?;
    let lines = state.plugins.recording_file(&named(plugin)?).ok_or_else(no_recording)?;
    let text = lines.iter().fold(String::new(), |text, line| text + line.as_str() + "\n");
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text))
}

/// The calls that nobody read yet are gone.
pub(super) async fn end(
    extract::State(state): extract::State<State>,
    plugin: PluginPath,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let ended = state.plugins.end_recording(&named(plugin)?).ok_or_else(no_recording)?;
    Ok(Json(json!({ "ended": ended })))
}

/// The name of an operator who may see payloads.
fn admit<'a>(state: &'a State, headers: &HeaderMap) -> Result<&'a str, Problem> {
    let key = state.admit(headers, Permission::Operate)?;
    if !key.may(Permission::Read) {
        let says = "a recording shows payloads, which only a key that may `read` sees";
        return Err(Refusal::because(Code::Forbidden, says).into());
    }
    Ok(&key.name)
}

fn named(plugin: PluginPath) -> Result<String, Problem> {
    let Path(plugin) = plugin.map_err(|_| Problem::bad_request("the name in the path is not UTF-8"))?;
    Ok(plugin)
}

fn no_recording() -> Problem {
    Problem::not_found("there is no recording of this plugin")
}

fn refused(no: NoRecording, recordings_max: usize) -> Problem {
    match no {
        NoRecording::NoPlugin => Problem::not_found("no plugin of this name serves"),
        NoRecording::Running { by } => Problem::of_http(
            HttpCode::Conflict,
            format!("`{by}` records this plugin already: wait, or end that recording"),
        ),
        NoRecording::Full if recordings_max == 0 => {
            let says = "this server records no calls: `limits.recordings: 1` in its configuration allows one at once";
            Refusal::because(Code::Unavailable, says).into()
        }
        NoRecording::Full => {
            Refusal::because(Code::Unavailable, "as many recordings run as may be (`limits.recordings`)").into()
        }
        NoRecording::Pointers(why) => Problem::bad_request(why),
    }
}
