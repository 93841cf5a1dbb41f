//! After a reload: which topics a session may keep.

use super::ports::Action;
use super::session::Authorized;
use super::{CallContext, Gates, Serving, Session};
use crate::channels::Resolved;
use crate::protocol::{Code, Topic};

impl Gates {
    /// Judges again, by the catalog now in force, every topic that an older one admitted, and releases those that
    /// are no longer declared (`unknown_channel`) or whose scope no longer admits the user. No plugin is asked: that is
    /// [`Gates::reauthorize`].
    ///
    /// The caller takes the connection out of the rooms returned and tells the client. It runs after every swap, and
    /// after every join: a join decided just before a swap would escape the sweep otherwise.
    #[must_use]
    pub fn recheck(&self, session: &Session) -> Vec<(Topic, Code)> {
        let serving = self.serving();
        let generation = serving.catalog.generation();
        let mut lost = Vec::new();
        for topic in session.held_before(generation) {
            let verdict = match serving.catalog.resolve(topic.as_str()) {
                None => Err(Code::UnknownChannel),
                Some(resolved) => resolved.channel.scope.admit(session.user().as_deref(), &resolved.params),
            };
            match verdict {
                Ok(()) => session.renew(&topic, generation),
                Err(code) => {
                    if session.release(&topic) {
                        lost.push((topic, code));
                    }
                }
            }
        }
        lost
    }

    /// Asks authorizers again about a topic that another version of them, another authorizer or none let the user
    /// into, and releases it when they say no. Like the gate it fails closed.
    ///
    /// The caller takes the connection out of the room and tells the client. It runs after every swap for all topics,
    /// after every join and after the user's roles changed.
    pub async fn reauthorize(&self, session: &Session, topic: &Topic) -> Option<Code> {
        let serving = self.serving();
        // A topic that is no longer declared is for the recheck.
        let resolved = serving.catalog.resolve(topic.as_str())?;
        let by = serving.authorized(&resolved);
        if session.is_authorized(topic, &by) {
            return None;
        }
        let user = session.user();
        let context = CallContext { resolved, user: user.clone(), connection: session.connection().clone() };
        match self.ask_authorizer(&serving, &context, Action::Subscribe, None).await {
            Ok(()) => {
                session.authorize(topic, user.as_ref(), by);
                None
            }
            Err(refusal) => session.release(topic).then_some(refusal.code),
        }
    }
}

impl Serving {
    /// Who has to say yes to a subscription.
    pub(super) fn authorized(&self, resolved: &Resolved) -> Authorized {
        let plugin = resolved.channel.authorizer.as_ref();
        Authorized(plugin.map(|plugin| (plugin.clone(), self.plugins.version(plugin))))
    }
}
