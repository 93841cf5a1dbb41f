//! Gate 4: no payload reaches a room unless it matches the channel's schema.

use super::inbound::check_publication;
use super::{Gates, Passage, Publication, Serving};
use crate::protocol::{Code, Payload, Refusal};
use crate::telemetry::Gate;

impl Gates {
    /// Publishes for a backend: gate 4 for one payload. The caller performs the delivery.
    ///
    /// # Errors
    /// `unknown_channel`, `payload_too_large`, `invalid_payload` with the violations, `draining`.
    pub fn broadcast(&self, topic: &str, payload: Payload) -> Result<Publication, Refusal> {
        self.refuse_while_draining()?;
        self.clear_broadcast(&self.serving(), topic, payload)
    }

    pub(super) fn clear_broadcast(
        &self,
        serving: &Serving,
        topic: &str,
        payload: Payload,
    ) -> Result<Publication, Refusal> {
        let passage = Passage::inside(Gate::Broadcast);
        let resolved = serving.catalog.resolve(topic);
        let result = match &resolved {
            None => Err(Code::UnknownChannel.into()),
            Some(resolved) => self
                .refuse_too_large(&payload)
                .and_then(|()| check_publication(&resolved.channel, &payload))
                .map(|()| Publication::new(resolved, payload).traced(passage.span.context().cloned())),
        };
        passage.end(resolved.as_ref().map(|resolved| (resolved.channel.as_ref(), &resolved.topic)), &result);
        result
    }
}
