//! The state of a topic for a new subscriber: the retained values, and what a plugin returns, which is checked like any
//! publication.

use std::sync::Arc;

use super::inbound::{check, refusal_of};
use super::ports::{Exceeded, Fault, FaultKind, PluginVersion};
use super::retained::{merged, too_large};
use super::{CallContext, Gates, Serving};
use crate::channels::Resolved;
use crate::protocol::{Code, Payload, PluginName, Position, Refusal, Snapshot};

/// A snapshot to request, for the generation that admitted the subscription.
pub(super) struct Owed {
    pub(super) serving: Arc<Serving>,
    pub(super) context: CallContext,
    pub(super) plugin: PluginName,
}

impl Gates {
    /// The state of a topic, and the position up to which it tells everything, if there is one.
    ///
    /// # Errors
    /// `handler_failed`, `handler_timeout`, `payload_too_large`, `unavailable`.
    pub(super) async fn snapshot(
        &self,
        of: &Resolved,
        owed: Option<&Owed>,
    ) -> Result<(Option<Snapshot>, Option<Position>), Refusal> {
        // The plugin first: what is published until the values are read is among the values.
        let state = match owed {
            Some(owed) => Some(self.judged_state(owed).await.map_err(|fault| refusal_of(&fault))?),
            None => None,
        };
        let (snapshot, position) = match (self.retained(of).await?, state) {
            (Some(found), state) => {
                let values = merged(found.values, state.unwrap_or_default(), &of.channel.delivery);
                (Some(Snapshot::Values(values)), Some(found.position))
            }
            (None, state) => (state.map(Snapshot::Payloads), None),
        };
        let bytes = snapshot.as_ref().map_or(0, Snapshot::bytes);
        let bytes_max = self.limits.ack_bytes_max;
        if bytes > bytes_max { Err(too_large(bytes, bytes_max)) } else { Ok((snapshot, position)) }
    }

    async fn judged_state(&self, owed: &Owed) -> Result<Vec<Payload>, Fault> {
        let Owed { serving, context, plugin } = owed;
        let payloads = serving.plugins.provide(plugin, context).await?;
        for (at, payload) in payloads.iter().enumerate() {
            let judged =
                self.refuse_too_large(payload).and_then(|()| check(&context.resolved.channel.payload, payload));
            if let Err(refusal) = judged {
                let kind = match refusal.code {
                    Code::PayloadTooLarge => FaultKind::TooLarge(Exceeded {
                        unit: "bytes",
                        found: Some(payload.as_str().len()),
                        max: self.limits.payload_bytes_max,
                    }),
                    _ => FaultKind::InvalidOutput,
                };
                let details = refusal.details.map(|details| details.to_string()).unwrap_or_default();
                let detail = format!("payload {at} of the snapshot: {} {details}", refusal.code.as_str());
                let fault = Fault { plugin: plugin.clone(), kind, detail };
                let version = serving.plugins.version(plugin).map(PluginVersion::short);
                fault.tell(version.as_deref(), context.channel(), context.user_id());
                self.saw(fault.event(version.as_deref(), context.channel(), context.user_id()));
                return Err(fault);
            }
        }
        Ok(payloads)
    }
}
