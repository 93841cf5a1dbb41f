//! Plain socketioxide with its own defaults: rooms, acks, and a publication that goes through as it came.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::handler::ConnectHandler as _;
use tokio::net::TcpListener;

/// A middleware, because a client may subscribe before the handler of its connection has run.
async fn register(socket: SocketRef) -> Result<(), Infallible> {
    socket.on("subscribe", async |socket: SocketRef, Data::<Value>(asked), ack: AckSender| {
        let Some(topic) = asked.get("channel").and_then(Value::as_str) else { return };
        socket.join(topic.to_owned());
        drop(ack.send(&json!({ "ok": true })));
    });
    Ok(())
}

async fn publish(State(io): State<SocketIo>, Path(topic): Path<String>, body: String) -> StatusCode {
    let Ok(payload) = serde_json::from_str::<Box<RawValue>>(&body) else { return StatusCode::BAD_REQUEST };
    match io.to(topic.clone()).emit(&topic, &(payload, json!({}))).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    tidegate_fanout::raise_descriptors()?;
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", (async |_: SocketRef| {}).with(register));
    let app = Router::new().route("/v1/channels/{topic}/publish", post(publish)).with_state(io).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tidegate_fanout::announce(listener.local_addr()?)?;
    axum::serve(listener.tap_io(|socket| drop(socket.set_nodelay(true))), app).await
}
