//! The state of a topic for who has just joined it: asked of a plugin, judged like any publication.

use std::sync::Arc;

use super::broker::Sending;
use super::inbound::{check, refusal_of};
use super::ports::{Exceeded, Fault, FaultKind, PluginVersion};
use super::{CallContext, Gates, Serving, Session};
use crate::protocol::{Code, Payload, PluginName, Refusal, SubscribeReceipt, Topic};

/// A subscription that cleared gate 2, before the topic's state was asked for.
pub struct Joined {
    pub(super) receipt: SubscribeReceipt,
    /// Whether the session held the topic before.
    pub(super) is_renewed: bool,
    /// `None` when the channel has no snapshot.
    pub(super) owed: Option<Owed>,
}

/// A snapshot to be asked for, of the generation that admitted the subscription.
pub(super) struct Owed {
    pub(super) serving: Arc<Serving>,
    pub(super) context: CallContext,
    pub(super) plugin: PluginName,
}

impl Joined {
    /// The subscription as it stands, without a snapshot.
    #[must_use]
    pub const fn receipt(&self) -> &SubscribeReceipt {
        &self.receipt
    }
}

impl Gates {
    /// Ends a subscription: asks for the topic's state, where the channel has one. The caller let the connection into
    /// the room before, so that nothing is published between the state and the first publication it receives.
    ///
    /// # Errors
    /// `handler_failed`, `handler_timeout`, `payload_too_large`, `unavailable`: the session holds the topic no longer, unless it did before
    /// it subscribed this time, and the caller brings the room in line with that.
    pub async fn complete(&self, session: &Session, joined: Joined) -> Result<SubscribeReceipt, Refusal> {
        let Joined { mut receipt, is_renewed, owed } = joined;
        let Some(owed) = owed else { return Ok(receipt) };
        match self.provide(&owed).await {
            Ok(payloads) => {
                receipt.snapshot = Some(payloads);
                Ok(receipt)
            }
            Err(fault) => {
                if !is_renewed {
                    session.release(&receipt.channel);
                }
                Err(refusal_of(&fault))
            }
        }
    }

    /// Resolves once what other nodes publish on the topic reaches this one, which has subscribers of it. `None`: it
    /// does already. A subscription is acknowledged after that, and before it the connection is let into the room.
    #[must_use]
    pub fn listening(&self, topic: &Topic) -> Option<Sending> {
        self.ports.broker.listening(topic)
    }

    /// Ends a subscription that cannot be had: the session holds the topic no longer, unless it did before, and the
    /// caller brings the room in line with that.
    pub fn give_up(&self, session: &Session, joined: &Joined) {
        if !joined.is_renewed {
            session.release(&joined.receipt.channel);
        }
    }

    async fn provide(&self, owed: &Owed) -> Result<Vec<Payload>, Fault> {
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
