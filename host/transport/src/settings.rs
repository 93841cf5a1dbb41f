//! What an application sets: times, sizes and the transports that clients may use.

use std::time::Duration;

/// The settings of a transport.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients find the transport, with a slash at both ends.
    pub path: String,
    /// Whether clients may poll over HTTP.
    pub polling: bool,
    /// Whether clients may use websockets, at once or by an upgrade.
    pub websocket: bool,
    /// How long a session is silent before the server pings it.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub ping_timeout: Duration,
    /// How long a session may last before its client connects to a namespace.
    pub connect_timeout: Duration,
    /// How long an upgrade may take; afterwards the session goes on by polling.
    pub upgrade_timeout: Duration,
    /// How long a POST may take to send its body.
    pub body_timeout: Duration,
    /// The largest message or POST body of a client, and the largest answer to a poll, in bytes.
    pub payload_bytes_max: usize,
    /// Most binary attachments of one packet.
    pub attachments_max: usize,
    /// Most bytes that wait for one client.
    pub outbound_bytes_max: usize,
    /// Most bytes under way to a client that it has not answered for.
    pub window_bytes_max: usize,
    /// From which size on messages on a websocket are compressed, in bytes, for clients that offer it; `None`: never.
    pub compressed_from: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            polling: true,
            websocket: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(45),
            upgrade_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            payload_bytes_max: 1_000_000,
            attachments_max: 64,
            outbound_bytes_max: 1 << 20,
            window_bytes_max: 64 << 10,
            compressed_from: None,
        }
    }
}
