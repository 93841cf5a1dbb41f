//! A connection's rooms follow what its session holds.

use std::sync::Arc;

use super::Realtime;
use super::connections::Connection;
use super::frame::Frame;
use tidegate_core::flow::{Membership, Session};
use tidegate_core::protocol::{Code, Position, SessionEvent, Topic};

/// A connection and the rooms it is in.
pub(super) struct Member<'a> {
    realtime: &'a Realtime,
    connection: &'a Arc<Connection>,
}

impl Realtime {
    /// The connection as the gates see it.
    pub(super) const fn member<'a>(&'a self, connection: &'a Arc<Connection>) -> Member<'a> {
        Member { realtime: self, connection }
    }
}

impl Membership for Member<'_> {
    fn session(&self) -> &Session {
        &self.connection.session
    }

    fn settle(&self, topic: &Topic) {
        let _membership = self.connection.membership();
        match self.session().channel(topic) {
            Some(channel) => self.realtime.rooms.join(topic, channel.template.as_str(), self.connection),
            None => {
                self.realtime.leave(topic, self.connection);
                if let Some(recovering) = &self.connection.recovering {
                    recovering.trail.forget(topic);
                }
            }
        }
    }

    fn hold(&self, topic: &Topic) {
        self.connection.held.hold(topic);
    }

    fn resume(&self, topic: &Topic, past: Option<&Position>) {
        if !self.session().holds(topic) {
            return self.connection.held.forget(topic);
        }
        let mut failed = None;
        self.connection.held.resume(topic, past, |frame| {
            failed = failed.or(self.connection.send(frame).err());
        });
        if let Some(error) = failed {
            self.realtime.cut(self.connection, error);
        }
    }

    fn tell_revoked(&self, topic: Topic, reason: Code) {
        let event = SessionEvent::Revoked { topic, reason };
        self.realtime.send(self.connection, &Frame::session_event(&event));
    }
}
