//! After a reload, a revocation or the end of a grant: which topics a session may keep.

use tokio::time::Instant;

use super::ports::Action;
use super::session::{Authorized, Authorizer};
use super::{CallContext, Gates, Serving, Session};
use crate::channels::Resolved;
use crate::protocol::{Code, Topic, User};
use crate::telemetry;

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
    /// into, whose grant is over, or of whose user or topic something was revoked since, and releases it when they say no.
    /// Like the gate it fails closed.
    ///
    /// The caller takes the connection out of the room and tells the client. It runs after every swap and every
    /// revocation for all topics, after every join, after the user's roles changed, and when [`Gates::next_recheck`] says.
    pub async fn reauthorize(&self, session: &Session, topic: &Topic) -> Option<Code> {
        let serving = self.serving();
        // A topic that is no longer declared is for the recheck.
        let resolved = serving.catalog.resolve(topic.as_str())?;
        let by = serving.authorizer(&resolved);
        let user = session.user();
        let held = session.authorized(topic)?;
        let known = match held.as_ref().filter(|held| held.by == by && self.still_counts(user.as_deref(), topic, held))
        {
            Some(held) if !self.is_due(held) => return None,
            Some(held) => held.granted.until,
            None => None,
        };
        let context = CallContext { resolved, user: user.clone(), connection: session.connection().clone() };
        let answer = self.ask_authorizer_after(&serving, &context, Action::Subscribe, None, known).await;
        telemetry::reauthorized(context.channel(), if answer.is_ok() { "kept" } else { "lost" });
        match answer {
            Ok(granted) => {
                session.authorize(topic, user.as_ref(), Authorized { by, granted });
                None
            }
            Err(refusal) => session.release(topic).then_some(refusal.code),
        }
    }

    /// When the first of a session's subscriptions is to be asked about again, if any is.
    ///
    /// A little before the grant is over, by up to a tenth of what is left of it: those granted at once are not all
    /// asked about at once. Where the authorizer grants no time, `auth.recheck` after it was asked.
    #[must_use]
    pub fn next_recheck(&self, session: &Session) -> Option<Instant> {
        session.granted().iter().filter_map(|held| self.due(held.as_ref()?)).min()
    }

    fn is_due(&self, held: &Authorized) -> bool {
        self.due(held).is_some_and(|due| due <= Instant::now())
    }

    fn due(&self, held: &Authorized) -> Option<Instant> {
        held.by.as_ref()?;
        held.granted.ask_again
    }

    fn still_counts(&self, user: Option<&User>, topic: &Topic, held: &Authorized) -> bool {
        self.decisions.counts(user.map(|user| user.id.as_str()), topic, &held.granted)
    }
}

impl Serving {
    /// Who has to say yes to a subscription.
    pub(super) fn authorizer(&self, resolved: &Resolved) -> Option<Authorizer> {
        let plugin = resolved.channel.authorizer.as_ref();
        plugin.map(|plugin| (plugin.clone(), self.plugins.version(plugin)))
    }
}
