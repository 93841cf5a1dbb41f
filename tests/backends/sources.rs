//! A node that reads sources of bus events: the real bridge, rooms that record.

use serde_json::{Value, json};
use tidegate_backends::bus::{Consumers, Unread};
use tidegate_core::config::{Config, Limits};
use tidegate_core::flow::ports::BusSources as _;
use tokio_util::sync::CancellationToken;

use tidegate_testkit::Server;

const CHANNELS: &str = r#"
feature: test
channels:
  positions:
    scope: public
    payload: { type: object, required: [n], properties: { n: { type: integer } } }
"#;
const BRIDGE: &str = "rules:\n  - on: told\n    to: positions\n  - on: all.fields\n    to: positions\n    \
                      payload: '{\"n\": int(event.data.n)}'\n";

/// A node that runs.
pub(crate) struct Node {
    pub(crate) server: Server,
    sources: Consumers,
    unread: Unread,
    draining: CancellationToken,
}

impl Node {
    /// Starts one with this `bus:` section, as YAML in one line, under this name.
    pub(crate) fn start(name: &str, bus: &str) -> Self {
        Self::limited(name, bus, |_| {})
    }

    /// Starts one with other limits.
    pub(crate) fn limited(name: &str, bus: &str, limits: impl Fn(&mut Limits)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tidegate.yaml");
        std::fs::write(&file, format!("node: {name}\nbus: {bus}\n")).unwrap();
        let config = Config::load(Some(&file), [], &[]).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let server = Server::declaring(CHANNELS).bridge(BRIDGE).limits(limits).start();
        let draining = CancellationToken::new();
        let unread = Unread::default();
        let sources = Consumers::start(&config, &server.gates, &unread, &draining);
        Self { server, sources, unread, draining }
    }

    /// The numbers that were delivered so far, once there are `count`.
    pub(crate) async fn numbers(&self, count: usize) -> Vec<i64> {
        numbers(&self.server.rooms.arrived(count).await)
    }

    /// The numbers that were delivered so far.
    pub(crate) fn numbers_now(&self) -> Vec<i64> {
        numbers(&self.server.delivered())
    }

    /// The sources that were not read once yet.
    pub(crate) fn unread(&self) -> Vec<String> {
        self.unread.unread()
    }

    /// Ends in order: what was read has crossed and is acknowledged.
    pub(crate) async fn end(self) -> Server {
        self.draining.cancel();
        self.sources.ended().await;
        self.server
    }

    /// Ends without another word, as if killed.
    pub(crate) fn kill(self) -> Server {
        drop(self.sources);
        self.server
    }
}

fn numbers(delivered: &[(String, Value)]) -> Vec<i64> {
    delivered.iter().map(|(_, payload)| payload["n"].as_i64().unwrap()).collect()
}

/// A whole event with a number, its id.
pub(crate) fn told(number: i64) -> String {
    json!({ "specversion": "1.0", "id": number.to_string(), "source": "/test", "type": "told", "data": { "n": number } })
        .to_string()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: not within a minute"));
}
