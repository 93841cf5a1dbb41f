//! How much is kept of a topic: what `history:` and `snapshot: { retain }` have in common.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{ByteSize, Diagnostic, HumanDuration, Node};

/// The most bytes of a topic that are kept unless the channel says otherwise.
pub(super) const BYTES_DEFAULT: usize = 1 << 20;
/// The range of times for which something may be kept.
const TTL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30 * 24 * 60 * 60);

/// Reads the bounds of a mapping, and reports mistakes in their values.
pub(super) struct Bounds<'a> {
    node: &'a Node,
    diagnostics: &'a mut Vec<Diagnostic>,
    is_good: bool,
}

impl<'a> Bounds<'a> {
    pub(super) const fn of(node: &'a Node, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self { node, diagnostics, is_good: true }
    }

    /// A number of things, from 1 to `most`.
    pub(super) fn count(&mut self, key: &str, count: u64, most: u32) -> usize {
        if !(1..=u64::from(most)).contains(&count) {
            self.mistaken(key, format!("`{key}` is {count}: expected 1 to {most}"));
        }
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// `bytes`, at least one.
    pub(super) fn bytes(&mut self, bytes: Option<ByteSize>) -> usize {
        let bytes = bytes.map_or(BYTES_DEFAULT, ByteSize::as_usize);
        if bytes == 0 {
            self.mistaken("bytes", "`bytes` is 0: expected at least 1 byte".to_owned());
        }
        bytes
    }

    /// `bytes` of a snapshot, which goes to a subscriber in one answer.
    pub(super) fn fit_an_ack(&mut self, bytes: usize, ack_bytes_max: Option<usize>) {
        let Some(most) = ack_bytes_max.filter(|most| bytes > *most) else { return };
        let [bytes, most] = [bytes, most].map(|bytes| ByteSize::from_bytes(bytes as u64));
        let message = format!("`bytes` is {bytes}, but the answer to a subscribe holds `limits.ack_bytes`, {most}");
        let hint = format!(
            "a larger snapshot would refuse every subscription (`payload_too_large`): write `bytes: {most}` at most, \
             or raise `limits.ack_bytes`"
        );
        self.mistaken_with("bytes", message, Some(hint));
    }

    /// `ttl`, within the range.
    pub(super) fn ttl(&mut self, ttl: Option<HumanDuration>, default: Duration) -> Duration {
        let ttl = ttl.map_or(default, HumanDuration::get);
        if !TTL.contains(&ttl) {
            let [ttl, least, most] = [ttl, *TTL.start(), *TTL.end()].map(HumanDuration::new);
            self.mistaken("ttl", format!("`ttl` is {ttl}: expected {least} to {most}"));
        }
        ttl
    }

    /// Whether no value is a mistake.
    pub(super) const fn are_good(&self) -> bool {
        self.is_good
    }

    fn mistaken(&mut self, key: &str, message: String) {
        self.mistaken_with(key, message, None);
    }

    fn mistaken_with(&mut self, key: &str, message: String, hint: Option<String>) {
        let place = self.node.get(key).map_or(&self.node.place, |value| &value.place).clone();
        self.diagnostics.push(Diagnostic { hint, ..Diagnostic::at(place, message) });
        self.is_good = false;
    }
}
