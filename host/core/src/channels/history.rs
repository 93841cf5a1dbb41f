//! `history:` of a channel: how many of its publications are kept, for whom was away.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::keeping::Bounds;
use crate::config::{ByteSize, Diagnostic, HumanDuration, Node};

/// Most publications that a history keeps for one topic.
const MESSAGES_MAX: u32 = 10_000;
const TTL_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// How much a channel keeps of each of its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// The most publications.
    pub messages_max: usize,
    /// The most bytes of payloads.
    pub bytes_max: usize,
    /// How long a publication is kept.
    pub ttl: Duration,
}

impl HistoryPolicy {
    /// Positions for the publications of a topic, which are not kept.
    pub const NUMBERS: Self = Self { messages_max: 0, bytes_max: 0, ttl: Duration::ZERO };
}

/// How many publications of each topic are kept: a client that was away gets what it missed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "History")]
pub(super) struct RawHistory {
    /// The most publications of a topic, 1 to 10,000.
    #[schemars(required, with = "u32", range(min = 1, max = MESSAGES_MAX))]
    messages: Option<u64>,
    /// The most bytes of payloads of a topic. Default 1 MiB.
    bytes: Option<ByteSize>,
    /// How long a publication is kept, from `100ms` to `30d`. Default 10 min.
    ttl: Option<HumanDuration>,
}

impl RawHistory {
    /// The policy; mistakes in its values are reported.
    pub(super) fn read(self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<HistoryPolicy> {
        let mut bounds = Bounds::of(node, diagnostics);
        let messages_max = bounds.count("messages", self.messages?, MESSAGES_MAX);
        let bytes_max = bounds.bytes(self.bytes);
        let ttl = bounds.ttl(self.ttl, TTL_DEFAULT);
        bounds.are_good().then_some(HistoryPolicy { messages_max, bytes_max, ttl })
    }
}
