//! The channels as their manifests write them, for what is printed from them: types and documents.

use serde_json::Value;

use super::Sources;
use crate::config::{Node, parse_yaml};

/// A channel as its manifest writes it.
pub(super) struct Written {
    pub(super) channel: String,
    pub(super) description: Option<String>,
    pub(super) payload: Value,
    /// The schema of what clients may send, if they may send; the inner `None` for a relay without its own schema.
    pub(super) inbound: Option<Option<Value>>,
    /// The whole declaration.
    pub(super) declaration: Value,
}

/// Every channel of every manifest, by name. The manifests must compile.
pub(super) fn written(sources: &Sources) -> Vec<Written> {
    let mut all = Vec::new();
    for manifest in &sources.manifests {
        let Some(tree) = parse_yaml(manifest, &mut Vec::new()) else { continue };
        for entry in tree.get("channels").map(Node::entries).unwrap_or_default() {
            let inbound = entry.value.get("inbound").map(|inbound| inbound.get("payload").map(Node::to_json));
            all.push(Written {
                channel: entry.key.clone(),
                description: entry.value.get("description").and_then(Node::as_str).map(str::to_owned),
                payload: entry.value.get("payload").map_or(Value::Bool(true), Node::to_json),
                inbound,
                declaration: entry.value.to_json(),
            });
        }
    }
    all.sort_by(|one, other| one.channel.cmp(&other.channel));
    all
}

/// The channels with these names; all without names.
///
/// # Errors
/// The name of the first that no manifest declares, and the existing channels.
pub(super) fn named<'w>(
    written: &'w [Written],
    channels: &[String],
) -> Result<Vec<&'w Written>, (String, Vec<String>)> {
    if let Some(unknown) = channels.iter().find(|channel| !written.iter().any(|written| written.channel == **channel)) {
        return Err((unknown.clone(), written.iter().map(|written| written.channel.clone()).collect()));
    }
    let is_named = |written: &&Written| channels.is_empty() || channels.contains(&written.channel);
    Ok(written.iter().filter(is_named).collect())
}
