//! The life of a client in Rust, told in lines of JSON: see lives.mjs, where the stock client's is.
//!
//! usage: tidegate-e2e-client sync|async URL TOPIC TOKEN TRANSPORT,…

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use rust_socketio::asynchronous::{self, Client, ReconnectSettings};
use rust_socketio::{ClientBuilder, Event, Payload, RawClient, TransportType};
use serde_json::{Value, json};

const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// Milliseconds, at least and at most.
const BACK_SOON: (u64, u64) = (50, 200);

/// What the client is to do, from the command line.
#[derive(Clone)]
struct Task {
    url: String,
    topic: String,
    token: String,
    transport: TransportType,
    /// The client does not say what carries it; it takes what it was told to, or fails.
    carried_by: &'static str,
}

fn tell(what: &str, value: Value) {
    println!("{}", json!({ "what": what, "value": value }));
}

/// The arguments of an event. Those of an ack come as one list.
fn arguments(payload: Payload) -> Vec<Value> {
    match payload {
        Payload::Text(values) => match <[Value; 1]>::try_from(values) {
            Ok([Value::Array(arguments)]) => arguments,
            Ok([only]) => vec![only],
            Err(values) => values,
        },
        other => panic!("{other:?} in place of JSON"),
    }
}

fn first(payload: Payload) -> Value {
    arguments(payload).into_iter().next().unwrap_or_default()
}

/// Errors are texts; the text of a refusal ends with its JSON. Somebody who is refused is done.
fn judge(error: Payload) {
    let text = first(error).as_str().unwrap_or_default().to_owned();
    let Some((_, refusal)) = text.split_once("ConnectError frame: ") else { return };
    tell("refused", serde_json::from_str(refusal).expect("JSON"));
    std::process::exit(0);
}

fn run_sync(task: Task) {
    let (topic, channel) = (task.topic.clone(), json!({ "channel": task.topic }));
    let connected = move |_: Payload, socket: RawClient| {
        tell("connected", json!(task.carried_by));
        let topic = topic.clone();
        let subscribed = move |ack: Payload, socket: RawClient| {
            tell("subscribed", first(ack));
            let acked = |ack: Payload, _: RawClient| tell("acked", first(ack));
            let topic = topic.clone();
            // The client locks its acks while it calls this: another event with an ack has to wait.
            std::thread::spawn(move || {
                socket.emit_with_ack(topic, json!({ "n": 1 }), ACK_TIMEOUT, acked).expect("an event is sent");
            });
        };
        socket.emit_with_ack("subscribe", channel.clone(), ACK_TIMEOUT, subscribed).expect("an event is sent");
    };
    let _client = ClientBuilder::new(task.url)
        .auth(json!({ "token": task.token }))
        .transport_type(task.transport)
        .reconnect_delay(BACK_SOON.0, BACK_SOON.1)
        .on(Event::Error, |error, _| judge(error))
        .on(Event::Close, |_, _| tell("gone", json!("the connection ended")))
        .on(Event::Connect, connected)
        .on(task.topic, |payload, _| tell("received", first(payload)["n"].clone()))
        .connect()
        .expect("a connection");
    loop {
        std::thread::park();
    }
}

async fn subscribe(task: Task, client: Client) {
    tell("connected", json!(task.carried_by));
    let topic = task.topic.clone();
    let subscribed = move |ack: Payload, client: Client| {
        let topic = topic.clone();
        async move {
            tell("subscribed", first(ack));
            let acked = |ack: Payload, _: Client| async { tell("acked", first(ack)) }.boxed();
            // As above.
            tokio::spawn(async move {
                client.emit_with_ack(topic, json!({ "n": 1 }), ACK_TIMEOUT, acked).await.expect("an event is sent");
            });
        }
        .boxed()
    };
    let channel = json!({ "channel": task.topic });
    client.emit_with_ack("subscribe", channel, ACK_TIMEOUT, subscribed).await.expect("an event is sent");
}

#[tokio::main]
async fn run_async(task: Task) {
    let is_connected = Arc::new(AtomicBool::new(false));
    let (connects, lost) = (Arc::clone(&is_connected), Arc::clone(&is_connected));
    let (builder, topic) = (asynchronous::ClientBuilder::new(task.url.clone()), task.topic.clone());
    let _client = builder
        .auth(json!({ "token": task.token }))
        .transport_type(task.transport.clone())
        .reconnect_delay(BACK_SOON.0, BACK_SOON.1)
        .on(Event::Error, |error, _| async { judge(error) }.boxed())
        .on(Event::Close, |_, _| async { tell("gone", json!("server disconnect")) }.boxed())
        // A connection that ends is no event; what comes after it is, as often as it is tried.
        .on_reconnect(move || {
            if lost.swap(false, Ordering::AcqRel) {
                tell("gone", json!("the connection ended"));
            }
            async { ReconnectSettings::new() }.boxed()
        })
        .on(Event::Connect, move |_, client| {
            connects.store(true, Ordering::Release);
            subscribe(task.clone(), client).boxed()
        })
        .on(topic.as_str(), |payload, _| async { tell("received", first(payload)["n"].clone()) }.boxed())
        .connect()
        .await
        .expect("a connection");
    std::future::pending().await
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [make, url, topic, token, transports] = <[String; 5]>::try_from(words).expect("five words");
    let (transport, carried_by) = match transports.as_str() {
        "polling" => (TransportType::Polling, "polling"),
        "websocket" => (TransportType::Websocket, "websocket"),
        "polling,websocket" => (TransportType::WebsocketUpgrade, "websocket"),
        other => panic!("`{other}`: no way to connect"),
    };
    let task = Task { url, topic, token, transport, carried_by };
    match make.as_str() {
        "sync" => run_sync(task),
        _ => run_async(task),
    }
}
