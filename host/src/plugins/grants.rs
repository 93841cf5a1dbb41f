//! What a plugin may do with its effects.

use crate::channels::Template;
use crate::config::{Diagnostic, Node};

/// The grants of one plugin; nothing else is allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    emit: Vec<Template>,
    publish: Vec<EventTypes>,
}

/// The types of bus events a grant covers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum EventTypes {
    /// `ping.seen`.
    One(String),
    /// `ping.*`, kept as `ping.`.
    Below(String),
}

impl Grants {
    /// Reads `grants.emit` and `grants.publish`.
    pub(super) fn read(emit: &[String], publish: &[String], node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut grants = Self::default();
        for (index, channel) in emit.iter().enumerate() {
            match Template::parse(channel) {
                Ok(template) => grants.emit.push(template),
                Err(error) => {
                    let place = node.nearest(&format!("/grants/emit/{index}")).place.clone();
                    diagnostics.push(Diagnostic::at(place, format!("`grants.emit`: `{channel}` {error}")));
                }
            }
        }
        for (index, types) in publish.iter().enumerate() {
            match EventTypes::parse(types) {
                Some(types) => grants.publish.push(types),
                None => {
                    let place = node.nearest(&format!("/grants/publish/{index}")).place.clone();
                    let message = format!("`grants.publish`: `{types}` is no event type");
                    let hint = "write a type, `ping.seen`, or a prefix, `ping.*`";
                    diagnostics.push(Diagnostic::at(place, message).hint(hint));
                }
            }
        }
        grants
    }

    /// Whether the plugin may publish on this topic.
    pub(super) fn may_emit(&self, topic: &str) -> bool {
        self.emit.iter().any(|channel| channel.matches(topic).is_some())
    }

    /// Whether the plugin may put an event of this type on the bus.
    pub(super) fn may_publish(&self, kind: &str) -> bool {
        self.publish.iter().any(|types| types.cover(kind))
    }
}

impl EventTypes {
    fn parse(text: &str) -> Option<Self> {
        let (name, types) = match text.strip_suffix(".*") {
            Some(prefix) => (prefix, Self::Below(format!("{prefix}."))),
            None => (text, Self::One(text.to_owned())),
        };
        let is_plain = !name.is_empty() && !name.contains(|c: char| c == '*' || c.is_whitespace() || c.is_control());
        is_plain.then_some(types)
    }

    fn cover(&self, kind: &str) -> bool {
        match self {
            Self::One(own) => own == kind,
            Self::Below(prefix) => kind.len() > prefix.len() && kind.starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_what_is_below_it_and_nothing_else() {
        let types = EventTypes::parse("ping.*").unwrap();
        assert!(types.cover("ping.seen"));
        assert!(!types.cover("ping"));
        assert!(!types.cover("ping."));
        assert!(!types.cover("pingpong.seen"));
        assert!(EventTypes::parse("ping.seen").unwrap().cover("ping.seen"));
        for wrong in ["", "*", ".*", "a*", "a b", "*.b"] {
            assert_eq!(EventTypes::parse(wrong), None, "{wrong}");
        }
    }
}
