//! Gate 4: no payload reaches a room unless it matches the channel's schema.

use tokio::time::Instant;

use super::inbound::{check, check_value};
use super::{Gates, Publication, Serving, observe};
use crate::channels::Schema;
use crate::protocol::{Code, Payload, ReadPayload, Refusal};
use crate::telemetry::Gate;

impl Gates {
    /// Publishes for a backend: gate 4 for one payload. The caller performs the delivery.
    ///
    /// # Errors
    /// `unknown_channel`, `payload_too_large`, `invalid_payload` with the violations, `draining`.
    pub fn broadcast(&self, topic: &str, read: ReadPayload) -> Result<Publication, Refusal> {
        self.refuse_while_draining()?;
        self.clear_read(&self.serving(), topic, read)
    }

    pub(super) fn clear_read(&self, serving: &Serving, topic: &str, read: ReadPayload) -> Result<Publication, Refusal> {
        let judge = |schema: &Schema, read: &ReadPayload| check_value(schema, read.value());
        self.judged(serving, topic, read, judge)
    }

    pub(super) fn clear_broadcast(
        &self,
        serving: &Serving,
        topic: &str,
        payload: Payload,
    ) -> Result<Publication, Refusal> {
        self.judged(serving, topic, payload, check)
    }

    fn judged<P: Into<Payload> + AsRef<Payload>>(
        &self,
        serving: &Serving,
        topic: &str,
        payload: P,
        judge: impl FnOnce(&Schema, &P) -> Result<(), Refusal>,
    ) -> Result<Publication, Refusal> {
        let started = Instant::now();
        let resolved = serving.catalog.resolve(topic);
        let result = match &resolved {
            None => Err(Code::UnknownChannel.into()),
            Some(resolved) => self
                .refuse_too_large(payload.as_ref())
                .and_then(|()| judge(&resolved.channel.payload, &payload))
                .map(|()| Publication::new(resolved, payload.into())),
        };
        let template = resolved.as_ref().map(|resolved| resolved.channel.template.as_str());
        observe(Gate::Broadcast, template, started, &result);
        result
    }
}
