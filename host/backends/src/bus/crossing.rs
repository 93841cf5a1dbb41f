//! The way of an event from a source across the bridge, and what becomes of one that is none.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use tidegate_core::config::BusMode;
use tidegate_core::flow::{Begun, Gates, Reach};
use tidegate_core::protocol::BusEvent;
use tidegate_core::telemetry;

/// Most bytes of a field of a thing that is no event, in its dead letter, and most fields.
const SHOWN_BYTES_MAX: usize = 1024;
const SHOWN_FIELDS_MAX: usize = 16;
/// The type in a dead letter of what is no event.
const UNREADABLE: &str = "unreadable";

/// The bridge, as one source sees it.
#[derive(Clone)]
pub(super) struct Crossing {
    gates: Arc<Gates>,
    /// What metrics and the log call the source: `redis:telemetry`.
    pub(super) label: Arc<str>,
    reach: Reach,
}

/// Events that have crossed, and that other nodes may not have yet.
#[derive(Default)]
pub(super) struct Crossed(Vec<(BusEvent, Begun)>);

impl Crossing {
    pub(super) fn new(gates: Arc<Gates>, label: String, mode: BusMode) -> Self {
        let reach = match mode {
            BusMode::FanOut => Reach::ThisNode,
            BusMode::Shared => Reach::EveryNode,
        };
        Self { gates, label: label.into(), reach }
    }

    /// Largest event, in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.gates.limits().payload_bytes_max
    }

    /// Takes an event across. A panic is a bug of the server; it costs the one event that met it, and not the source.
    /// `written_unix_ms` is when it was written, where that is known.
    pub(super) async fn cross(&self, event: BusEvent, written_unix_ms: Option<u64>, crossed: &mut Crossed) {
        match AssertUnwindSafe(self.gates.accept(&self.label, &event, self.reach)).catch_unwind().await {
            Ok(Ok(begun)) if begun.is_over() => {}
            Ok(Ok(begun)) => crossed.0.push((event, begun)),
            Ok(Err(refusal)) => {
                tracing::error!(
                    kind = event.kind,
                    id = event.id,
                    code = refusal.code.as_str(),
                    "an event did not cross"
                );
            }
            Err(_) => tracing::error!(kind = event.kind, id = event.id, "crossing the bridge panicked"),
        }
        if let Some(delay_ms) = written_unix_ms.and_then(|at| self.gates.now_unix_ms().checked_sub(at)) {
            telemetry::bus_delay(&self.label, Duration::from_millis(delay_ms));
        }
    }

    /// Waits until other nodes have what events led to, where they should, and dead letters are written. Then they can be
    /// acknowledged.
    pub(super) async fn settle(&self, crossed: Crossed) {
        for (event, begun) in crossed.0 {
            self.gates.bury_untaken(&event, begun).await;
        }
        self.gates.letters_settled().await;
    }

    /// Tells the subscribers of everything that events of the source may lead to that they may have missed some.
    pub(super) async fn tell_gap(&self) {
        self.gates.tell_gap_of(&self.label, self.reach).await;
    }

    /// Keeps what is no event: `id` and `source` say where it was, `fields` what it held.
    pub(super) fn bury(&self, id: &str, source: &str, fields: impl Iterator<Item = (String, String)>, reason: String) {
        let shown: Map<String, Value> =
            fields.take(SHOWN_FIELDS_MAX).map(|(name, value)| (cut(name), Value::String(cut(value)))).collect();
        let shown = BusEvent::new(id.to_owned(), source.to_owned(), UNREADABLE.to_owned(), Value::Object(shown));
        self.gates.bury_unreadable(&self.label, shown, reason);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
        text.push('…');
    }
    text
}
