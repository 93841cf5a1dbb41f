//! After a reload: which topics a session may keep.

use super::{Gates, Session};
use crate::protocol::{Code, Topic};

impl Gates {
    /// Judges again, by the catalog now in force, every topic that an older one admitted, and releases those that
    /// are no longer declared (`unknown_channel`) or whose scope no longer admits the user. No plugin is asked.
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
}
