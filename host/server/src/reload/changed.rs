//! What a generation changes of the one before it, and by which files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::Built;
use tidegate_core::channels::{Change, ChangeGroup, Policy, diff};
use tidegate_core::telemetry;
use tidegate_wasm::Plugin;

/// Most changes of one reload that the log tells.
const CHANGES_TOLD_MAX: usize = 20;

/// What people notice of the change from one generation to another.
pub(super) fn changes(before: &Built, now: &Built) -> Vec<Change> {
    let compare = || diff(&policy(before), &policy(now));
    // Schemas that differ are judged with many payloads; meanwhile other tasks go on.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(compare),
        _ => compare(),
    }
}

/// Logs the most serious changes.
pub(super) fn log(changes: &[Change]) {
    for change in changes.iter().take(CHANGES_TOLD_MAX) {
        let is_serious = change.kind.group() <= ChangeGroup::Breaks;
        telemetry::reload_policy(change.kind.as_str(), &change.to_string(), is_serious);
    }
    let more = changes.len().saturating_sub(CHANGES_TOLD_MAX);
    if more > 0 {
        telemetry::reload_policy("more", &format!("{more} more changes; `GET /v1/reloads` tells them"), false);
    }
}

fn policy(of: &Built) -> Policy {
    let plugins = of.plugins.iter().map(|plugin| (plugin.name().as_str().to_owned(), plugin.policy()));
    Policy::of(&of.serving.catalog, &of.sources, plugins)
}

/// The files that differ, by their paths.
pub(super) fn files(before: &Built, now: &Built) -> Vec<String> {
    let (old, new) = (texts(before), texts(now));
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let differ = paths.into_iter().filter(|path| old.get(path) != new.get(path)).map(str::to_owned);
    differ.chain(components(&before.plugins, &now.plugins)).collect()
}

/// The text of each file, by its path.
fn texts(of: &Built) -> BTreeMap<&str, &str> {
    let of_plugins = of.plugins.iter().map(|plugin| plugin.manifest_file());
    let declared = of.sources.manifests.iter().chain(of.sources.schemas.values()).chain(&of.sources.bridge);
    declared.chain(of_plugins).map(|file| (file.path.as_str(), file.text.as_str())).collect()
}

/// The directories of plugins whose component differs.
fn components(before: &[Arc<Plugin>], now: &[Arc<Plugin>]) -> Vec<String> {
    let changed = now.iter().filter(|plugin| {
        let old = before.iter().find(|old| old.name() == plugin.name());
        old.is_none_or(|old| old.digest() != plugin.digest())
    });
    let component = |plugin: &Arc<Plugin>| {
        let file = &plugin.manifest_file().path;
        Path::new(file).with_file_name("").to_string_lossy().into_owned()
    };
    changed.map(component).collect()
}
