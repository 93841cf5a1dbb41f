//! `GET /v1/channels/{topic}/presence` and `…/occupancy`: who is on a topic, and how many.

use axum::extract;
use axum::extract::Request;

use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Reason, Verb};
use super::{State, TopicPath, topic_of};
use tidegate_core::protocol::{Code, Occupancy, Present};

pub(super) const PRESENCE: Operation = Operation {
    method: Verb::Get,
    path: "/v1/channels/{topic}/presence",
    id: "presence",
    summary: "See who is on a topic",
    caller: Caller::Reader,
    parameters: &["topic"],
    body: &[],
    answers: Answers {
        status: 200,
        says: "Who is there, as in the ack of a subscribe.",
        contents: &[("application/json", "Present")],
    },
    refuses: &[Reason::Of(Code::NoPresence)],
};

pub(super) const OCCUPANCY: Operation = Operation {
    method: Verb::Get,
    path: "/v1/channels/{topic}/occupancy",
    id: "occupancy",
    summary: "See how many are on a topic",
    caller: Caller::Reader,
    parameters: &["topic"],
    body: &[],
    answers: Answers { status: 200, says: "How many are there.", contents: &[("application/json", "Occupancy")] },
    refuses: &[Reason::Of(Code::NoPresence)],
};

/// `{ count, members }`, as the ack of a subscribe has it. A client shows its credential and clears gates 1 and 2; a
/// backend shows an API key.
pub(super) async fn present(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    request: Request,
) -> Result<Fresh<Present>, Problem> {
    let topic = admitted(&state, topic, request).await?;
    Ok(fresh(state.gates.present(&topic).await?))
}

/// `{ count, users, anonymous }`.
pub(super) async fn occupancy(
    extract::State(state): extract::State<State>,
    topic: TopicPath,
    request: Request,
) -> Result<Fresh<Occupancy>, Problem> {
    let topic = admitted(&state, topic, request).await?;
    Ok(fresh(state.gates.occupancy(&topic).await?))
}

/// The topic that the caller may look at.
async fn admitted(state: &State, topic: TopicPath, request: Request) -> Result<String, Problem> {
    let session = state.admit_reader(request).await?;
    let topic = topic_of(topic)?;
    if let Some(session) = session {
        state.gates.clear_look(&session, &topic).await?;
    }
    Ok(topic)
}
