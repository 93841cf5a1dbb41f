//! A plugin of every kind in one component, written with the Rust SDK.

use std::time::Duration;

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
    /// Lets everybody join and send. A connection's token, or its cookie `sid`, says what becomes of it.
    fn authorize(_: &Context, request: &Request) -> Result<Decision, String> {
        if !matches!(request.action, Action::Connect) {
            return Ok(Decision::allow());
        }
        let word = match request.credential()? {
            Credential::Token(token) => token,
            Credential::Cookies(mut cookies) => cookies.remove("sid").unwrap_or_default(),
        };
        let user =
            |id: &str| User { id: id.to_owned(), roles: vec!["editor".to_owned()], tenant: Some("t".to_owned()) };
        match word.split_once(':').unwrap_or((&word, "")) {
            ("user", id) => Ok(Decision::admit(user(id), Duration::from_secs(3600))),
            ("for-2s", id) => Ok(Decision::admit(user(id), Duration::from_secs(2))),
            ("guest", _) => Ok(Decision::allow()),
            ("large", _) => Ok(Decision::admit(user(&"x".repeat(9000)), Duration::ZERO)),
            ("trap", _) => panic!("as it was told"),
            ("loop", _) => loop {
                std::hint::black_box(0);
            },
            ("away", _) => Err("the sessions are away".to_owned()),
            _ => Ok(Decision::deny("nobody has this token")),
        }
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
