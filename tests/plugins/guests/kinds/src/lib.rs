//! A plugin of every kind but a handler, in one component. It speaks the raw contract; topics and payloads say what it
//! does.

use std::sync::atomic::{AtomicU64, Ordering};

wit_bindgen::generate!({
    inline: "
        package tests:kinds;
        world kinds {
            include tidegate:plugin/authorizer-plugin@0.3.0;
            include tidegate:plugin/snapshot-plugin@0.3.0;
            include tidegate:plugin/transform-plugin@0.3.0;
            include tidegate:plugin/connection-plugin@0.3.0;
        }
    ",
    path: "../../../../wit",
    world: "tests:kinds/kinds",
    generate_all,
});

use exports::tidegate::plugin::authorizer::{Action, Decision, Grant};
use exports::tidegate::plugin::connection::{Peer, Phase};
use exports::tidegate::plugin::transform::Crossing;
use exports::tidegate::plugin::{authorizer, connection, snapshot, transform};
use tidegate::plugin::types::{Audience, Context, Effect, Emit, Publish};

/// Questions an instance was asked as an authorizer.
static ASKED: AtomicU64 = AtomicU64::new(0);

struct Kinds;

impl authorizer::Guest for Kinds {
    /// Grants a minute once, and denies whoever asks again.
    fn authorize(_: Context, _: Action, _: Option<String>) -> Result<Decision, String> {
        Ok(match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Decision::Allow(Grant { ttl_ms: 60_000, user: None }),
            asked => Decision::Deny(format!("asked {asked} times before")),
        })
    }
}

impl snapshot::Guest for Kinds {
    /// The param says what: so many payloads, an error, a payload that is no JSON, or a trap.
    fn provide(ctx: Context) -> Result<Vec<String>, String> {
        let what = ctx.params.first().map(|(_, value)| value.as_str()).unwrap_or_default();
        match what {
            "error" => Err("no state".to_owned()),
            "garbage" => Ok(vec!["{ not json".to_owned()]),
            "trap" => panic!("as it was told"),
            "large" => Ok(vec![format!("\"{}\"", "x".repeat(1 << 20))]),
            count => Ok((0..count.parse().unwrap_or(0)).map(|n: u32| format!(r#"{{"n":{n}}}"#)).collect()),
        }
    }
}

impl transform::Guest for Kinds {
    /// The payload, a text, says what; any other is wrapped with everything that is known of the event.
    fn apply(crossing: Crossing) -> Result<Option<String>, String> {
        let Crossing { event, topic, payload, .. } = crossing;
        match payload.as_str() {
            "\"skip\"" => Ok(None),
            "\"error\"" => Err("it does not fit".to_owned()),
            "\"garbage\"" => Ok(Some("{ not json".to_owned())),
            "\"trap\"" => panic!("as it was told"),
            _ => Ok(Some(format!(
                r#"{{"payload":{payload},"topic":"{topic}","kind":"{}","source":"{}","id":"{}","subject":"{}","time":"{}","data":{}}}"#,
                event.kind,
                event.source,
                event.id,
                event.subject.unwrap_or_default(),
                event.time.unwrap_or_default(),
                event.data,
            ))),
        }
    }
}

impl connection::Guest for Kinds {
    /// Tells everybody and the bus; the user's id says what else.
    fn changed(peer: Peer, phase: Phase) -> Result<Vec<Effect>, String> {
        let user = peer.user.map(|user| user.id).unwrap_or_default();
        let phase = match phase {
            Phase::Connected => "connected",
            Phase::Disconnected => "disconnected",
        };
        match user.as_str() {
            "error" => return Err("not now".to_owned()),
            "trap" => panic!("as it was told"),
            "not-granted" => return Ok(vec![emit("secret", "1".to_owned())]),
            _ => {}
        }
        let told = format!(r#"{{"phase":"{phase}","user":"{user}","connection":"{}"}}"#, peer.connection_id);
        let publish = Publish { kind: format!("connection.{phase}"), subject: None, data: told.clone() };
        Ok(vec![emit("lobby", told), Effect::Publish(publish)])
    }
}

fn emit(topic: &str, payload: String) -> Effect {
    Effect::Emit(Emit { topic: topic.to_owned(), payload, to: Audience::Others })
}

export!(Kinds);
