//! The bridge table, compiled: which bus events cross, to which topics, as what.

use std::sync::Arc;

use serde_json::Value;

use super::Template;
use crate::protocol::BusEvent;

/// SKELETON: Every bridge rule, found by event type.
#[derive(Debug, Default)]
pub struct BridgeTable(());

/// What names a rule across reloads: its `on` and its `to`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct RuleId {
    /// The event type or prefix.
    pub on: String,
    /// The channel template.
    pub to: String,
}

/// SKELETON: One line from a bus event to a topic.
#[derive(Debug)]
pub struct BridgeRule {
    id: RuleId,
    to: Template,
}

/// Why a rule that matched could not make a publication. For the dead letter; safe for operators, not for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BridgeError(pub String);

impl BridgeTable {
    /// The rules for an event type, in table order: exact ones and prefixes.
    pub fn rules_for<'a>(&'a self, _kind: &'a str) -> impl Iterator<Item = &'a Arc<BridgeRule>> {
        [].into_iter()
    }
}

impl BridgeRule {
    /// The rule's name.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// The channel it feeds.
    #[must_use]
    pub const fn to(&self) -> &Template {
        &self.to
    }

    /// Applies the rule: `None` when its condition says no, else the topic's name and the payload.
    ///
    /// # Errors
    /// [`BridgeError`] when an expression fails or a param is no segment of a topic.
    pub fn apply(&self, _event: &BusEvent) -> Result<Option<(String, Value)>, BridgeError> {
        unimplemented!()
    }
}
