//! `history:` of a channel: how many of its publications are kept, for whom was away.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{ByteSize, Diagnostic, HumanDuration, Node};

/// Most publications that a history keeps for one topic.
const MESSAGES_MAX: u32 = 10_000;
const BYTES_DEFAULT: usize = 1 << 20;
const TTL_DEFAULT: Duration = Duration::from_secs(10 * 60);
/// The range of times that a publication may be kept.
const TTL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30 * 24 * 60 * 60);

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
        let told = diagnostics.len();
        let mut mistaken = |key: &str, message: String| {
            let place = node.get(key).map_or(&node.place, |value| &value.place).clone();
            diagnostics.push(Diagnostic::at(place, message));
        };
        let messages = self.messages?;
        let messages_max = u32::try_from(messages).ok().filter(|messages| (1..=MESSAGES_MAX).contains(messages));
        if messages_max.is_none() {
            mistaken("messages", format!("`messages` is {messages}: expected 1 to {MESSAGES_MAX}"));
        }
        let bytes_max = self.bytes.map_or(BYTES_DEFAULT, ByteSize::as_usize);
        if bytes_max == 0 {
            mistaken("bytes", "`bytes` is 0: expected at least 1 byte".to_owned());
        }
        let ttl = self.ttl.map_or(TTL_DEFAULT, HumanDuration::get);
        if !TTL.contains(&ttl) {
            let [ttl, least, most] = [ttl, *TTL.start(), *TTL.end()].map(HumanDuration::new);
            mistaken("ttl", format!("`ttl` is {ttl}: expected {least} to {most}"));
        }
        let messages_max = messages_max? as usize;
        (diagnostics.len() == told).then_some(HistoryPolicy { messages_max, bytes_max, ttl })
    }
}
