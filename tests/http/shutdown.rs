//! The end of a whole server, as its clients and its operator see it: composed as `serve` composes it, on a port of its
//! own, stopped by the test.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tidegate::app::{self, AppError, Options};
use tidegate::reload::Terms;
use tidegate_core::config::{Anonymous, ApiKey, ApiKeys, Config, Permission, Secret, StorePlace};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::CHANNELS;

const PATH: &str = "/socket.io/?EIO=4&transport=polling";
/// Far more than a shutdown takes; a server that does not stop fails the test.
const STOP_MAX: Duration = Duration::from_secs(60);
const EVENT: &str =
    r#"{"specversion":"1.0","id":"1","source":"/cms","type":"article.published","data":{"title":"Last"}}"#;

/// A server that serves.
struct App {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), AppError>>,
}

fn config(root: &Path) -> Config {
    let mut config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        channels: root.join("channels"),
        plugins: root.join("plugins"),
        plugin_quarantine: root.join("quarantine.json"),
        bridge: root.join("bridge.yaml"),
        store: StorePlace::Memory,
        ..Config::default()
    };
    config.auth.anonymous = Anonymous::Allow;
    let key = ApiKey { name: "cms".to_owned(), key: Secret::from("key".to_owned()), may: Permission::ALL.to_vec() };
    config.api_keys = ApiKeys(vec![key]);
    config
}

impl App {
    async fn start(root: &Path) -> Self {
        for directory in ["channels", "plugins"] {
            std::fs::create_dir(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("channels/test.yaml"), CHANNELS).unwrap();
        std::fs::write(root.join("bridge.yaml"), "rules:\n  - { on: article.published, to: news }\n").unwrap();
        let server = app::prepare(config(root), Terms::Whole).await.unwrap().build().await.unwrap();
        let (ready, listening) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = Options { ready: Some(ready), ..Options::default() };
        let served = tokio::spawn(server.serve(async move { stopped.await.unwrap() }, options));
        Self { address: listening.await.unwrap(), stop, served }
    }

    /// The body of the answer; `None` if there is no answer, or another one than 200 or 202.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Option<String> {
        ask(self.address, method, path, body).await.ok().flatten()
    }

    /// Begins a session of a client that polls, and subscribes it to `news`.
    async fn subscribe(&self) -> String {
        let opened = self.ask("GET", PATH, "").await.unwrap();
        let opened: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
        let session = format!("{PATH}&sid={}", opened["sid"].as_str().unwrap());
        self.ask("POST", &session, "40").await.unwrap();
        self.hear(&session, "40{").await;
        self.ask("POST", &session, r#"420["subscribe",{"channel":"news"}]"#).await.unwrap();
        self.hear(&session, r#"430[{"#).await;
        session
    }

    /// Polls until a packet comes that begins so, and answers heartbeats meanwhile.
    async fn hear(&self, session: &str, wanted: &str) {
        loop {
            let packets = self.ask("GET", session, "").await.unwrap();
            for packet in packets.split('\u{1e}') {
                match packet {
                    "2" => drop(self.ask("POST", session, "3").await.unwrap()),
                    packet if packet.starts_with(wanted) => return,
                    _ => {}
                }
            }
        }
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<Option<String>> {
    let mut stream = TcpStream::connect(address).await?;
    let of_a_backend = "authorization: Bearer key\r\ncontent-type: application/cloudevents+json";
    let headers = if path.starts_with("/v1/") { of_a_backend } else { "content-type: text/plain" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(["HTTP/1.1 200", "HTTP/1.1 202"].iter().any(|good| head.starts_with(good)).then(|| body.to_owned()))
}

#[tokio::test]
async fn a_server_that_stops_delivers_what_it_accepted_tells_its_clients_and_ends() {
    let root = tempfile::tempdir().unwrap();
    let app = App::start(root.path()).await;
    let session = app.subscribe().await;
    app.ask("POST", "/v1/events", EVENT).await.unwrap();
    app.stop.send(()).unwrap();
    let mut heard = Vec::new();
    while let Ok(Some(packets)) = ask(app.address, "GET", &session, "").await {
        heard.extend(packets.split('\u{1e}').map(str::to_owned));
    }
    timeout(STOP_MAX, app.served).await.unwrap().unwrap().unwrap();
    let place = |begins: &str| heard.iter().position(|packet| packet.starts_with(begins));
    let (event, told) = (place(r#"42["news""#), place(r#"42["tidegate",{"type":"draining","retry_in":"#));
    assert!(event.is_some() && event < told, "{heard:?}");
    assert!(TcpStream::connect(app.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_server_without_clients_stops_as_well() {
    let root = tempfile::tempdir().unwrap();
    let app = App::start(root.path()).await;
    assert!(app.ask("GET", "/healthz", "").await.is_some());
    app.stop.send(()).unwrap();
    timeout(STOP_MAX, app.served).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(app.address).await.is_err(), "nobody listens any more");
}
