//! Gate 4: no payload reaches a room unless it matches the channel's schema.

use tokio::time::Instant;

use super::inbound::check_publication;
use super::{Gates, Publication, Serving, observe};
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
        let started = Instant::now();
        let resolved = serving.catalog.resolve(topic);
        let result = match &resolved {
            None => Err(Code::UnknownChannel.into()),
            Some(resolved) => self
                .refuse_too_large(&payload)
                .and_then(|()| check_publication(&resolved.channel, &payload))
                .map(|()| Publication::new(resolved, payload)),
        };
        let template = resolved.as_ref().map(|resolved| resolved.channel.template.as_str());
        observe(Gate::Broadcast, template, started, &result);
        result
    }
}
