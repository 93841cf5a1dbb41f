//! Gate 4: no payload reaches a room unless it matches the channel's schema.

use super::inbound::check_publication;
use super::{Gates, Passage, Publication, Serving};
use crate::channels::Channel;
use crate::protocol::{Code, Payload, Refusal};
use crate::telemetry::Gate;

impl Gates {
    /// Publishes for a backend: gate 4 for one payload. The caller performs the delivery.
    ///
    /// # Errors
    /// `unknown_channel`, `payload_too_large`, `invalid_payload` with the violations, `over_budget`, `draining`.
    pub fn broadcast(&self, topic: &str, payload: Payload) -> Result<Publication, Refusal> {
        self.refuse_while_draining()?;
        self.clear_one(&self.serving(), topic, payload)
    }

    /// Gate 4 for a publication that comes alone, which then counts in the budget of its team.
    pub(super) fn clear_one(&self, serving: &Serving, topic: &str, payload: Payload) -> Result<Publication, Refusal> {
        self.clear_and(serving, topic, payload, |channel| self.ports.budgets.take_publications(channel.team, 1))
    }

    /// Gate 4 for one of several publications. The caller takes all of them from the budgets at once.
    pub(super) fn clear_broadcast(
        &self,
        serving: &Serving,
        topic: &str,
        payload: Payload,
    ) -> Result<Publication, Refusal> {
        self.clear_and(serving, topic, payload, |_| Ok(()))
    }

    fn clear_and(
        &self,
        serving: &Serving,
        topic: &str,
        payload: Payload,
        last: impl FnOnce(&Channel) -> Result<(), Refusal>,
    ) -> Result<Publication, Refusal> {
        let passage = Passage::inside(Gate::Broadcast);
        let resolved = serving.catalog.resolve(topic);
        let result = match &resolved {
            None => Err(Code::UnknownChannel.into()),
            Some(resolved) => self
                .refuse_too_large(&payload)
                .and_then(|()| check_publication(&resolved.channel, &payload))
                .and_then(|()| last(&resolved.channel))
                .map(|()| Publication::new(resolved, payload).traced(passage.span.context().cloned())),
        };
        passage.end(resolved.as_ref().map(|resolved| (resolved.channel.as_ref(), &resolved.topic)), &result);
        result
    }
}
