//! Which topics a session may keep after a reload, a revocation or the end of a grant.

use std::time::Duration;

use tokio::time::Instant;

use super::doubt::Doubt;
use super::ports::Action;
use super::session::{Authorized, Authorizer, Grounds};
use super::{CallContext, Gates, Membership, Serving, Session};
use crate::channels::Resolved;
use crate::protocol::{Code, Refusal, Topic};
use crate::telemetry;

impl Gates {
    /// Checks every topic that an older catalog admitted against the current catalog. Takes away topics that no channel
    /// declares any more (`unknown_channel`) or whose scope no longer admits the user. It asks no plugin: that is
    /// [`Gates::reauthorize`].
    ///
    /// It runs after every swap, and after every join: otherwise a join decided just before a swap would escape the
    /// check.
    pub fn recheck(&self, member: &dyn Membership) {
        for (topic, reason) in self.release_lost(member.session()) {
            member.settle(&topic);
            member.tell_revoked(topic, reason);
        }
    }

    /// Releases what [`Gates::recheck`] takes away. The caller settles the rooms and informs the client.
    pub(super) fn release_lost(&self, session: &Session) -> Vec<(Topic, Code)> {
        let serving = self.serving();
        let generation = serving.catalog.generation();
        let mut lost = Vec::new();
        for topic in session.held_before(generation) {
            let verdict = serving.catalog.resolve(topic.as_str()).ok_or(Code::UnknownChannel).and_then(|resolved| {
                if session.is_backend() {
                    return Ok(resolved);
                }
                resolved.channel.scope.admit(session.user().as_deref(), &resolved.params).map(|()| resolved)
            });
            match verdict {
                Ok(resolved) => {
                    session.renew(&resolved, generation, &self.ports.budgets);
                    // A channel may have presence since the reload, or other rules. No room for one more is no reason to
                    // lose a topic.
                    self.forget_unfit_info(session, &resolved);
                    self.count_in(session, &resolved, None);
                }
                Err(code) => {
                    if session.release(&topic) {
                        lost.push((topic, code));
                    }
                }
            }
        }
        lost
    }

    /// Re-authorizes every held topic if its authorizer changed, its grant expired, or the user or topic was revoked
    /// since. Takes it away on a no. While the authorizer cannot decide, the session keeps the topic and the authorizer
    /// is asked again, until `auth.recheck_grace` ends: then the topic goes with `unavailable`.
    ///
    /// It runs after every swap, after every revocation, after the user's roles changed, and when
    /// [`Gates::next_recheck`] says.
    pub async fn reauthorize(&self, member: &dyn Membership) {
        for topic in member.session().topics() {
            if let Some(reason) = self.reauthorize_topic(member.session(), &topic).await {
                member.settle(&topic);
                member.tell_revoked(topic, reason);
            }
        }
    }

    /// The same for one topic, which it releases. The caller settles the room and informs the client.
    pub(super) async fn reauthorize_topic(&self, session: &Session, topic: &Topic) -> Option<Code> {
        if session.is_backend() {
            return None;
        }
        let serving = self.serving();
        // A topic that is no longer declared is the business of `recheck`.
        let resolved = serving.catalog.resolve(topic.as_str())?;
        let by = serving.authorizer(&resolved);
        let user = session.user();
        let counts = |asked_at| self.decisions.counts(user.as_ref().map(|user| user.id.as_str()), topic, asked_at);
        let Grounds { authorized, doubt } = session.grounds(topic)?;
        let now = self.elapsed.now();
        if doubt.as_ref().is_some_and(|doubt| counts(doubt.asked_at) && doubt.waits(by.as_ref(), now)) {
            return None;
        }
        let known = match authorized.filter(|held| held.by == by && counts(held.granted.asked_at)) {
            Some(held) if doubt.is_none() && !is_due(&held, now) => return None,
            Some(held) => held.granted.until,
            None => None,
        };
        let asked_at = self.decisions.age();
        let context = CallContext { resolved, user: user.clone(), connection: session.connection().clone() };
        let answer = self.ask_authorizer_after(&serving, &context, Action::Subscribe, None, known).await;
        match answer {
            Ok(granted) => {
                telemetry::reauthorized(context.channel(), "kept");
                session.authorize(topic, user.as_ref(), Authorized { by, granted });
                None
            }
            Err(Refusal { code: Code::Unavailable | Code::OverBudget, .. }) => {
                let late = |time| self.decisions.late(time);
                let doubt = Doubt::after(doubt.as_ref(), by, asked_at, self.grace(), self.elapsed.now(), late);
                self.doubt(session, &context, doubt)
            }
            Err(refusal) => {
                telemetry::reauthorized(context.channel(), "lost");
                session.release(topic).then_some(refusal.code)
            }
        }
    }

    /// Keeps a topic in doubt, or releases it if the time for that has ended.
    fn doubt(&self, session: &Session, context: &CallContext, doubt: Option<Doubt>) -> Option<Code> {
        let (topic, channel) = (context.topic(), context.channel());
        match doubt {
            Some(doubt) => {
                telemetry::reauthorized(channel, "doubted");
                session.doubt(topic, doubt);
                None
            }
            None => {
                telemetry::given_up(channel, topic.as_str(), context.user_id(), self.grace());
                session.release(topic).then_some(Code::Unavailable)
            }
        }
    }

    /// How long a topic may be kept in doubt.
    const fn grace(&self) -> Duration {
        self.auth.lifetimes.recheck_grace
    }

    /// When the first subscription of a session must be re-authorized, if any, in the time of [`Gates::elapsed`].
    ///
    /// That is a little before the grant ends, by up to a tenth of the remaining time, so that subscriptions granted at
    /// the same time are not all re-authorized at the same time. If the authorizer grants no time, `auth.recheck` after
    /// it was asked. If it could not decide, sooner.
    #[must_use]
    pub fn next_recheck(&self, session: &Session) -> Option<Instant> {
        session.all_grounds().iter().filter_map(due).min()
    }
}

fn due(grounds: &Grounds) -> Option<Instant> {
    match &grounds.doubt {
        Some(doubt) => Some(doubt.ask_again),
        None => ask_again(grounds.authorized.as_ref()?),
    }
}

fn is_due(held: &Authorized, now: Instant) -> bool {
    ask_again(held).is_some_and(|due| due <= now)
}

fn ask_again(held: &Authorized) -> Option<Instant> {
    held.by.as_ref()?;
    held.granted.ask_again
}

impl Serving {
    /// The authorizer that must say yes to a subscription.
    pub(super) fn authorizer(&self, resolved: &Resolved) -> Option<Authorizer> {
        let plugin = resolved.channel.authorizer.as_ref();
        plugin.map(|plugin| (plugin.clone(), self.plugins.version(plugin)))
    }
}
