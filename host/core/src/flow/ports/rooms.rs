//! The subscribers on this node, as a port.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Removed;
use crate::channels::Channel;
use crate::flow::Publication;
use crate::protocol::{PresenceChange, Topic};

/// Delivers cleared publications to the connections that are subscribed to the topic.
pub trait Rooms: Send + Sync + 'static {
    /// Queues a publication for every subscriber of its topic; never waits.
    fn deliver(&self, publication: &Publication);
    /// Sends a gap to every subscriber of a topic: it may have missed publications. Never waits.
    fn tell_gap(&self, topic: &Topic);
    /// Tells every subscriber of a topic that retained values were taken away: in the order of its publications, after
    /// those up to `removed.after`. Never waits.
    fn tell_removed(&self, topic: &Topic, channel: &Arc<Channel>, removed: &Removed);
    /// Tells every subscriber of a topic who came and who left. Never waits.
    fn tell_presence(&self, change: &PresenceChange);
    /// Sends a gap to every subscriber of every topic of these channels, named by their templates. Never waits. Returns
    /// how many topics those are.
    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize;
}
