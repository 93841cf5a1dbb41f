//! `snapshot:` of a channel: a plugin returns the state of a topic, or the newest value of each key is kept for who
//! subscribes later.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::keeping::{BYTES_DEFAULT, Bounds};
use super::manifest::require;
use crate::config::{ByteSize, Diagnostic, Entry, HumanDuration};

/// Most keys of a topic that a channel may keep.
const KEYS_MAX: u32 = 1_000_000;
const KEYS_DEFAULT: u64 = 10_000;
const TTL_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// What is kept of the keys of each topic of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// Whether values are kept; otherwise only versions are.
    pub values: bool,
    /// The most keys.
    pub keys_max: usize,
    /// The most bytes of keys, versions and values.
    pub bytes_max: usize,
    /// How long a key is kept after its last publication.
    pub ttl: Duration,
}

impl Keeping {
    /// What a channel keeps that has versions and retains no values.
    pub const VERSIONS: Self = Self { values: false, keys_max: 10_000, bytes_max: BYTES_DEFAULT, ttl: TTL_DEFAULT };
}

/// The source of a topic's state: a plugin, the retained values, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Snapshot")]
pub(super) struct RawSnapshot {
    /// The plugin that returns the state. With `retain` the retained values win, unless the plugin's are newer by
    /// `delivery.version`.
    pub(super) plugin: Option<String>,
    /// `latest`: the newest publication of each key (`delivery.key`) is kept, for who subscribes later.
    retain: Option<RawRetain>,
    /// With `retain`: how long a value is kept after it was published, from `100ms` to `30d`. Default 24 h.
    ttl: Option<HumanDuration>,
    /// With `retain`: the most keys of a topic, 1 to 1,000,000. Default 10,000; beyond that the value goes that was
    /// published longest ago.
    #[schemars(with = "Option<u32>", range(min = 1, max = KEYS_MAX))]
    keys: Option<u64>,
    /// With `retain`: the most bytes of a topic's keys and values, at most `limits.ack_bytes`. Default 1 MiB; beyond that
    /// the value goes that was published longest ago.
    bytes: Option<ByteSize>,
}

/// What is retained.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Retain")]
enum RawRetain {
    /// The newest value of each key.
    Latest,
}

impl RawSnapshot {
    /// How much is retained; mistakes in the values are reported.
    pub(super) fn read(
        &self,
        entry: &Entry,
        ack_bytes_max: Option<usize>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Keeping> {
        let node = &entry.value;
        // A key without a value was reported already.
        if node.entry("retain").is_none() && !node.entries().iter().any(|entry| entry.value.is_null()) {
            let known = ["plugin", "ttl", "keys", "bytes"];
            if node.entries().iter().all(|entry| known.contains(&entry.key.as_str())) {
                require(&["plugin"], node, &entry.key_place, diagnostics);
            }
            for extra in ["ttl", "keys", "bytes"].iter().filter_map(|key| node.entry(key)) {
                let message = format!("`{}` needs `retain: latest`", extra.key);
                let hint = "add `retain: latest`, or leave it out: a plugin keeps its state by itself";
                diagnostics.push(Diagnostic::at(extra.key_place.clone(), message).hint(hint));
            }
        }
        let Some(RawRetain::Latest) = self.retain else { return None };
        let mut bounds = Bounds::of(node, diagnostics);
        let keys_max = bounds.count("keys", self.keys.unwrap_or(KEYS_DEFAULT), KEYS_MAX);
        let bytes_max = bounds.bytes(self.bytes);
        bounds.fit_an_ack(bytes_max, ack_bytes_max);
        let ttl = bounds.ttl(self.ttl, TTL_DEFAULT);
        bounds.are_good().then_some(Keeping { values: true, keys_max, bytes_max, ttl })
    }
}
