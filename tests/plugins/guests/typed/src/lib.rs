//! A plugin of every kind in one component, written with the Rust SDK.

use tidegate_plugin::prelude::*;

struct Typed;

/// What it reads and writes everywhere.
#[derive(Serialize, Deserialize)]
struct Count {
    n: i64,
}

impl Handler for Typed {
    type Payload = Count;

    fn handle(_: &Context, count: Count) -> Result<Outcome, Refusal> {
        Outcome::reply(&Count { n: count.n + 1 }).done()
    }
}

impl Authorizer for Typed {
    fn authorize(_: &Context, _: &Request) -> Result<Decision, String> {
        Ok(Decision::allow())
    }
}

impl Snapshot for Typed {
    type Payload = Count;

    /// The topic's param says how far to count, or that a server is asked.
    fn provide(context: &Context) -> Result<Vec<Count>, String> {
        let upto = context.param("what").unwrap_or_default();
        if upto == "http" {
            let answer = http::post("http://api.test/count").bearer("t").json(&Count { n: 1 }).send()?.ok()?;
            return Ok(answer.json()?);
        }
        let upto: i64 = upto.parse().map_err(|error| format!("`{upto}`: {error}"))?;
        Ok((0..upto).map(|n| Count { n }).collect())
    }
}

impl Transform for Typed {
    type Payload = Count;
    type Published = Count;

    /// Adds up the payload and the event's data; nothing crosses that adds up to 0.
    fn apply(crossing: &Crossing, payload: Count) -> Result<Option<Count>, String> {
        let data: Count = crossing.event.data.read()?;
        let n = payload.n + data.n;
        Ok((n != 0).then_some(Count { n }))
    }
}

impl Connection for Typed {
    /// Tells the lobby and the bus who came; nobody when somebody goes.
    fn changed(peer: &Peer, phase: Phase) -> Result<Effects, String> {
        let user = peer.user_id().ok_or("anonymous")?;
        match phase {
            Phase::Connected => Effects::none().emit_to_others("lobby", &user).publish("connection.came", &user).done(),
            Phase::Disconnected => Ok(Effects::none()),
        }
    }
}

register!(Typed: handler, authorizer, snapshot, transform, connection);
