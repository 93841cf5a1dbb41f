//! Lives of Socket.IO clients that keep to nothing: requests, upgrades and frames in any order, with any bytes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use tidegate_transport::{
    Answer, CloseReason, Connect, Connected, Event, Handler, Malformed, Packet, Refusal, Settings, Socket, Transport,
    Wire,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Longer than every timeout of the settings together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most steps of a life.
const STEPS_MAX: usize = 60;
/// Packets that mean something, in places where they may not.
const PACKETS: [&str; 24] = [
    "40",
    "40/other,",
    "40/none,",
    "40{\"pid\":\"p\",\"offset\":\"o\"}",
    "41",
    "41/other,",
    "42[\"a\"]",
    "421[\"a\",{}]",
    "42/other,2[\"a\"]",
    "42[]",
    "42{}",
    "430[1]",
    "44",
    "451-[\"a\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"a\"]",
    "461-0[]",
    "bAQID",
    "b",
    "1",
    "2",
    "3",
    "2probe",
    "5",
    "6",
];
/// First bytes of frames: text, binary, fragments, control, and what no client may send.
const FRAMES: [u8; 12] = [0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x00, 0x88, 0x89, 0x8a, 0xc1, 0xf3];

/// The application: it remembers what became of each client.
#[derive(Default)]
struct Application {
    clients: AtomicU64,
    /// Clients that are connected, by number.
    connected: Mutex<HashMap<u64, Socket>>,
    broken: Mutex<Vec<&'static str>>,
}

struct Client {
    number: u64,
    socket: Socket,
    /// 0 before it is connected, 1 then, 2 when it is closed.
    stage: AtomicU8,
}

impl Application {
    fn goes_on(&self, client: &Client, from: u8, what: &'static str) {
        if client.stage.compare_exchange(from, from + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.broken.lock().push(what);
        }
    }
}

impl Handler for Application {
    type Opening = ();
    type Client = Client;

    fn open(&self, _: &Parts) -> Result<(), Box<Answer>> {
        Ok(())
    }

    fn resume(&self, (): &(), _: &Parts) -> Result<(), Box<Answer>> {
        Ok(())
    }

    fn knows(&self, namespace: &str) -> bool {
        ["/", "/other"].contains(&namespace)
    }

    async fn connect(&self, connect: Connect<'_, ()>) -> Result<Connected<Client>, Refusal> {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        if number % 7 == 6 {
            return Err(Refusal::Answer { message: "no".to_owned(), data: None });
        }
        tokio::task::yield_now().await;
        let client = Client { number, socket: connect.socket, stage: AtomicU8::new(0) };
        Ok(Connected { client: Arc::new(client), id: format!("c{number}"), pid: None })
    }

    fn connected(&self, client: &Arc<Client>) {
        self.goes_on(client, 0, "connected twice");
        self.connected.lock().insert(client.number, client.socket.clone());
        let _ = client.socket.send(&Packet::event(client.socket.namespace(), "hello", &[]));
    }

    async fn event(&self, client: &Arc<Client>, event: Event) -> Result<(), Malformed> {
        if client.stage.load(Ordering::Acquire) == 0 {
            self.broken.lock().push("an event before the client is connected");
        }
        let answers = event.id.and_then(|id| u64::try_from(id).ok());
        if !event.attachments.is_empty() {
            if serde_json::from_str::<Vec<serde_json::Value>>(&event.array).is_err() {
                self.broken.lock().push("an event with attachments that is no array");
            }
            let back = Packet::binary(client.socket.namespace(), answers, &event.array, event.attachments.into());
            let _ = client.socket.send(&back);
        } else if let Some(id) = answers {
            let _ = client.socket.send(&Packet::ack(client.socket.namespace(), id, &["1"]));
        }
        if event.array.starts_with("[\"") { Ok(()) } else { Err(Malformed) }
    }

    fn closed(&self, client: &Arc<Client>, _: CloseReason) {
        self.goes_on(client, 1, "closed before it was connected, or twice");
        self.connected.lock().remove(&client.number);
    }
}

/// A server of the application, with short times.
pub(crate) struct Place {
    transport: Transport<Application>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Place {
    pub(crate) async fn start() -> Self {
        let settings = Settings {
            ping_interval: Duration::from_millis(40),
            ping_timeout: Duration::from_millis(40),
            connect_timeout: Duration::from_millis(60),
            upgrade_timeout: Duration::from_millis(40),
            body_timeout: Duration::from_millis(40),
            payload_bytes_max: 4096,
            attachments_max: 2,
            outbound_bytes_max: 8192,
            window_bytes_max: 4096,
            compressed_from: Some(64),
            ..Settings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { transport: Transport::new(Application::default(), settings), listener, address }
    }

    async fn ask(
        transport: Transport<Application>,
        request: Request<Full<Bytes>>,
        wire: Option<Wire>,
    ) -> (StatusCode, String) {
        let upgrading = Box::pin(async move { wire.ok_or_else(|| std::io::Error::other("no connection")) });
        let answer: Response<Full<Bytes>> = transport.serve(request, upgrading).await;
        let status = answer.status();
        let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The two ends of a connection.
    async fn pair(&self) -> (TcpStream, Wire) {
        let client = TcpStream::connect(self.address).await.unwrap();
        let (server, _) = self.listener.accept().await.unwrap();
        (client, Wire::new(server, Bytes::new(), ()))
    }

    /// What must hold after every life: all sessions are over, every client was told once that it is closed, nothing
    /// waits, and somebody else is served.
    pub(crate) async fn settles(&self) {
        let application = self.transport.handler();
        let over = async {
            while self.transport.sessions_count() > 0 || !application.connected.lock().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let is_over = timeout(PATIENCE, over).await.is_ok();
        assert!(
            is_over,
            "{} sessions and {} clients stay",
            self.transport.sessions_count(),
            application.connected.lock().len()
        );
        assert_eq!(self.transport.waiting_bytes(), 0, "bytes wait for nobody");
        assert_eq!(*application.broken.lock(), Vec::<&str>::new());
        let mut other = Life::new(self);
        other.open(false).await;
        assert!(other.session.is_some(), "a new client is served");
    }
}

/// One client.
pub(crate) struct Life<'a> {
    place: &'a Place,
    session: Option<String>,
    websocket: Option<TcpStream>,
    polls: Vec<JoinHandle<(StatusCode, String)>>,
}

impl<'a> Life<'a> {
    pub(crate) fn new(place: &'a Place) -> Self {
        Self { place, session: None, websocket: None, polls: Vec::new() }
    }

    /// Lives as these bytes say: a step, and what it needs.
    pub(crate) async fn run(mut self, bytes: &[u8]) {
        let mut rest = bytes;
        for _ in 0..STEPS_MAX {
            let Some((step, more)) = rest.split_first() else { break };
            rest = more;
            match step % 20 {
                0 => self.open(false).await,
                1 => self.open(true).await,
                16 => {
                    self.open(false).await;
                    let _ = self.post(b"40".to_vec()).await;
                }
                17 => {
                    self.open(true).await;
                    self.write(&masked(0x81, b"40")).await;
                }
                18 => drop(self.post(b"421[\"a\"]".to_vec()).await),
                19 => self.write(&masked(0x81, b"421[\"a\"]")).await,
                2 | 3 => self.poll(),
                4..=6 => {
                    let body = payload(&mut rest);
                    let _ = self.post(body).await;
                }
                7 => self.upgrade().await,
                8..=11 => {
                    let frame = frame(&mut rest);
                    self.write(&frame).await;
                }
                12 => self.websocket = None,
                13 => self.polls.drain(..).for_each(|poll| poll.abort()),
                14 => self.by_the_server(byte(&mut rest)),
                _ => tokio::task::yield_now().await,
            }
        }
        for poll in self.polls {
            poll.abort();
        }
    }

    /// Posts these bodies, each of which ends with a byte that is in no text, and polls for what they are answered with.
    pub(crate) async fn posts(mut self, bytes: &[u8]) {
        self.open(false).await;
        let _ = self.post(b"40".to_vec()).await;
        for body in bytes.split(|byte| *byte == 0xff) {
            let (status, text) = self.post(body.to_vec()).await;
            assert!(matches!(status.as_u16(), 200 | 400 | 413), "{status} {text}");
            let poll = Place::ask(self.place.transport.clone(), self.request("GET", false, Vec::new()), None);
            let Ok((status, text)) = timeout(Duration::from_millis(1), poll).await else { return };
            assert!(matches!(status.as_u16(), 200 | 400), "{status} {text}");
        }
    }

    /// Asks as these bytes say: a method and a query in the first line, `$` being the id of a session, then headers.
    pub(crate) async fn asks(mut self, bytes: &[u8]) {
        self.open(false).await;
        let text = String::from_utf8_lossy(bytes).replace('$', self.session.as_deref().unwrap_or_default());
        let mut lines = text.lines();
        let (method, query) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("/socket.io/?{query}"));
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            request = request.header(name, value.trim());
        }
        let Ok(request) = request.body(Full::new(Bytes::from_static(b"40"))) else { return };
        let asked = Place::ask(self.place.transport.clone(), request, None);
        // A poll waits for an event.
        let Ok((status, text)) = timeout(Duration::from_millis(1), asked).await else { return };
        assert!(matches!(status.as_u16(), 101 | 200 | 400 | 426), "{status} {text}");
        if status == StatusCode::BAD_REQUEST {
            let refusal: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(refusal["code"].is_u64() && refusal["message"].is_string(), "{text}");
        }
    }

    fn request(&self, method: &str, is_websocket: bool, body: Vec<u8>) -> Request<Full<Bytes>> {
        let transport = if is_websocket { "websocket" } else { "polling" };
        let session = self.session.as_ref().map(|session| format!("&sid={session}")).unwrap_or_default();
        let mut request =
            Request::builder().method(method).uri(format!("/socket.io/?EIO=4&transport={transport}{session}"));
        if is_websocket {
            request = request
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                .header("sec-websocket-extensions", "permessage-deflate");
        }
        request.body(Full::new(Bytes::from(body))).unwrap()
    }

    async fn open(&mut self, by_websocket: bool) {
        self.session = None;
        if by_websocket {
            return self.upgrade().await;
        }
        let (status, text) =
            Place::ask(self.place.transport.clone(), self.request("GET", false, Vec::new()), None).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let open: serde_json::Value = serde_json::from_str(&text[1..]).unwrap();
        self.session = open["sid"].as_str().map(str::to_owned);
    }

    fn poll(&mut self) {
        let request = self.request("GET", false, Vec::new());
        if self.session.is_some() {
            self.polls.push(tokio::spawn(Place::ask(self.place.transport.clone(), request, None)));
        }
    }

    async fn post(&mut self, body: Vec<u8>) -> (StatusCode, String) {
        Place::ask(self.place.transport.clone(), self.request("POST", false, body), None).await
    }

    async fn upgrade(&mut self) {
        let (client, wire) = self.place.pair().await;
        let request = self.request("GET", true, Vec::new());
        let (status, _) = Place::ask(self.place.transport.clone(), request, Some(wire)).await;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.websocket = Some(client);
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(websocket) = &mut self.websocket {
            // A server that reads nothing more is no reason to wait.
            let _ = timeout(Duration::from_millis(20), websocket.write_all(bytes)).await;
        }
    }

    /// The application does something to one of its clients.
    fn by_the_server(&self, what: u8) {
        let connected = self.place.transport.handler().connected.lock();
        let Some(socket) = connected.values().next().cloned() else { return };
        drop(connected);
        match what % 5 {
            0 => drop(socket.disconnect()),
            1 => socket.finish(CloseReason::ServerClose),
            2 => socket.cut(CloseReason::SlowConsumer),
            3 => socket.cut(CloseReason::ServerDrain),
            _ => {
                let text = format!("\"{}\"", "x".repeat(usize::from(what) * 8));
                for _ in 0..8 {
                    let _ = socket.send(&Packet::event(socket.namespace(), "burst", &[&text]));
                }
            }
        }
    }
}

fn byte(rest: &mut &[u8]) -> u8 {
    let Some((first, more)) = rest.split_first() else { return 0 };
    *rest = more;
    *first
}

/// A packet that means something, or any bytes.
fn packet(rest: &mut &[u8]) -> Vec<u8> {
    let kind = usize::from(byte(rest));
    if let Some(known) = PACKETS.get(kind % (PACKETS.len() + 4)) {
        return known.as_bytes().to_vec();
    }
    let count = usize::from(byte(rest)).min(rest.len());
    let (bytes, more) = rest.split_at(count);
    *rest = more;
    bytes.to_vec()
}

fn payload(rest: &mut &[u8]) -> Vec<u8> {
    let mut payload = packet(rest);
    for _ in 0..byte(rest) % 4 {
        payload.push(0x1e);
        payload.extend(packet(rest));
    }
    payload
}

/// A frame, masked as a client does it, mostly.
fn frame(rest: &mut &[u8]) -> Vec<u8> {
    let kind = byte(rest);
    let payload = packet(rest);
    let mut frame = masked(FRAMES[usize::from(kind) % FRAMES.len()], &payload);
    if kind > 250 {
        frame[1] &= 0x7f;
    }
    frame
}

/// A frame as a client writes it. Of a long payload the beginning.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..125).unwrap_or(payload);
    let mask = [9, 1, 2, 3];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap_or_default()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
