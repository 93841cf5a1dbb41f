//! Telling plugins of connections that came and went. They refuse nobody: what they want to happen is done, and what
//! goes wrong is logged.

use super::ports::{ConnectionCall, Phase};
use super::{Gates, Session};
use crate::protocol::PluginName;
use crate::telemetry;

impl Gates {
    /// Whether any plugin of the generation in force hears of connections.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        !self.serving().plugins.listeners().is_empty()
    }

    /// Tells every plugin of the generation in force that hears of connections, one after the other, and does what
    /// each wants. A plugin that fails costs the others nothing.
    ///
    /// The caller sees to it that a connection's [`Phase::Disconnected`] comes once, after its [`Phase::Connected`].
    pub async fn tell_plugins(&self, session: &Session, phase: Phase) {
        let serving = self.serving();
        let user = session.user();
        let call = ConnectionCall { connection: session.connection(), user: user.as_deref(), phase };
        for plugin in serving.plugins.listeners() {
            // A fault is logged and counted where it was found.
            let Ok(effects) = serving.plugins.changed(&plugin, call).await else { continue };
            let cleared = self.clear(&serving, &plugin, call.connection, telemetry::NO_CHANNEL, effects);
            let performed = match cleared {
                Ok(effects) => self.perform(effects).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = performed {
                lost(&plugin, phase, refusal.code.as_str());
            }
        }
    }
}

fn lost(plugin: &PluginName, phase: Phase, code: &'static str) {
    tracing::warn!(%plugin, phase = phase.as_str(), code, "what a plugin wanted on a connection did not happen");
}
