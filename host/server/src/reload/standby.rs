//! Versions that were replaced recently, kept ready in case their successors fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::build::features;
use super::{Built, Terms};
use tidegate_core::channels;
use tidegate_core::config::{Diagnostic, Rollback};
use tidegate_core::protocol::{Generation, PluginName};
use tidegate_wasm::Plugin;

/// The last good version of every plugin whose present version is on probation. Where each plugin stands alone none is
/// kept: every version is watched, but never rolled back.
pub(super) struct Standby {
    rollback: Rollback,
    terms: Terms,
    /// Notified when a version on probation fails.
    failed: Arc<Notify>,
    kept: BTreeMap<PluginName, Kept>,
}

struct Kept {
    /// `None` if there is no version to roll back to.
    plugin: Option<Arc<Plugin>>,
    until: Instant,
}

impl Standby {
    pub(super) fn new(rollback: Rollback, terms: Terms) -> Self {
        Self { rollback, terms, failed: Arc::default(), kept: BTreeMap::new() }
    }

    /// The standby versions.
    pub(super) fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.kept.values().filter_map(|kept| kept.plugin.clone()).collect()
    }

    /// Waits until a version on probation fails, or until one ends its probation.
    pub(super) async fn changed(&self) {
        let first = self.kept.values().map(|kept| kept.until).min();
        let over = async {
            match first {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.failed.notified() => {}
            () = over => {}
        }
    }

    /// Puts new versions on probation, and keeps those that they replaced. A version that was itself on probation is
    /// not known to be good: the one before it stays.
    pub(super) fn swapped(&mut self, before: &[Arc<Plugin>], now: &[Arc<Plugin>]) {
        let mut stood = std::mem::take(&mut self.kept);
        let until = Instant::now() + self.rollback.probation.get();
        for plugin in now {
            let name = plugin.name();
            let known = stood.remove(name);
            let old = before.iter().find(|old| old.name() == name);
            if old.is_some_and(|old| Arc::ptr_eq(old, plugin)) {
                self.kept.extend(known.map(|known| (name.clone(), known)));
                continue;
            }
            if let Some(old) = old {
                old.unwatch();
            }
            let good = match self.terms {
                Terms::EachAlone => None,
                Terms::Whole => known.and_then(|known| known.plugin).or_else(|| old.cloned()),
            };
            let is_same = good.as_ref().is_some_and(|good| good.fingerprint() == plugin.fingerprint());
            if self.rollback.probation.get().is_zero() || is_same || (good.is_none() && self.terms == Terms::Whole) {
                continue;
            }
            plugin.watch(&self.rollback, good.as_deref(), &self.failed);
            self.kept.insert(name.clone(), Kept { plugin: good, until });
        }
    }

    /// Drops the versions that are not needed any more.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        self.kept.retain(|_, kept| now < kept.until);
    }

    /// A failed version and the one to roll back to, if any; each is returned once.
    pub(super) fn take_failed(&mut self, serving: &[Arc<Plugin>]) -> Option<(Arc<Plugin>, Option<Arc<Plugin>>)> {
        let failed = serving.iter().find(|plugin| plugin.has_failed() && self.kept.contains_key(plugin.name()))?;
        let kept = self.kept.remove(failed.name())?;
        Some((failed.clone(), kept.plugin))
    }
}

/// The serving generation with one plugin as it was before. Only the catalog is compiled; nothing is read.
///
/// # Errors
/// Why the present channels do not fit that version.
pub(super) fn without(current: &Built, bad: &Arc<Plugin>, good: &Arc<Plugin>) -> Result<Built, Vec<Diagnostic>> {
    let swap = |plugin: &Arc<Plugin>| if Arc::ptr_eq(plugin, bad) { good.clone() } else { plugin.clone() };
    let plugins: Vec<_> = current.plugins.iter().map(swap).collect();
    let mut sources = current.sources.clone();
    sources.plugins.insert(good.name().clone(), good.kinds());
    sources.features = features(&plugins);
    let generation = Generation(current.serving.catalog.generation().0 + 1);
    Ok(Built::new(channels::compile(&sources, generation)?, plugins, sources))
}
