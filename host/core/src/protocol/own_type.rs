//! The types of the server's own events: a closed list. Each begins with [`OWN_PREFIX`](super::OWN_PREFIX).

/// The type of an event that the server itself makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnType {
    /// The first member is on a topic.
    ChannelOccupied,
    /// Nobody is on a topic any more.
    ChannelVacated,
    /// A user came to a topic.
    MemberJoined,
    /// A user left a topic.
    MemberLeft,
    /// Gate 1, 2 or 3 refused a client.
    GateRefused,
    /// A call of a plugin failed.
    PluginFault,
    /// The breaker paused a plugin.
    PluginPaused,
    /// The breaker lets calls through again.
    PluginResumed,
    /// A version fails since it was swapped in, and serves on.
    PluginFailing,
    /// A version failed after a swap; it is quarantined, and the version before serves again.
    PluginRolledBack,
    /// The component in a plugin's directory is quarantined.
    PluginKeptOut,
    /// A quarantined version was admitted again.
    PluginCleared,
    /// A reload is in force.
    ReloadApplied,
    /// A reload was refused.
    ReloadRejected,
    /// The files are again the ones that serve.
    ReloadReverted,
    /// An event from outside could not cross the bridge.
    DeadLetter,
    /// A connection to the broker is lost.
    BrokerAway,
    /// A connection to the broker works.
    BrokerBack,
    /// A node serves and reaches the others.
    NodeJoined,
    /// A node drains.
    NodeDraining,
    /// A node is gone.
    NodeLeft,
}

impl OwnType {
    /// Every type, in the order of the manual.
    pub const ALL: [Self; 21] = [
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MemberJoined,
        Self::MemberLeft,
        Self::GateRefused,
        Self::PluginFault,
        Self::PluginPaused,
        Self::PluginResumed,
        Self::PluginFailing,
        Self::PluginRolledBack,
        Self::PluginKeptOut,
        Self::PluginCleared,
        Self::ReloadApplied,
        Self::ReloadRejected,
        Self::ReloadReverted,
        Self::DeadLetter,
        Self::BrokerAway,
        Self::BrokerBack,
        Self::NodeJoined,
        Self::NodeDraining,
        Self::NodeLeft,
    ];

    /// The type as bridge rules name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelOccupied => "tidegate.channel.occupied",
            Self::ChannelVacated => "tidegate.channel.vacated",
            Self::MemberJoined => "tidegate.member.joined",
            Self::MemberLeft => "tidegate.member.left",
            Self::GateRefused => "tidegate.gate.refused",
            Self::PluginFault => "tidegate.plugin.fault",
            Self::PluginPaused => "tidegate.plugin.paused",
            Self::PluginResumed => "tidegate.plugin.resumed",
            Self::PluginFailing => "tidegate.plugin.failing",
            Self::PluginRolledBack => "tidegate.plugin.rolled_back",
            Self::PluginKeptOut => "tidegate.plugin.kept_out",
            Self::PluginCleared => "tidegate.plugin.cleared",
            Self::ReloadApplied => "tidegate.reload.applied",
            Self::ReloadRejected => "tidegate.reload.rejected",
            Self::ReloadReverted => "tidegate.reload.reverted",
            Self::DeadLetter => "tidegate.bridge.dead_letter",
            Self::BrokerAway => "tidegate.broker.away",
            Self::BrokerBack => "tidegate.broker.back",
            Self::NodeJoined => "tidegate.node.joined",
            Self::NodeDraining => "tidegate.node.draining",
            Self::NodeLeft => "tidegate.node.left",
        }
    }
}

/// A set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnTypes(u32);

// A type is a bit of the set.
const _: () = assert!(OwnType::ALL.len() <= u32::BITS as usize);

impl OwnTypes {
    /// The types that are `wanted`.
    pub fn of(wanted: impl Fn(OwnType) -> bool) -> Self {
        let wanted = OwnType::ALL.into_iter().filter(|own| wanted(*own));
        Self(wanted.fold(0, |bits, own| bits | 1 << own as u32))
    }

    /// Whether a type is one of them.
    #[must_use]
    pub const fn has(self, own: OwnType) -> bool {
        self.0 & (1 << own as u32) != 0
    }

    /// The set as bits, for an atomic.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set of these bits.
    #[must_use]
    pub const fn of_bits(bits: u32) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::OWN_PREFIX;

    #[test]
    fn every_type_is_the_servers_own_and_named_once() {
        let names: std::collections::BTreeSet<_> = OwnType::ALL.iter().map(|own| own.as_str()).collect();
        assert_eq!(names.len(), OwnType::ALL.len());
        assert!(names.iter().all(|name| name.starts_with(OWN_PREFIX)));
    }

    #[test]
    fn a_set_has_the_types_that_it_was_made_of_and_no_other() {
        let nodes = OwnTypes::of(|own| own.as_str().starts_with("tidegate.node."));
        let has: Vec<_> = OwnType::ALL.into_iter().filter(|own| OwnTypes::of_bits(nodes.bits()).has(*own)).collect();
        assert_eq!(has, [OwnType::NodeJoined, OwnType::NodeDraining, OwnType::NodeLeft]);
    }
}
