//! Announces opened and closed connections to plugins. These plugins cannot refuse a connection: their effects happen,
//! and their errors are logged.

use super::ports::{ConnectionCall, Phase};
use super::{Gates, Session};
use crate::protocol::PluginName;
use crate::telemetry;

impl Gates {
    /// Whether a plugin of the current generation listens for connections.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        !self.serving().plugins.listeners().is_empty()
    }

    /// Announces a connection to every plugin of the current generation that listens, one after another, and performs
    /// the effects of each. An error in one plugin does not affect the others.
    ///
    /// The caller makes sure that a connection's [`Phase::Disconnected`] comes once, after its [`Phase::Connected`].
    pub async fn tell_plugins(&self, session: &Session, phase: Phase) {
        let serving = self.serving();
        let user = session.user();
        let call = ConnectionCall { connection: session.connection(), user: user.as_deref(), phase };
        for plugin in serving.plugins.listeners() {
            // The fault was logged and counted where it occurred.
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
    tracing::warn!(%plugin, phase = phase.as_str(), code, "an effect of a plugin on a connection failed");
}
