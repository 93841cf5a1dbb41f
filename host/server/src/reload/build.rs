//! Builds a generation while the old one serves: plugins first, because the catalog needs their kinds. Here a
//! generation is valid only as a whole; [`each`](super::each) builds it where each plugin stands alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Read;
use tidegate_core::channels::{self, Catalog, Sources};
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_core::flow::Serving;
use tidegate_core::flow::ports::PluginStatus;
use tidegate_core::protocol::{Generation, PluginName};
use tidegate_core::telemetry;
use tidegate_wasm::{Fingerprint, KeptOut, Plugin, PluginHost, PluginSet, PluginSource};

/// A generation ready to serve.
#[derive(Clone)]
pub struct Built {
    /// Goes behind the gates.
    pub serving: Serving,
    /// Its plugins; the next generation keeps those that did not change.
    pub plugins: Vec<Arc<Plugin>>,
    /// The files that its catalog was compiled from.
    pub sources: Sources,
    /// The fingerprint of its files; `None` if it was built without files, after a rollback.
    pub fingerprint: Option<u64>,
    /// Quarantined versions in plugins' directories: the version of `previous` serves on, or none.
    pub kept_out: Vec<KeptOut>,
    /// Errors in files that are not part of it. Empty where a generation is valid only as a whole.
    pub held_up: Vec<Diagnostic>,
    /// The plugins with these errors.
    pub rejected: Vec<PluginStatus>,
    /// The golden vectors of its plugins, where plugins serve whatever they answer.
    pub vectors: BTreeMap<PluginName, Vec<Arc<SourceFile>>>,
    /// The plugins whose vectors did not run yet.
    pub untested: Vec<Arc<Plugin>>,
}

impl Built {
    pub(super) fn new(catalog: Catalog, plugins: Vec<Arc<Plugin>>, sources: Sources) -> Self {
        let set = PluginSet::new(plugins.iter().cloned());
        for plugin in &plugins {
            plugin.belongs_to(catalog.team_of_plugin(plugin.name()));
        }
        Self {
            serving: Serving { catalog: catalog.into(), plugins: Arc::new(set) },
            plugins,
            sources,
            fingerprint: None,
            kept_out: Vec::new(),
            held_up: Vec::new(),
            rejected: Vec::new(),
            vectors: BTreeMap::new(),
            untested: Vec::new(),
        }
    }

    /// Whether this could replace another generation without any visible change.
    pub(super) fn serves_as(&self, other: &Self) -> bool {
        let same_plugins = self.plugins.len() == other.plugins.len()
            && self.plugins.iter().zip(&other.plugins).all(|(one, other)| Arc::ptr_eq(one, other));
        let (one, other) = (&self.sources, &other.sources);
        let same_files = one.manifests == other.manifests && one.schemas == other.schemas && one.bridge == other.bridge;
        !self.held_up.is_empty() && same_plugins && same_files
    }

    /// Continues to serve, and takes over what is known of the files from an equal generation.
    pub(super) fn stay(&mut self, next: Self) {
        let Self { fingerprint, held_up, rejected, vectors, untested, .. } = next;
        *self = Self { fingerprint, held_up, rejected, vectors, untested, ..self.clone() };
    }
}

impl Built {
    /// Logs the notes on the declared channels that the generation before did not have.
    pub fn tell_notes(&self, before: Option<&Self>) {
        let told: Vec<String> = before.iter().flat_map(|before| before.notes()).collect();
        self.notes().filter(|note| !told.contains(note)).for_each(|note| telemetry::catalog_note(&note));
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        self.serving.catalog.notes().iter().map(Diagnostic::in_one_line)
    }
}

/// Builds a generation. A plugin of `previous` that did not change keeps its warm instances. A quarantined version does
/// not stop the rest: the first of its name in `previous` serves on; if there is none, the plugin is missing, and
/// requests that need it are refused.
///
/// # Errors
/// All errors of all files: plugins, manifests and bridge in one run.
pub async fn build(
    host: &PluginHost,
    read: Read,
    generation: Generation,
    previous: &[Arc<Plugin>],
) -> Result<Built, Vec<Diagnostic>> {
    let fingerprint = Some(read.fingerprint());
    let Read { manifests, schemas, bridge, named, ack_bytes_max, teams, plugins: found, unread, missed, mut mistakes } =
        read;
    let mut plugins = Vec::new();
    let mut unloadable = Vec::new();
    let mut kept_out = Vec::new();
    for mut plugin in unread {
        unloadable.push(plugin.name);
        mistakes.append(&mut plugin.mistakes);
    }
    for source in found {
        let name = source.name.clone();
        let unchanged = unchanged(previous, &source);
        if unchanged.is_none()
            && let Some(mut kept) = host.kept_out(&source)
        {
            let serving = previous.iter().find(|plugin| *plugin.name() == name);
            kept.serving = serving.map(|plugin| plugin.version().to_owned());
            kept_out.push(kept);
            match serving {
                Some(plugin) => plugins.push(plugin.clone()),
                None => unloadable.push(name),
            }
            continue;
        }
        let loaded = match unchanged {
            // Perhaps only its vectors have changed.
            Some(plugin) => host.self_test(&plugin, &source.vectors).await.map(|()| plugin),
            None => host.load(source).await,
        };
        match loaded {
            Ok(plugin) => plugins.push(plugin),
            Err(mut errors) => {
                unloadable.push(name);
                mistakes.append(&mut errors);
            }
        }
    }
    let (plugin_kinds, features) = (kinds(&plugins), features(&plugins));
    let sources = Sources {
        manifests,
        schemas,
        bridge,
        plugins: plugin_kinds,
        features,
        teams,
        unloadable,
        named,
        ack_bytes_max,
        unread: missed,
    };
    match channels::compile(&sources, generation) {
        Ok(catalog) if mistakes.is_empty() => {
            Ok(Built { fingerprint, kept_out, ..Built::new(catalog, plugins, sources) })
        }
        Ok(_) => Err(mistakes),
        Err(mut errors) => {
            mistakes.append(&mut errors);
            Err(mistakes)
        }
    }
}

/// The kinds of each plugin.
pub(super) fn kinds(plugins: &[Arc<Plugin>]) -> BTreeMap<PluginName, channels::PluginKinds> {
    plugins.iter().map(|plugin| (plugin.name().clone(), plugin.kinds())).collect()
}

/// The features that plugins name.
pub(super) fn features(plugins: &[Arc<Plugin>]) -> BTreeMap<PluginName, String> {
    plugins.iter().filter_map(|plugin| Some((plugin.name().clone(), plugin.feature()?.to_owned()))).collect()
}

/// The plugin that was loaded from exactly these files, if there is one.
fn unchanged(previous: &[Arc<Plugin>], source: &PluginSource) -> Option<Arc<Plugin>> {
    previous.iter().find(|plugin| *plugin.name() == source.name)?;
    of_fingerprint(previous, &source.name, &Fingerprint::of(&source.manifest.text, &source.component))
}

/// The plugin with this name and fingerprint, if there is one.
pub(super) fn of_fingerprint(
    previous: &[Arc<Plugin>],
    name: &PluginName,
    fingerprint: &Fingerprint,
) -> Option<Arc<Plugin>> {
    previous.iter().find(|plugin| plugin.name() == name && plugin.fingerprint() == *fingerprint).cloned()
}
