//! The lease of a node: as long as it renews it, its members are there.

use std::time::Duration;

use tokio::time::Instant;

/// How long the members of a node that says nothing stay.
pub(super) const LEASE: Duration = Duration::from_secs(9);
/// How long the other nodes have to come back after the broker was away: until then nobody has left whom it does not know.
const COMING_BACK: Duration = Duration::from_secs(5);

/// What a node knows of its own lease.
#[derive(Default)]
pub(super) struct Lease {
    /// It had one, at some time.
    was_held: bool,
    /// It was over, and it was not told yet that this node is back.
    was_over: bool,
    /// Until when it waits for the other nodes, whose leases were lost or are over as its own was.
    waits_until: Option<Instant>,
}

impl Lease {
    /// It was renewed, and was held until then or not. Returns whether the other nodes had time to renew theirs.
    pub(super) fn renewed(&mut self, held: bool, now: Instant) -> bool {
        if self.was_held && !held {
            self.waits_until = Some(now + COMING_BACK);
            self.was_over = true;
        }
        self.was_held = true;
        self.waits_until.is_none_or(|until| now >= until)
    }

    /// Whether it was over and this node is back; told once.
    pub(super) const fn told_back(&mut self) -> bool {
        std::mem::replace(&mut self.was_over, false)
    }
}

/// The name that people know a node by, which a restart keeps.
pub(super) fn name_of(node: &str) -> &str {
    node.rsplit_once('/').map_or(node, |(name, _)| name)
}
