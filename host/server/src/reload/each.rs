//! Builds a generation in which each plugin stands alone, for people who write plugins: valid parts go live, parts with
//! errors stay as they were, and failed golden vectors stop nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Built, features, kinds, of_fingerprint};
use super::read::Unread;
use super::rejected::{candidates, rejected};
use super::{Paths, Read};
use tidegate_core::channels::{self, Catalog, PluginKinds, Sources};
use tidegate_core::config::Diagnostic;
use tidegate_core::protocol::{Generation, PluginName};
use tidegate_wasm::{Plugin, PluginHost};

/// Builds a generation. If a plugin cannot be loaded, its version of `current` serves on; if there is none, the plugin
/// is missing, and requests that need it are refused. Manifests and the bridge table belong together: an error in any
/// of them leaves all of them as in `current`.
///
/// # Errors
/// The errors of the manifests and the bridge table, if `current` has none to continue with.
pub async fn build_each(
    host: &PluginHost,
    paths: &Paths,
    read: Read,
    generation: Generation,
    current: Option<&Built>,
) -> Result<Built, Vec<Diagnostic>> {
    let fingerprint = Some(read.fingerprint());
    let candidates = candidates(&read.plugins);
    let previous: &[Arc<Plugin>] = current.map_or(&[], |current| &current.plugins);
    let Read {
        manifests,
        schemas,
        bridge,
        named,
        ack_bytes_max,
        teams,
        plugins: found,
        unread,
        mistakes: mut held_up,
        ..
    } = read;
    // The other files may refer to content of a file that could not be read.
    let is_whole = held_up.is_empty();
    let wanted = Sources { manifests, schemas, bridge, named, ack_bytes_max, teams, ..Sources::default() };
    let (mut there, mut vectors) = (There::default(), BTreeMap::new());
    for Unread { name, mut mistakes, is_unbuilt } in unread {
        // Whoever builds it reports the result.
        if !is_unbuilt {
            held_up.append(&mut mistakes);
        }
        there.stand_in(name, previous);
    }
    for mut source in found {
        let (name, own) = (source.name.clone(), std::mem::take(&mut source.vectors));
        let serving = candidates.get(&name).and_then(|candidate| of_fingerprint(previous, &name, candidate));
        let loaded = match serving {
            Some(plugin) => Ok(plugin),
            None => host.load(source).await,
        };
        match loaded {
            Ok(plugin) => {
                vectors.insert(name, own);
                there.plugins.push(plugin);
            }
            Err(mut mistakes) => {
                held_up.append(&mut mistakes);
                there.stand_in(name, previous);
            }
        }
    }
    let Some(Fitted { catalog, plugins, sources }) =
        there.fit(is_whole.then_some(&wanted), current, generation, &mut held_up)
    else {
        return Err(held_up);
    };
    let is_tested = |plugin: &&Arc<Plugin>| {
        let is_same = previous.iter().any(|before| Arc::ptr_eq(before, plugin));
        let before = current.and_then(|current| current.vectors.get(plugin.name()));
        let waits = current.is_some_and(|current| current.untested.iter().any(|waiting| Arc::ptr_eq(waiting, plugin)));
        is_same && !waits && before == vectors.get(plugin.name())
    };
    let untested = plugins.iter().filter(|plugin| !is_tested(plugin)).cloned().collect();
    let rejected = rejected(&paths.plugins, &candidates, &held_up);
    Ok(Built { fingerprint, held_up, rejected, vectors, untested, ..Built::new(catalog, plugins, sources) })
}

/// The plugins for a generation.
#[derive(Clone, Default)]
struct There {
    plugins: Vec<Arc<Plugin>>,
    /// Plugins without any version.
    missing: Vec<PluginName>,
}

/// Plugins and declared channels that fit together.
struct Fitted {
    catalog: Catalog,
    plugins: Vec<Arc<Plugin>>,
    sources: Sources,
}

impl There {
    /// Lets the version before serve on, if there is one.
    fn stand_in(&mut self, name: PluginName, previous: &[Arc<Plugin>]) {
        match previous.iter().find(|plugin| *plugin.name() == name) {
            Some(plugin) => self.plugins.push(plugin.clone()),
            None => self.missing.push(name),
        }
    }

    /// Fits the new channels and the plugins together. A changed plugin that no longer fits goes back to its earlier
    /// version; if no plugin changed, the new channels have the error, and the present ones stay.
    fn fit(
        self,
        wanted: Option<&Sources>,
        current: Option<&Built>,
        generation: Generation,
        held_up: &mut Vec<Diagnostic>,
    ) -> Option<Fitted> {
        let previous: &[Arc<Plugin>] = current.map_or(&[], |current| &current.plugins);
        if let Some(wanted) = wanted {
            let mut mistakes = match self.clone().compile(wanted, generation) {
                Ok(fitted) => return Some(fitted),
                Err(mistakes) => mistakes,
            };
            held_up.append(&mut mistakes);
            let fitting = self.clone().fitting(wanted, previous, current.is_none());
            if let Some(Ok(fitted)) = fitting.map(|fitting| fitting.compile(wanted, generation)) {
                return Some(fitted);
            }
        }
        let current = current?;
        let fitting = self.and_gone(current).fitting(&current.sources, previous, true)?;
        fitting.compile(&current.sources, generation).ok()
    }

    /// Replaces every plugin that the channels cannot use with its earlier version. A plugin without a fitting version
    /// is missing, if that is allowed; otherwise there is no fit.
    fn fitting(self, declared: &Sources, previous: &[Arc<Plugin>], may_miss: bool) -> Option<Self> {
        let names: Vec<PluginName> = self.names().cloned().collect();
        let fits = |plugin: &Arc<Plugin>| {
            let alone = BTreeMap::from([(plugin.name().clone(), plugin.kinds())]);
            let others = names.iter().filter(|name| *name != plugin.name()).cloned().collect();
            compiled(declared, alone, BTreeMap::new(), others, Generation(0)).is_ok()
        };
        let mut fitting = Self { missing: self.missing.clone(), ..Self::default() };
        for plugin in self.plugins.iter().cloned() {
            let before = previous.iter().find(|before| before.name() == plugin.name() && fits(before));
            match before {
                _ if fits(&plugin) => fitting.plugins.push(plugin),
                Some(before) => fitting.plugins.push(before.clone()),
                None if may_miss => fitting.missing.push(plugin.name().clone()),
                None => return None,
            }
        }
        Some(fitting)
    }

    /// Adds plugins whose directories are gone, because the channels may name them.
    fn and_gone(mut self, current: &Built) -> Self {
        let is_there = |there: &Self, name: &PluginName| there.names().any(|known| known == name);
        for plugin in &current.plugins {
            if !is_there(&self, plugin.name()) {
                self.plugins.push(plugin.clone());
            }
        }
        for name in &current.sources.unloadable {
            if !is_there(&self, name) {
                self.missing.push(name.clone());
            }
        }
        self
    }

    fn names(&self) -> impl Iterator<Item = &PluginName> {
        self.plugins.iter().map(|plugin| plugin.name()).chain(&self.missing)
    }

    fn compile(self, declared: &Sources, generation: Generation) -> Result<Fitted, Vec<Diagnostic>> {
        let Self { plugins, missing } = self;
        let (catalog, sources) = compiled(declared, kinds(&plugins), features(&plugins), missing, generation)?;
        Ok(Fitted { catalog, plugins, sources })
    }
}

/// The channels, compiled with these plugins.
fn compiled(
    declared: &Sources,
    plugins: BTreeMap<PluginName, PluginKinds>,
    features: BTreeMap<PluginName, String>,
    unloadable: Vec<PluginName>,
    generation: Generation,
) -> Result<(Catalog, Sources), Vec<Diagnostic>> {
    let sources = Sources { plugins, features, unloadable, ..declared.clone() };
    Ok((channels::compile(&sources, generation)?, sources))
}

/// The errors of the manifests and the bridge table alone: every plugin is assumed to exist.
///
/// # Errors
/// All errors.
pub fn judge_declared(read: Read) -> Result<(), Vec<Diagnostic>> {
    let Read { manifests, schemas, bridge, named, ack_bytes_max, teams, plugins, unread, missed, mut mistakes } = read;
    let unloadable = plugins.into_iter().map(|plugin| plugin.name).chain(unread.into_iter().map(|plugin| plugin.name));
    let unloadable = unloadable.collect();
    let files = Sources { manifests, schemas, bridge, ..Sources::default() };
    let sources = Sources { named, ack_bytes_max, teams, unloadable, unread: missed, ..files };
    mistakes.extend(channels::compile(&sources, Generation(0)).err().unwrap_or_default());
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}
