//! The server of the conformance tests: a small application on the transport, and nothing else.
//!
//! The argument is a JSON object of settings; the server prints its address in one line.

#![allow(clippy::print_stdout, reason = "the tests read the address there")]

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

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
    compressed_from: Option<usize>,
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
        settings.compressed_from = self.compressed_from;
        settings
    }
}

/// Names that Socket.IO keeps for itself.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Sends back what it gets.
#[derive(Default)]
struct Echo {
    clients: AtomicU64,
}

struct Client {
    socket: Socket,
    auth: Value,
    /// How many questions it was asked, and those that it has not answered.
    questions: Mutex<(u64, HashSet<u64>)>,
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
        let client = Client { socket: connect.socket, auth, questions: Mutex::default() };
        Ok(Connected { client: Arc::new(client), id, pid: None })
    }

    fn connected(&self, client: &Arc<Client>) {
        client.emit("auth", std::slice::from_ref(&client.auth));
    }

    async fn event(&self, client: &Arc<Client>, event: Event) -> Result<(), Malformed> {
        let array: Vec<Value> = serde_json::from_str(&event.array).map_err(|_| Malformed)?;
        let Some((Value::String(name), arguments)) = array.split_first() else { return Err(Malformed) };
        if RESERVED.contains(&name.as_str()) {
            return Err(Malformed);
        }
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
                let mut questions = client.questions.lock();
                let id = questions.0;
                *questions = (id + 1, questions.1.iter().copied().chain([id]).collect());
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
            ("hang-up", _) => socket.finish(CloseReason::ServerClose),
            _ => {}
        }
        Ok(())
    }

    fn answered(&self, client: &Arc<Client>, answer: Event) {
        let id = answer.id.and_then(|id| u64::try_from(id).ok());
        if !id.is_some_and(|id| client.questions.lock().1.remove(&id)) {
            return;
        }
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
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (transport, path) = (transport.clone(), path.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let (transport, is_known) = (transport.clone(), request.uri().path() == path);
            async move {
                if !is_known {
                    let missing = Response::builder().status(StatusCode::NOT_FOUND).body(Full::default());
                    return Ok::<_, Infallible>(missing.unwrap_or_default());
                }
                let upgrade = hyper::upgrade::on(&mut request);
                Ok(transport.serve(request, Box::pin(wire(upgrade))).await)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service).with_upgrades());
    }
}
