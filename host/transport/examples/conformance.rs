//! The server of the conformance tests: a small application on the transport, and nothing else.
//!
//! The argument is a JSON object of settings; the server prints its address in one line.

#![allow(clippy::print_stdout, reason = "the tests read the address there")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use tidegate_transport::{
    Answer, CloseReason, Connect, Connected, Event, Handler, Malformed, Packet, Refusal, Settings, Socket, Transport,
    Wire,
};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Given {
    path: Option<String>,
    ping_interval_ms: Option<u64>,
    ping_timeout_ms: Option<u64>,
    connect_timeout_ms: Option<u64>,
    upgrade_timeout_ms: Option<u64>,
    payload_bytes_max: Option<usize>,
}

impl Given {
    fn settings(self) -> Settings {
        let mut settings = Settings::default();
        let time = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
        settings.path = self.path.unwrap_or(settings.path);
        settings.ping_interval = time(self.ping_interval_ms, settings.ping_interval);
        settings.ping_timeout = time(self.ping_timeout_ms, settings.ping_timeout);
        settings.connect_timeout = time(self.connect_timeout_ms, settings.connect_timeout);
        settings.upgrade_timeout = time(self.upgrade_timeout_ms, settings.upgrade_timeout);
        settings.payload_bytes_max = self.payload_bytes_max.unwrap_or(settings.payload_bytes_max);
        settings
    }
}

/// Sends back what it gets.
#[derive(Default)]
struct Echo {
    clients: AtomicU64,
}

struct Client {
    socket: Socket,
    auth: Value,
    questions: AtomicU64,
}

impl Client {
    fn emit(&self, name: &str, arguments: &[Value]) {
        let texts: Vec<String> = arguments.iter().map(Value::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let _ = self.socket.send(&Packet::event(self.socket.namespace(), name, &texts));
    }
}

impl Handler for Echo {
    type Opening = ();
    type Client = Client;

    fn open(&self, _: &Parts) -> Result<(), Box<Answer>> {
        Ok(())
    }

    fn resume(&self, (): &(), _: &Parts) -> Result<(), Box<Answer>> {
        Ok(())
    }

    fn knows(&self, namespace: &str) -> bool {
        ["/", "/custom", "/refused"].contains(&namespace)
    }

    async fn connect(&self, connect: Connect<'_, ()>) -> Result<Connected<Client>, Refusal> {
        if connect.namespace == "/refused" {
            let data = Some(json!({ "code": "forbidden" }));
            return Err(Refusal::Answer { message: "no entry".to_owned(), data });
        }
        let auth = match connect.auth {
            None => json!({}),
            Some(Ok(auth @ Value::Object(_))) => auth,
            Some(_) => return Err(Refusal::Close(None)),
        };
        let id = format!("client-{}", self.clients.fetch_add(1, Ordering::Relaxed));
        let client = Client { socket: connect.socket, auth, questions: AtomicU64::new(0) };
        Ok(Connected { client: Arc::new(client), id, pid: None })
    }

    fn connected(&self, client: &Arc<Client>) {
        client.emit("auth", std::slice::from_ref(&client.auth));
    }

    async fn event(&self, client: &Arc<Client>, event: Event) -> Result<(), Malformed> {
        let array: Vec<Value> = serde_json::from_str(&event.array).map_err(|_| Malformed)?;
        let Some((Value::String(name), arguments)) = array.split_first() else { return Err(Malformed) };
        let socket = &client.socket;
        let id = event.id.and_then(|id| u64::try_from(id).ok());
        match (name.as_str(), id) {
            ("message", _) if !event.attachments.is_empty() => {
                let mut back = array.clone();
                back[0] = json!("message-back");
                let text = Value::Array(back).to_string();
                let packet = Packet::binary(socket.namespace(), None, &text, event.attachments.into());
                let _ = socket.send(&packet);
            }
            ("message", _) => client.emit("message-back", arguments),
            ("message-with-ack", Some(id)) if !event.attachments.is_empty() => {
                let text = Value::Array(arguments.to_vec()).to_string();
                let packet = Packet::binary(socket.namespace(), Some(id), &text, event.attachments.into());
                let _ = socket.send(&packet);
            }
            ("message-with-ack", Some(id)) => {
                let texts: Vec<String> = arguments.iter().map(Value::to_string).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let _ = socket.send(&Packet::ack(socket.namespace(), id, &texts));
            }
            ("ask", _) => {
                let id = client.questions.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send(&Packet::question(socket.namespace(), id, "question", &[]));
            }
            ("burst", _) => {
                let number = |at: usize| arguments.get(at).and_then(Value::as_u64).unwrap_or_default();
                let text = "x".repeat(usize::try_from(number(1)).unwrap_or_default());
                for n in 0..number(0) {
                    client.emit("burst", &[json!(n), json!(text)]);
                }
            }
            ("kick", _) => {
                let _ = socket.disconnect();
            }
            ("hang-up", _) => socket.finish(),
            _ => {}
        }
        Ok(())
    }

    fn answered(&self, client: &Arc<Client>, answer: Event) {
        let arguments: Vec<Value> = serde_json::from_str(&answer.array).unwrap_or_default();
        if answer.attachments.is_empty() {
            return client.emit("answered", &arguments);
        }
        let text = Value::Array(std::iter::once(json!("answered")).chain(arguments).collect()).to_string();
        let namespace = client.socket.namespace();
        let _ = client.socket.send(&Packet::binary(namespace, None, &text, answer.attachments.into()));
    }

    fn closed(&self, _: &Arc<Client>, _: CloseReason) {}
}

/// The TCP connection below a request, once it is a websocket.
async fn wire(upgrade: hyper::upgrade::OnUpgrade) -> io::Result<Wire> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| io::Error::other("not a TCP connection"))?;
    Ok(Wire::new(parts.io.into_inner(), parts.read_buf, ()))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let given: Given = match std::env::args().nth(1) {
        Some(text) => serde_json::from_str(&text)?,
        None => Given::default(),
    };
    let settings = given.settings();
    let path = settings.path.clone();
    let transport = Transport::new(Echo::default(), settings);
    let serve = move |mut request: axum::extract::Request| {
        let transport = transport.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut request);
            transport.serve(request, Box::pin(wire(upgrade))).await.map(Body::new)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = axum::Router::new().route(&path, axum::routing::any(serve));
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |tcp| drop(tcp.set_nodelay(true))), router).await
}
