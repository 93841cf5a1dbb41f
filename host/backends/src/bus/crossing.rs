//! The way of an event from a source across the bridge, and of an entry that is not an event.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use tidegate_core::config::BusMode;
use tidegate_core::flow::{Audience, Gates, PendingPublish};
use tidegate_core::protocol::BusEvent;
use tidegate_core::telemetry;

/// Most bytes of a field, and most fields, that a dead letter shows of an entry that is not an event.
const SHOWN_BYTES_MAX: usize = 1024;
const SHOWN_FIELDS_MAX: usize = 16;
/// The type in a dead letter of an entry that is not an event.
const UNREADABLE: &str = "unreadable";

/// The source of events without one, from a stream of a broker of this kind: a URI reference for any name of a stream.
pub(super) fn source_of(kind: &str, stream: &str) -> String {
    let mut source = format!("/{kind}/");
    for b in stream.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~:".contains(&b) {
            source.push(b.into());
        } else {
            source += &format!("%{b:02X}");
        }
    }
    source
}

/// The bridge, as one source sees it.
#[derive(Clone)]
pub(super) struct Crossing {
    gates: Arc<Gates>,
    /// The name of the source in metrics and the log: `redis:telemetry`.
    pub(super) label: Arc<str>,
    audience: Audience,
}

/// Events that have crossed but that other nodes may not have yet.
#[derive(Default)]
pub(super) struct Crossed(Vec<(BusEvent, PendingPublish)>);

impl Crossing {
    pub(super) fn new(gates: Arc<Gates>, label: String, mode: BusMode) -> Self {
        let audience = match mode {
            BusMode::FanOut => Audience::ThisNode,
            BusMode::Shared => Audience::EveryNode,
        };
        Self { gates, label: label.into(), audience }
    }

    /// Largest event, in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.gates.limits().payload_bytes_max
    }

    /// Takes an event across the bridge. A panic is a bug of the server; it costs only this event, not the source.
    /// `written_unix_ms` is when the event was written, if known.
    pub(super) async fn cross(&self, event: BusEvent, written_unix_ms: Option<u64>, crossed: &mut Crossed) {
        match AssertUnwindSafe(self.gates.accept(&self.label, &event, self.audience)).catch_unwind().await {
            Ok(Ok(pending)) if pending.is_over() => {}
            Ok(Ok(pending)) => crossed.0.push((event, pending)),
            Ok(Err(refusal)) => {
                tracing::error!(
                    kind = event.kind,
                    id = event.id,
                    code = refusal.code.as_str(),
                    "a bus event did not cross the bridge"
                );
            }
            Err(_) => {
                tracing::error!(kind = event.kind, id = event.id, "a bus event panicked while crossing the bridge")
            }
        }
        if let Some(delay_ms) = written_unix_ms.and_then(|at| self.gates.now_unix_ms().checked_sub(at)) {
            telemetry::bus_delay(&self.label, Duration::from_millis(delay_ms));
        }
    }

    /// Waits until other nodes have the publications of these events, if they need them, and until dead letters are
    /// written. After that the events can be acknowledged.
    pub(super) async fn settle(&self, crossed: Crossed) {
        for (event, pending) in crossed.0 {
            self.gates.dead_letter_untaken(&event, pending).await;
        }
        self.gates.flush_dead_letters().await;
    }

    /// Sends a gap to the subscribers of every channel that events of this source may be published on.
    pub(super) async fn tell_gap(&self) {
        self.gates.tell_gap_of(&self.label, self.audience).await;
    }

    /// Keeps an entry that is not an event as a dead letter: `id` and `source` say where it was, `fields` what it
    /// contained.
    pub(super) fn dead_letter(
        &self,
        id: &str,
        source: &str,
        fields: impl Iterator<Item = (String, String)>,
        reason: String,
    ) {
        let shown: Map<String, Value> =
            fields.take(SHOWN_FIELDS_MAX).map(|(name, value)| (cut(name), Value::String(cut(value)))).collect();
        let shown = BusEvent::new(id.to_owned(), source.to_owned(), UNREADABLE.to_owned(), Value::Object(shown));
        self.gates.dead_letter_unreadable(&self.label, shown, reason);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
        text.push('…');
    }
    text
}
