//! `POST /v1/publish`: publishes a list, in order, and answers each publication for itself.

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::HeaderMap;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::State;
use super::answer::Problem;
use super::body;
use super::idempotency_key;
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use tidegate_core::config::{Limits, Permission};
use tidegate_core::flow::{PublishReceipt, PublishRequest};
use tidegate_core::protocol::{Code, IdempotencyKey, Payload, Refusal};
use tidegate_core::telemetry::{current_trace, with_trace};

pub(super) const OPERATION: Operation = Operation {
    method: Verb::Post,
    path: "/v1/publish",
    id: "publish_list",
    summary: "Publish a list of payloads, in order",
    caller: Caller::Key(Permission::Publish),
    parameters: &[],
    body: &[("application/json", "PublishList")],
    answers: Answers {
        status: 200,
        says: "An answer for each publication.",
        contents: &[("application/json", "PublishAnswers")],
    },
    refuses: &[Reason::Of(Code::Draining)],
};

/// One publication of the list.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    idempotency_key: Option<String>,
}

/// The answer to one publication: `{ ok: true, … }` or `{ ok: false, error }`.
#[derive(Debug)]
pub(super) struct Answer(Result<PublishReceipt, Refusal>);

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The receipt's own keys stand beside `ok`.
        #[derive(serde::Serialize)]
        struct Accepted<'a> {
            ok: bool,
            #[serde(flatten)]
            receipt: &'a PublishReceipt,
        }
        match &self.0 {
            Ok(receipt) => Accepted { ok: true, receipt }.serialize(serializer),
            Err(refusal) => {
                let mut out = serializer.serialize_map(Some(2))?;
                out.serialize_entry("ok", &false)?;
                out.serialize_entry("error", refusal)?;
                out.end()
            }
        }
    }
}

/// `[{ topic, payload, idempotency_key? }, …]`: 200 with an answer for each, in the same order. A request that is not
/// such a list, or too large, publishes nothing.
pub(super) async fn publish(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Vec<Answer>>, Problem> {
    state.admit(&headers, Permission::Publish)?;
    if state.gates.is_draining() {
        return Err(Code::Draining.into());
    }
    if idempotency_key::read(&headers)?.is_some() {
        let message = "`Idempotency-Key` is for one publish: give each publication of a list its own `idempotency_key`";
        return Err(Problem::bad_request(message));
    }
    let limits = state.gates.limits();
    let text = body::read(body, limits.batch_bytes_max, limits).await?;
    let requests = read(&text, limits)?;
    let gates = state.gates.clone();
    // In a task of its own: a caller who hangs up must not leave keys taken.
    let publishing = tokio::spawn(with_trace(current_trace(), async move { gates.publish_list(requests).await }));
    let answers = publishing.await.map_err(|_panicked| Problem::from(Code::Internal))?;
    Ok(Json(answers.into_iter().map(Answer).collect()))
}

fn read(text: &str, limits: &Limits) -> Result<Vec<Result<PublishRequest, Refusal>>, Problem> {
    let items: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Problem::bad_request(format!("the body must be a JSON list of publications: {error}")))?;
    let most = limits.publications_per_batch_max;
    if items.len() > most {
        let details = json!({ "publications": items.len(), "publications_max": most });
        let refusal = Refusal::because(Code::PayloadTooLarge, "the list has too many publications");
        return Err(Problem::from(refusal.with_details(details)));
    }
    Ok(items.into_iter().map(read_item).collect())
}

fn read_item(item: &RawValue) -> Result<PublishRequest, Refusal> {
    let invalid = |why: String| Refusal::because(Code::InvalidPayload, why);
    if !item.get().trim_ascii_start().starts_with('{') {
        return Err(invalid("a publication is an object { topic, payload, idempotency_key? }".to_owned()));
    }
    let item: Item<'_> =
        serde_json::from_str(item.get()).map_err(|error| invalid(format!("not a publication: {error}")))?;
    let payload =
        Payload::read(item.payload.get().to_owned()).map_err(|error| invalid(format!("`payload`: {error}")))?;
    let key = item.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose();
    let key = key.map_err(|error| invalid(format!("`idempotency_key`: {error}")))?;
    Ok(PublishRequest { topic: item.topic, payload, key })
}
