//! How clients of Socket.IO connect: the `transport:` section.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Told;
use super::{ByteSize, HumanDuration, Limits};

/// The range of times that a client may be given.
const PATIENCE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60 * 60);
/// The longest time that a session is kept without a transport.
const RECOVERY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The smallest window, in bytes.
const WINDOW_BYTES_MIN: u64 = 4 << 10;
/// Paths that the server needs for itself.
const TAKEN: [&str; 6] = ["/", "/v1/", "/healthz/", "/readyz/", "/metrics/", "/dashboard/"];

/// How clients connect, and how much is under way to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transport {
    /// The path of the transport, with a slash at both ends. Default `/socket.io/`, where stock clients look for it.
    #[schemars(regex(pattern = r"^/.*/$"))]
    pub path: String,
    /// How clients may connect: `polling`, `websocket` or both. Default both: a stock client begins with polling.
    pub transports: Vec<Carrier>,
    /// How long after its last answer a client gets a ping. Default 25 s.
    pub ping_interval: HumanDuration,
    /// How long a client may take to answer a ping. Default 20 s; then the server closes the connection.
    pub ping_timeout: HumanDuration,
    /// How long a client that polls may take to go over to a websocket. Default 10 s; then it polls on.
    pub upgrade_timeout: HumanDuration,
    /// The most bytes of publications that are under way to a client without an answer. Default 64 KiB, at least 4 KiB.
    /// A client begins with 16 KiB; the window of a slow one shrinks to what it takes in 50 ms, beside the way there and
    /// back.
    pub window: ByteSize,
    /// How long the server keeps the session of a client whose transport is lost, if its `auth` says `recover: true`.
    /// Default 2 min, never longer than its credential; `0s`: clients cannot recover so.
    pub recovery: HumanDuration,
    /// Compression of messages on websockets. Default off.
    pub compression: Option<Compression>,
}

/// Compression (permessage-deflate) for clients that offer it. A publication is compressed once, for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compression {
    /// The size from which on a message is compressed, from 1 to `limits.ack_bytes`. Default 1 KiB.
    pub threshold: ByteSize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { threshold: ByteSize::from_bytes(1 << 10) }
    }
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TransportName")]
pub enum Carrier {
    /// HTTP long polling.
    Polling,
    /// A websocket.
    Websocket,
}

impl Carrier {
    /// The name in the configuration, and of stock clients.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            transports: vec![Carrier::Polling, Carrier::Websocket],
            ping_interval: HumanDuration::new(Duration::from_secs(25)),
            ping_timeout: HumanDuration::new(Duration::from_secs(20)),
            upgrade_timeout: HumanDuration::new(Duration::from_secs(10)),
            window: ByteSize::from_bytes(64 << 10),
            recovery: HumanDuration::new(Duration::from_secs(120)),
            compression: None,
        }
    }
}

/// Reports errors in values that were decoded.
pub(super) fn check(transport: &Transport, limits: &Limits, told: &mut Told<'_>) {
    let path = &transport.path;
    let is_path = path.starts_with('/') && path.ends_with('/') && path.bytes().all(is_plain);
    if !is_path {
        let message = format!("`{path}` is not a path with a slash at both ends");
        told.add("/transport/path", &message, Some("use letters, digits and `-_.~/`: `/socket.io/`"));
    } else if TAKEN.iter().any(|taken| path == taken || (*taken != "/" && path.starts_with(taken))) {
        told.add("/transport/path", &format!("the server needs `{path}` for itself"), None);
    }
    if transport.transports.is_empty() {
        told.add("/transport/transports", "`transports` is empty: nobody could connect", None);
    }
    let times = [
        ("ping_interval", transport.ping_interval),
        ("ping_timeout", transport.ping_timeout),
        ("upgrade_timeout", transport.upgrade_timeout),
    ];
    for (name, time) in times {
        if !PATIENCE.contains(&time.get()) {
            let [least, most] = [*PATIENCE.start(), *PATIENCE.end()].map(HumanDuration::new);
            told.add(&format!("/transport/{name}"), &format!("`{name}` is {time}: expected {least} to {most}"), None);
        }
    }
    if transport.recovery.get() > RECOVERY_MAX {
        let (recovery, most) = (transport.recovery, HumanDuration::new(RECOVERY_MAX));
        told.add("/transport/recovery", &format!("`recovery` is {recovery}: expected {most} at most"), None);
    }
    if transport.window.bytes() < WINDOW_BYTES_MIN {
        let (window, least) = (transport.window, ByteSize::from_bytes(WINDOW_BYTES_MIN));
        told.add("/transport/window", &format!("`window` is {window}: expected at least {least}"), None);
    }
    if let Some(Compression { threshold }) = transport.compression {
        check_threshold(threshold, limits, told);
    }
}

fn check_threshold(threshold: ByteSize, limits: &Limits, told: &mut Told<'_>) {
    let most = ByteSize::from_bytes(limits.ack_bytes_max as u64);
    let hint = match threshold.bytes() {
        0 => "leave `compression` out to compress nothing; `threshold: 1` compresses every message",
        bytes if bytes > most.bytes() => {
            "no message is larger than `limits.ack_bytes`: leave `compression` out to compress nothing"
        }
        _ => return,
    };
    let message = format!("`threshold` is {threshold}: expected 1 to {most}");
    told.add("/transport/compression/threshold", &message, Some(hint));
}

/// A byte of a path that no client and no proxy writes in another way.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/')
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn mistakes(config: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let told = Config::load(Some(file.path()), [], &[]).err().unwrap_or_default();
        told.iter().map(|one| format!("{} ({})", one.message, one.hint.as_deref().unwrap_or("-"))).collect()
    }

    #[test]
    fn a_transport_at_which_nobody_could_connect_is_refused() {
        let one = |transport: &str| mistakes(&format!("transport: {{ {transport} }}\n")).join("; ");
        assert_eq!(one("path: /live/socket.io/, transports: [websocket], ping_interval: 1s"), "");
        let hint = "(use letters, digits and `-_.~/`: `/socket.io/`)";
        for path in ["socket.io/", "/socket.io", "/a b/"] {
            let expected = format!("`{path}` is not a path with a slash at both ends {hint}");
            assert_eq!(one(&format!("path: \"{path}\"")), expected);
        }
        for path in ["/", "/v1/", "/v1/socket.io/"] {
            assert_eq!(one(&format!("path: {path}")), format!("the server needs `{path}` for itself (-)"));
        }
        assert_eq!(one("transports: []"), "`transports` is empty: nobody could connect (-)");
        assert_eq!(one("ping_timeout: 0s"), "`ping_timeout` is 0s: expected 100ms to 1h (-)");
        assert_eq!(one("recovery: 0s"), "");
        assert_eq!(one("recovery: 25h"), "`recovery` is 25h: expected 1d at most (-)");
        assert_eq!(one("compression: { threshold: 1 }"), "");
        let hint = "(leave `compression` out to compress nothing; `threshold: 1` compresses every message)";
        assert_eq!(one("compression: { threshold: 0 }"), format!("`threshold` is 0: expected 1 to 8MiB {hint}"));
        let hint = "(no message is larger than `limits.ack_bytes`: leave `compression` out to compress nothing)";
        assert_eq!(one("compression: { threshold: 1TiB }"), format!("`threshold` is 1TiB: expected 1 to 8MiB {hint}"));
        assert_eq!(one("window: 1KiB"), "`window` is 1KiB: expected at least 4KiB (-)");
    }

    #[test]
    fn a_value_of_another_type_is_told_with_what_to_write() {
        let hint = |transport: &str| {
            let told = mistakes(&format!("transport: {{ {transport} }}\n")).join("; ");
            told.rsplit_once(" (").map(|(_, hint)| hint.trim_end_matches(')').to_owned()).unwrap_or(told)
        };
        let written = "write `compression: { threshold: … }`";
        assert_eq!(hint("compression: true"), written);
        assert_eq!(hint("compression: off"), format!("leave it out, or {written}"));
        assert_eq!(hint("compression: false"), format!("leave it out, or {written}"));
        assert_eq!(hint("recovery: 0"), "a time has a unit: `recovery: 0s`");
        assert_eq!(
            hint("ping_interval: 25000"),
            "a time has a unit: `ping_interval: 25000ms` or `ping_interval: 25000s`"
        );
        assert_eq!(hint("recovery: off"), "write `recovery: 0s`, if it can be switched off");
        assert_eq!(hint("transports: websocket"), "write `transports: [websocket]`");
        assert_eq!(
            mistakes("transport: { transports: [ws] }"),
            ["item 1 of `transports`: expected `polling` or `websocket`, found `ws` (-)"]
        );
        assert_eq!(
            mistakes("transport: 5"),
            [
                "`transport`: expected a mapping, found integer `5` (write `transport: { path: …, transports: …, ping_interval: …, … }`)"
            ]
        );
    }

    #[test]
    fn whoever_limits_a_count_of_packets_learns_which_limit_counts_bytes() {
        let told = mistakes("limits: { outbound_queue: 64 }\n").join("; ");
        assert!(told.contains("outbound_bytes"), "{told}");
    }
}
