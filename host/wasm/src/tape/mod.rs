//! The tape of a call: what the plugin asked the host, and what the host answered, in order. It is written while a call
//! runs (`record`), and played in place of the host: the answers of a golden vector (`stage`, `canned`), or those that
//! another call got (`play`), with the keys that the plugin writes meanwhile in an overlay (`overlay`).
//!
//! A call runs in the task of its caller, and so do its host calls. So a tape belongs to the task. Without one, a host
//! call costs a read of two thread-locals more.

mod answer;
mod canned;
mod overlay;
mod play;
pub(crate) mod record;
mod stage;

pub(crate) use answer::{Answer, bytes_as_json};
pub(crate) use canned::{Canned, CannedAnswer, answering};
pub(crate) use overlay::Overlay;
pub(crate) use play::{Play, Played, Unused, overlay, play, play_key, playing, plays};
pub(crate) use record::{Entry, Heard, heard};
pub(crate) use stage::{Stage, StagedAnswer, StagedQuery, missed, secret, staged};

use std::sync::Arc;

use crate::contract::client;
use crate::contract::queries;
use tidegate_core::flow::http_client::{HttpRequest, HttpResponse};
use tidegate_core::flow::kv::KeyValue;

/// Answers a host call that does not wait: from the tape that plays, or as `host` does.
pub(crate) fn answered<T: Answer>(
    import: &'static str,
    asked: impl Fn() -> serde_json::Value,
    host: impl FnOnce() -> T,
) -> T {
    if let Played::Answer(answer) = play(import, &asked)
        && let Some(answer) = T::from_json(&answer)
    {
        return answer;
    }
    let asked = record::asks(import, asked);
    let answer = host();
    record::answers(asked, || answer.to_json());
    answer
}

/// When the call came in, in milliseconds since the Unix epoch.
pub(crate) fn received_at_ms(now: impl FnOnce() -> u64) -> u64 {
    let at_ms = play::received_at_ms().unwrap_or_else(now);
    record::received(at_ms);
    at_ms
}

/// The answer to a query where a tape or a vector with answers plays; `None` at any other time.
pub(crate) fn query(name: &str, params: &str) -> Option<Result<String, queries::Error>> {
    if plays() {
        return Some(Err(queries::Error::Unavailable(play::NO_ANSWER.to_owned())));
    }
    stage::query(name, params)
}

/// The keys where a tape or a vector with keys plays; `None` at any other time.
pub(crate) fn kv() -> Option<Arc<dyn KeyValue>> {
    overlay().map(|keys| keys as Arc<dyn KeyValue>).or_else(stage::kv)
}

/// The answer to a request where a tape or a vector with answers plays; `None` at any other time.
pub(crate) fn response(request: &HttpRequest, body_bytes_max: usize) -> Option<Result<HttpResponse, client::Error>> {
    if plays() {
        return Some(Err(client::Error::Unreachable(play::NO_ANSWER.to_owned())));
    }
    canned::answer(request, body_bytes_max)
}
