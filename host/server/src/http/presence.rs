//! `GET /v1/channels/{topic}/presence` and `…/occupancy`: who is on a topic, and how many.

use axum::Json;
use axum::extract;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::{HeaderName, HeaderValue, header};

use super::State;
use super::answer::Problem;
use tidegate_core::config::Permission;
use tidegate_core::protocol::{Occupancy, Present};

type Answer<T> = ([(HeaderName, HeaderValue); 1], Json<T>);
type Topic = Result<Path<String>, PathRejection>;

/// `{ count, members }`, as the ack of a subscribe has it. A client shows its credential and clears gates 1 and 2; a
/// backend shows an API key.
pub(super) async fn present(
    extract::State(state): extract::State<State>,
    topic: Topic,
    request: Request,
) -> Result<Answer<Present>, Problem> {
    let topic = admitted(&state, topic, request).await?;
    Ok(answer(state.gates.present(&topic).await?))
}

/// `{ count, users, anonymous }`.
pub(super) async fn occupancy(
    extract::State(state): extract::State<State>,
    topic: Topic,
    request: Request,
) -> Result<Answer<Occupancy>, Problem> {
    let topic = admitted(&state, topic, request).await?;
    Ok(answer(state.gates.occupancy(&topic).await?))
}

/// The topic that the caller may look at.
async fn admitted(state: &State, topic: Topic, request: Request) -> Result<String, Problem> {
    let (request, _) = request.into_parts();
    let is_backend = state.has_key(&request.headers);
    let session = if is_backend {
        state.admit(&request.headers, Permission::Read)?;
        None
    } else {
        Some(state.visitors.admit(&request).await?)
    };
    let Path(topic) = topic.map_err(|_| Problem::bad_request("the topic in the path is not UTF-8"))?;
    if let Some(session) = session {
        state.gates.clear_look(&session, &topic).await?;
    }
    Ok(topic)
}

/// It is for this caller, as of now.
fn answer<T>(value: T) -> Answer<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(value))
}
