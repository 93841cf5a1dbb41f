//! The state of a topic for a new subscriber: a plugin returns it, and it is checked like any publication.

use std::sync::Arc;

use super::inbound::{check, refusal_of};
use super::ports::{Exceeded, Fault, FaultKind, PluginVersion};
use super::{CallContext, Gates, Serving};
use crate::protocol::{Code, Payload, PluginName, Refusal};

/// A snapshot to request, for the generation that admitted the subscription.
pub(super) struct Owed {
    pub(super) serving: Arc<Serving>,
    pub(super) context: CallContext,
    pub(super) plugin: PluginName,
}

impl Gates {
    /// Requests a topic's state and checks it.
    ///
    /// # Errors
    /// `handler_failed`, `handler_timeout`, `payload_too_large`, `unavailable`.
    pub(super) async fn provide(&self, owed: &Owed) -> Result<Vec<Payload>, Refusal> {
        let payloads = self.judged_state(owed).await.map_err(|fault| refusal_of(&fault))?;
        let bytes_max = self.limits.ack_bytes_max;
        let bytes: usize = payloads.iter().map(|payload| payload.as_str().len() + 1).sum();
        if bytes > bytes_max {
            let details = serde_json::json!({ "bytes": bytes, "bytes_max": bytes_max });
            return Err(Refusal::new(Code::PayloadTooLarge).with_details(details));
        }
        Ok(payloads)
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
                return Err(fault);
            }
        }
        Ok(payloads)
    }
}
