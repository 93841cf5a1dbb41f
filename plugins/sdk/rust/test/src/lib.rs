//! The guest of `tests/e2e/guest.mjs` in Rust: of every kind, and does what a message asks for.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidegate_plugin::kv::{Bucket, Write};
use tidegate_plugin::log::Level;
use tidegate_plugin::prelude::*;
use tidegate_plugin::queries::{self, Query};
use tidegate_plugin::{Payload, http, kv};

/// What a message asks for.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "most messages say all they have to say with their name"
)]
enum Order {
    N(i64),
    Others(i64),
    Gone(i64),
    Cleared(bool),
    Echo(Value),
    Context(bool),
    Config(String),
    Log(String),
    Host(bool),
    Own(bool),
    Field(Field),
    Value(Value),
    Secret(String),
    Kv(Keep),
    Query {
        name: String,
        params: Vec<Value>,
    },
    Fetch {
        method: String,
        url: String,
        asked: String,
        body: Option<String>,
    },
    Unwritable(bool),
    Refuse(String),
    Crash(bool),
    Recurse(bool),
    Spin(bool),
    Hog(bool),
}

/// A name that is asked for exactly.
#[derive(Deserialize)]
struct Field {
    name: Option<String>,
}

/// What is to be done with a bucket.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Keep {
    op: String,
    bucket: String,
    key: String,
    text: String,
    delta: i64,
    after: Option<String>,
    limit: u32,
    if_revision: Option<u64>,
    ttl_ms: Option<u64>,
}

struct Everything;

fn pong(n: i64) -> Value {
    json!({ "pong": n })
}

fn user(user: Option<&User>) -> Value {
    user.map_or(
        Value::Null,
        |user| json!({ "id": user.id, "roles": user.roles, "tenant": user.tenant }),
    )
}

fn told(context: &Context) -> Value {
    json!({
        "topic": context.topic,
        "channel": context.channel,
        "params": context.params,
        "user": user(context.user.as_ref()),
        "connection_id": context.connection_id,
        "received_at_ms": context.received_at_ms,
        "deadline_ms": context.deadline_ms,
        "attributes": context.attributes,
    })
}

fn host() -> Value {
    let hex: String = random::bytes(16)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (sooner, later) = (clock::monotonic(), clock::monotonic());
    json!({
        "now_ms": clock::now_ms(),
        "sooner_us": u64::try_from(sooner.as_micros()).unwrap_or(u64::MAX),
        "later_us": u64::try_from(later.as_micros()).unwrap_or(u64::MAX),
        "bytes": hex,
        "number": random::next_u64().to_string(),
    })
}

/// What the language itself draws and reads.
fn own() -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    json!({
        "random": RandomState::new().hash_one(0).to_string(),
        "now_ms": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    })
}

fn failed(name: &str) -> Value {
    json!({ "error": name })
}

fn revealed(name: &str) -> Value {
    match secrets::get(name) {
        Ok(secret) => json!({ "secret": secret }),
        Err(secrets::Error::Denied) => failed("denied"),
        Err(secrets::Error::Missing) => failed("missing"),
    }
}

fn kept(order: &Keep) -> Result<Value, kv::Error> {
    let (bucket, ttl) = (
        Bucket::new(&order.bucket),
        order.ttl_ms.map(Duration::from_millis),
    );
    Ok(match order.op.as_str() {
        "get" => {
            let text = |entry: kv::Entry| json!({ "text": String::from_utf8_lossy(&entry.value), "revision": entry.revision });
            json!({ "entry": bucket.get(&order.key)?.map(text) })
        }
        "put" => {
            let how = Write {
                if_revision: order.if_revision,
                ttl,
            };
            json!({ "revision": bucket.write(&order.key, &order.text, how)? })
        }
        "delete" => json!({ "existed": bucket.delete(&order.key, order.if_revision)? }),
        "increment" => json!({ "sum": bucket.increment(&order.key, order.delta, ttl)? }),
        _ => json!({ "keys": bucket.keys(&order.key, order.after.as_deref(), order.limit)? }),
    })
}

fn keep(order: &Keep) -> Value {
    kept(order).unwrap_or_else(|error| match error {
        kv::Error::Conflict(revision) => json!({ "error": "conflict", "revision": revision }),
        kv::Error::Denied => failed("denied"),
        kv::Error::NotAnInteger => failed("not-an-integer"),
        error => failed(&error.to_string()),
    })
}

fn ask(name: &str, params: &[Value]) -> Value {
    match Query::new(name).rows::<Value>(&params) {
        Ok(rows) => json!({ "rows": rows }),
        Err(queries::Error::Denied) => failed("denied"),
        Err(queries::Error::InvalidParams(_)) => failed("invalid"),
        Err(error) => failed(&error.to_string()),
    }
}

fn fetch(method: String, url: String, asked: String, body: Option<String>) -> Value {
    let request = http::request(method, url).header("x-asked", asked);
    let request = if let Some(body) = body {
        request.body(body)
    } else {
        request
    };
    match request.send() {
        Ok(response) => json!({
            "status": response.status,
            "answered": response.header("X-Answered"),
            "body": String::from_utf8_lossy(&response.body),
        }),
        Err(http::Error::Denied(_)) => failed("denied"),
        Err(error) => failed(&error.to_string()),
    }
}

fn refusal(why: &str) -> Refusal {
    let sentence = "no 🦊 today".to_owned();
    match why {
        "invalid_payload" => Refusal::InvalidPayload(sentence),
        "forbidden" => Refusal::Forbidden(sentence),
        "unavailable" => Refusal::Unavailable(sentence),
        _ => Refusal::Failed(sentence),
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(n: u64) -> u64 {
    black_box([n; 64]).iter().sum::<u64>() + recurse(black_box(n + 1))
}

fn hog() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

impl Handler for Everything {
    type Payload = Order;

    fn handle(context: &Context, order: Order) -> Result<Outcome, Refusal> {
        match order {
            Order::N(n) => Outcome::reply(&pong(n))
                .emit(&context.topic, &pong(n))
                .publish_about("ping.seen", context.user_id(), &json!({ "n": n }))
                .done(),
            Order::Others(n) => Outcome::none()
                .emit_to_others(&context.topic, &pong(n))
                .done(),
            Order::Gone(n) => Outcome::none().remove(&context.topic, &n).done(),
            Order::Cleared(_) => Outcome::none().remove_all(&context.topic).done(),
            Order::Echo(value) => Outcome::reply(&value).done(),
            Order::Context(_) => Outcome::reply(&told(context)).done(),
            Order::Config(key) => {
                Outcome::reply(&config::get::<Value>(&key).unwrap_or_default()).done()
            }
            Order::Log(line) => {
                log::write(Level::Warn, &line, &[("colour", "blue")]);
                Outcome::none().done()
            }
            Order::Host(_) => Outcome::reply(&host()).done(),
            Order::Own(_) => Outcome::reply(&own()).done(),
            Order::Field(field) => Outcome::reply(&field.name).done(),
            Order::Value(value) => Outcome::reply(&value).done(),
            Order::Secret(name) => Outcome::reply(&revealed(&name)).done(),
            Order::Kv(order) => Outcome::reply(&keep(&order)).done(),
            Order::Query { name, params } => Outcome::reply(&ask(&name, &params)).done(),
            Order::Fetch {
                method,
                url,
                asked,
                body,
            } => Outcome::reply(&fetch(method, url, asked, body)).done(),
            Order::Unwritable(_) => Outcome::reply(&BTreeMap::from([("n", [f64::NAN])])).done(),
            Order::Refuse(why) => Err(refusal(&why)),
            Order::Crash(_) => panic!("as it was told"),
            Order::Recurse(_) => Outcome::reply(&recurse(0)).done(),
            Order::Spin(_) => loop {
                black_box(0);
            },
            Order::Hog(_) => hog(),
        }
    }
}

/// Members of a vault may join it and send on it; nobody may say `crash` there.
impl Authorizer for Everything {
    fn authorize(context: &Context, request: &Request) -> Result<Decision, String> {
        let vault = context
            .param("vaultId")
            .filter(|vault| *vault != "broken")
            .ok_or("the vault is broken")?;
        if vault == "away" {
            return Ok(Decision::cannot_tell("the vault is away"));
        }
        let message: Option<Value> = request.payload.as_ref().map(Payload::read).transpose()?;
        assert!(
            message.is_none_or(|message| message.get("crash").is_none()),
            "as it was told"
        );
        let members: BTreeMap<String, Vec<String>> = config::get("members")?;
        let is_member = members
            .get(vault)
            .is_some_and(|ids| ids.iter().any(|id| context.user_id() == Some(id)));
        Ok(if is_member {
            Decision::allow()
        } else {
            Decision::deny(format!("no member of vault `{vault}`"))
        })
    }
}

/// As many payloads as the topic says, and who asked.
impl Snapshot for Everything {
    type Payload = Value;

    fn provide(context: &Context) -> Result<Vec<Value>, String> {
        let what = context.param("what").unwrap_or_default();
        assert_ne!(what, "crash", "as it was told");
        let count: usize = what.parse().map_err(|_| format!("no state of `{what}`"))?;
        Ok((0..count)
            .map(|n| json!({ "n": n, "to": context.user_id() }))
            .collect())
    }
}

/// Orders of 0 do not cross, and those below are none.
impl Transform for Everything {
    type Payload = i64;
    type Published = Value;

    fn apply(crossing: &Crossing, cents: i64) -> Result<Option<Value>, String> {
        let event = &crossing.event;
        match cents {
            0 => Ok(None),
            ..0 => Err(format!("a refund of {} is no order", -cents)),
            _ => Ok(Some(json!({
                "cents": cents, "type": event.kind, "source": event.source, "id": event.id, "subject": event.subject,
                "time": event.time, "data": event.data.read::<Value>()?, "topic": crossing.topic,
            }))),
        }
    }
}

/// Tells the lobby and the bus.
impl Connection for Everything {
    fn changed(peer: &Peer, phase: Phase) -> Result<Effects, String> {
        let phase = match phase {
            Phase::Connected if peer.user_id() == Some("broken") => {
                return Err("not at home to `broken`".to_owned());
            }
            Phase::Connected => "connected",
            Phase::Disconnected => "disconnected",
        };
        let told =
            json!({ "phase": phase, "user": peer.user_id(), "connection": peer.connection_id });
        Effects::none()
            .emit_to_others("lobby", &told)
            .publish(&format!("connection.{phase}"), &told)
            .done()
    }
}

register!(Everything: handler, authorizer, snapshot, transform, connection);
