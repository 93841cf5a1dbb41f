//! The floor: an axum WebSocket server that does nothing but send one shared text to each subscriber, from a channel a
//! connection. What a server cannot easily undercut, with a websocket library and a task a connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, post};
use axum::serve::ListenerExt as _;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use tidegate_fanout::SUBSCRIBED;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// More than the benchmark ever has in flight.
const QUEUE_MAX: usize = 64;
const READ_BUFFER_BYTES: usize = 4096;

type Subscribers = Arc<Mutex<Vec<mpsc::Sender<Utf8Bytes>>>>;

async fn upgrade(State(subscribers): State<Subscribers>, upgrade: WebSocketUpgrade) -> Response {
    // The default, 128 KiB, is cleared before each read.
    upgrade.read_buffer_size(READ_BUFFER_BYTES).on_upgrade(|socket| subscribe(socket, subscribers))
}

async fn subscribe(socket: WebSocket, subscribers: Subscribers) {
    let (mut writer, mut reader) = socket.split();
    let (sender, mut texts) = mpsc::channel(QUEUE_MAX);
    subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    if writer.send(Message::text(SUBSCRIBED)).await.is_err() {
        return;
    }
    // A task of its own, so that a publication does not try to read.
    tokio::spawn(async move { while let Some(Ok(_)) = reader.next().await {} });
    while let Some(text) = texts.recv().await
        && write(&mut writer, text, &mut texts).await.is_ok()
    {}
}

type Writer = SplitSink<WebSocket, Message>;

/// Writes what waits, with one flush.
async fn write(
    writer: &mut Writer,
    first: Utf8Bytes,
    texts: &mut mpsc::Receiver<Utf8Bytes>,
) -> Result<(), axum::Error> {
    let mut next = Some(first);
    while let Some(text) = next {
        writer.feed(Message::Text(text)).await?;
        next = texts.try_recv().ok();
    }
    writer.flush().await
}

async fn publish(State(subscribers): State<Subscribers>, body: String) -> StatusCode {
    let text = Utf8Bytes::from(body);
    let mut subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
    subscribers.retain(|subscriber| subscriber.try_send(text.clone()).is_ok());
    StatusCode::ACCEPTED
}

#[tokio::main]
async fn main() -> io::Result<()> {
    tidegate_fanout::raise_descriptors()?;
    let app = Router::new()
        .route("/socket.io/", any(upgrade))
        .route("/v1/channels/{topic}/publish", post(publish))
        .with_state(Subscribers::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tidegate_fanout::announce(listener.local_addr()?)?;
    axum::serve(listener.tap_io(|socket| drop(socket.set_nodelay(true))), app).await
}
