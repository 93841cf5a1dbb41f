//! The kinds of changes: a closed list, because gates name them.

use std::fmt;

use serde::Serialize;

/// What a change means for people, the most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Everybody may read what was for some only, or what was not there.
    Public,
    /// Events reach a channel that everybody may join.
    CrossesPublic,
    /// More people may join a channel, or are not taken out of it any more.
    Wider,
    /// Who may join is decided in another way.
    Access,
    /// Events, or more of them, reach a channel.
    Crosses,
    /// Clients may send what they could not.
    Sends,
    /// Members see more of one another.
    Visible,
    /// More is kept for who comes later.
    Kept,
    /// Who is taken for whom is decided in another way.
    Auth,
    /// A plugin or an API key may do more.
    Grants,
    /// A payload that was right is refused now, or receivers may get one that they do not know.
    Breaking,
    /// Schemas differ, and nothing shows whether that breaks somebody.
    CannotTell,
    /// A channel, or the way to send on it, is gone.
    Gone,
    /// Fewer people may join a channel.
    Narrower,
    /// Events do not cross any more, or fewer do.
    Stops,
    /// A plugin or an API key may do less.
    GrantsLess,
    /// Another plugin, or none, handles a channel; or messages go another way.
    Wiring,
    /// Another version of a plugin, or other limits.
    Plugin,
    /// A channel or a plugin is new.
    New,
    /// A schema differs, and nobody is broken by it.
    Compatible,
    /// Anything else: rates, delivery, descriptions.
    Other,
}

/// Where a report tells a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeGroup {
    /// Somebody may see or do more than before.
    First,
    /// Something that works today may not work tomorrow.
    Breaks,
    /// Somebody may see or do less than before.
    Less,
    /// Everything else.
    Rest,
}

impl ChangeKind {
    /// Every kind, the most serious first.
    pub const ALL: [Self; 21] = [
        Self::Public,
        Self::CrossesPublic,
        Self::Wider,
        Self::Access,
        Self::Crosses,
        Self::Sends,
        Self::Visible,
        Self::Kept,
        Self::Auth,
        Self::Grants,
        Self::Breaking,
        Self::CannotTell,
        Self::Gone,
        Self::Narrower,
        Self::Stops,
        Self::GrantsLess,
        Self::Wiring,
        Self::Plugin,
        Self::New,
        Self::Compatible,
        Self::Other,
    ];

    /// The name for gates, logs and scripts, and what it stands for.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Public => ("public", "everybody may join a channel that was for some only, or that is new"),
            Self::CrossesPublic => {
                ("crosses_public", "events cross, or more of them, to a channel that everybody may join")
            }
            Self::Wider => ("wider", "more people may join a channel, or nobody takes their access back any more"),
            Self::Access => {
                ("access", "who may join is decided in another way: neither wider nor narrower for certain")
            }
            Self::Crosses => ("crosses", "events cross to a channel, or more of them, or more of what they hold"),
            Self::Sends => ("sends", "clients may send on a channel where they could not"),
            Self::Visible => ("visible", "members of a channel see more of one another"),
            Self::Kept => ("kept", "more is kept, or longer: who comes later may read it"),
            Self::Auth => ("auth", "providers, anonymous connections or origins: who is let in, and as whom"),
            Self::Grants => ("grants", "a plugin or an API key may do more"),
            Self::Breaking => ("breaking", "a payload shows it: publishers, senders or receivers of today break"),
            Self::CannotTell => {
                ("cannot_tell", "two schemas differ, and neither a payload nor a proof says what that means")
            }
            Self::Gone => ("gone", "a channel is gone, or clients may not send on it any more"),
            Self::Narrower => ("narrower", "fewer people may join a channel, or access is taken back where it was not"),
            Self::Stops => ("stops", "events do not cross any more, or fewer of them"),
            Self::GrantsLess => ("grants_less", "a plugin or an API key may do less"),
            Self::Wiring => ("wiring", "another plugin handles, or gives the snapshot; a relay in place of a handler"),
            Self::Plugin => ("plugin", "another version of a plugin, other kinds or other limits; or it is gone"),
            Self::New => ("new", "a channel for some, or a plugin, is new"),
            Self::Compatible => ("compatible", "a schema is written otherwise or takes more, and nobody breaks by it"),
            Self::Other => ("other", "rates, delivery, descriptions, features"),
        }
    }

    /// The name for gates, logs and scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.told().0
    }

    /// What it stands for, for people.
    #[must_use]
    pub const fn explained(self) -> &'static str {
        self.told().1
    }

    /// The kinds that a change of this kind counts as, too.
    #[must_use]
    pub const fn also(self) -> &'static [Self] {
        match self {
            Self::Public => &[Self::Wider],
            Self::CrossesPublic => &[Self::Public, Self::Crosses],
            // Who asks for safety is not told "compatible" of what nobody knows.
            Self::CannotTell | Self::Gone => &[Self::Breaking],
            _ => &[],
        }
    }

    /// Whether a gate that asks for a kind means this change.
    #[must_use]
    pub fn counts_as(self, asked: Self) -> bool {
        self == asked || self.also().contains(&asked)
    }

    /// Where a report tells it.
    #[must_use]
    pub const fn group(self) -> ChangeGroup {
        match self {
            Self::Public
            | Self::CrossesPublic
            | Self::Wider
            | Self::Access
            | Self::Crosses
            | Self::Sends
            | Self::Visible
            | Self::Kept
            | Self::Auth
            | Self::Grants => ChangeGroup::First,
            Self::Breaking | Self::CannotTell | Self::Gone => ChangeGroup::Breaks,
            Self::Narrower | Self::Stops | Self::GrantsLess => ChangeGroup::Less,
            Self::Wiring | Self::Plugin | Self::New | Self::Compatible | Self::Other => ChangeGroup::Rest,
        }
    }
}

impl ChangeGroup {
    /// Every group in the order of a report.
    pub const ALL: [Self; 4] = [Self::First, Self::Breaks, Self::Less, Self::Rest];

    /// Its heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::First => "Look at these first: more may be seen or done",
            Self::Breaks => "What works today may break",
            Self::Less => "Less may be seen or done",
            Self::Rest => "Everything else",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_in_its_order_and_has_the_name_that_it_is_written_with() {
        assert!(ChangeKind::ALL.is_sorted() && ChangeKind::ALL.len() == ChangeKind::Other as usize + 1);
        for kind in ChangeKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert!(kind.counts_as(kind));
        }
    }

    #[test]
    fn a_gate_for_what_breaks_is_not_passed_by_what_nobody_knows() {
        let counted =
            |asked: ChangeKind| ChangeKind::ALL.into_iter().filter(|kind| kind.counts_as(asked)).collect::<Vec<_>>();
        assert_eq!(counted(ChangeKind::Breaking), [ChangeKind::Breaking, ChangeKind::CannotTell, ChangeKind::Gone]);
        assert_eq!(counted(ChangeKind::Public), [ChangeKind::Public, ChangeKind::CrossesPublic]);
        assert_eq!(counted(ChangeKind::Wider), [ChangeKind::Public, ChangeKind::Wider]);
    }
}
