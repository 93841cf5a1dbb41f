//! `POST /v1/tails`, `DELETE /v1/tails/{tail}`: an operator follows publications for ten minutes.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::answer::{HttpCode, Problem};
use super::body;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use crate::dashboard::{Followed, Live};
use tidegate_core::config::Permission;
use tidegate_core::protocol::{Code, Refusal, Topic};

pub(super) const BEGIN: Operation = Operation {
    method: Verb::Post,
    path: "/v1/tails",
    id: "begin_tail",
    summary: "Follow the publications of a channel or a topic for ten minutes",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[("application/json", "TailRequest")],
    answers: Answers {
        status: 201,
        says: "The tail; its publications come on `topic` of the dashboard's live data.",
        contents: &[("application/json", "Tail")],
    },
    refuses: &[Reason::Of(Code::UnknownChannel), Reason::Of(Code::Unavailable), Reason::Http(HttpCode::NotFound)],
};

pub(super) const END: Operation = Operation {
    method: Verb::Delete,
    path: "/v1/tails/{tail}",
    id: "end_tail",
    summary: "Follow publications no longer",
    caller: Caller::Key(Permission::Operate),
    parameters: &["tail"],
    body: &[],
    answers: Answers { status: 204, says: "It is over.", contents: &[] },
    refuses: &[Reason::Http(HttpCode::NotFound)],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    channel: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    payloads: bool,
}

/// `{ channel }` or `{ topic }`, and `payloads: true` for a key that may `read`: 201 `{ tail, topic, ends_at }`.
pub(super) async fn begin(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let key = state.admit(&headers, Permission::Operate)?;
    let live = live(&state)?;
    let limits = state.gates.limits();
    let text = body::read(body, limits.payload_bytes_max, limits).await?;
    let wrong = || Problem::bad_request("expected `{ \"channel\": …, \"payloads\": … }` or `{ \"topic\": … }`");
    let fields = body::fields(&text).map_err(|_| wrong())?;
    let asked: Asked = serde_json::from_value(Value::Object(fields)).map_err(|_| wrong())?;
    let serving = state.gates.serving();
    let followed = match (asked.channel, asked.topic) {
        (Some(channel), None) => {
            let is_declared = serving.catalog.channels().any(|declared| declared.template.as_str() == channel);
            is_declared.then_some(Followed::Channel(channel))
        }
        (None, Some(topic)) => {
            let declared = Topic::parse(&topic).ok().filter(|topic| state.gates.declares(topic));
            declared.map(Followed::Topic)
        }
        (Some(_), Some(_)) | (None, None) => return Err(wrong()),
    };
    let followed = followed.ok_or(Code::UnknownChannel)?;
    if asked.payloads && !key.may(Permission::Read) {
        let says = "only a key that may `read` sees payloads: leave `payloads` out";
        return Err(Refusal::because(Code::Forbidden, says).into());
    }
    let begun = live.tails().begin(followed, asked.payloads, &key.name);
    let full = || Refusal::because(Code::Unavailable, "as many tails are open as may be: end one, or wait");
    let begun = begun.ok_or_else(full)?;
    let said = json!({ "tail": begun.id, "topic": begun.topic, "ends_at": begun.ends_at_unix_s });
    Ok((StatusCode::CREATED, Json(said)))
}

/// 404 if there is none of this name, or not any more.
pub(super) async fn end(
    extract::State(state): extract::State<State>,
    tail: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let Path(tail) = tail.map_err(|_| Problem::bad_request("the tail in the path is not UTF-8"))?;
    if live(&state)?.tails().end(&tail) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("there is no such tail"))
}

fn live(state: &State) -> Result<&Live, Problem> {
    let none = || Problem::not_found("this server has no dashboard: `dashboard: on` in its configuration gives it one");
    state.live.as_deref().ok_or_else(none)
}
