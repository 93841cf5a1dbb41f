//! Compiles manifests, schemas and the bridge table to one catalog, or reports all their errors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::index::{CONFLICTS_MAX, Index};
use super::manifest::{self, Declared};
use super::owners::Owners;
use super::plugin_kinds::{self, NamedPlugin};
use super::schema_files::SchemaFiles;
use super::{BridgeTable, Catalog, PluginKinds, bridge_file};
use crate::config::{Diagnostic, SourceFile, Teams, editor_schema};
use crate::protocol::{Generation, PluginName};

/// Everything that a catalog is compiled from, already read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `channels/*.yaml`.
    pub manifests: Vec<Arc<SourceFile>>,
    /// Every JSON file below the channels directory, by its path relative to that directory, `/`-separated.
    pub schemas: BTreeMap<String, Arc<SourceFile>>,
    /// `bridge.yaml`, if there is one.
    pub bridge: Option<Arc<SourceFile>>,
    /// The plugins that will serve, with their kinds.
    pub plugins: BTreeMap<PluginName, PluginKinds>,
    /// Plugins that exist but did not load: their own errors are reported elsewhere, and naming them is not an error.
    pub unloadable: Vec<PluginName>,
    /// Plugins that the configuration names.
    pub named: Vec<NamedPlugin>,
    /// The features that `plugin.yaml` files name.
    pub features: BTreeMap<PluginName, String>,
    /// The teams of the configuration.
    pub teams: Teams,
    /// The most bytes of a snapshot in the answer to a subscribe; `None` if they are not known.
    pub ack_bytes_max: Option<usize>,
    /// Files that exist but could not be read: their own errors are reported elsewhere, and naming their possible
    /// content is not an error.
    pub unread: UnreadFiles,
}

/// Files that exist but could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadFiles {
    /// Whether a manifest is among them, or the directory of all manifests.
    pub manifests: bool,
    /// The schemas among them, by their path below the channels directory.
    pub schemas: BTreeSet<String>,
    /// Whether the directory of the plugins is one.
    pub plugins: bool,
}

/// Compiles a catalog.
///
/// # Errors
/// Every mistake of every file, in file and line order; never just the first.
///
/// ```
/// use std::sync::Arc;
/// use tidegate_core::channels::{Sources, compile};
/// use tidegate_core::config::SourceFile;
/// use tidegate_core::protocol::Generation;
///
/// let text = "feature: blog\nchannels:\n  blog.{id}: { scope: public, payload: true }\n";
/// let manifest = Arc::new(SourceFile { path: "channels/blog.yaml".into(), text: text.into() });
/// let sources = Sources { manifests: vec![manifest], ..Sources::default() };
/// let catalog = compile(&sources, Generation(1)).unwrap();
/// assert_eq!(catalog.resolve("blog.a1").unwrap().params.get("id"), Some("a1"));
/// ```
pub fn compile(sources: &Sources, generation: Generation) -> Result<Catalog, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut schemas = SchemaFiles::new(&sources.schemas, &sources.unread.schemas);
    let mut declared = Vec::new();
    let mut missed = Missed { all: sources.unread.manifests, names: BTreeSet::new() };
    for source in &sources.manifests {
        declared.append(&mut manifest::read(source, sources, &mut schemas, &mut missed, &mut diagnostics));
    }
    let index = index(&declared, &mut diagnostics);
    let bridge = match &sources.bridge {
        Some(source) => {
            let channels = declared.iter().map(|declared| (declared.template.as_str(), declared)).collect();
            bridge_file::read(source, &channels, &missed, sources, &mut diagnostics)
        }
        None => BridgeTable::default(),
    };
    for NamedPlugin { name, kind, place } in &sources.named {
        plugin_kinds::named(name, *kind, place, sources, &mut diagnostics);
    }
    if !diagnostics.is_empty() {
        in_order(&mut diagnostics, sources);
        return Err(diagnostics);
    }
    let channels: Vec<_> = declared.into_iter().filter_map(|declared| declared.channel).collect();
    let mut notes = schemas.into_notes();
    let owners = Owners::of(sources, &channels, &bridge, &mut notes);
    in_order(&mut notes, sources);
    Ok(Catalog::new(generation, channels, index, bridge, owners, notes))
}

/// Channels that may be declared in files with errors: a rule that names one of them is not an error.
pub(super) struct Missed {
    /// Whether it may be any channel.
    pub(super) all: bool,
    /// Invalid names, as in the manifests.
    pub(super) names: BTreeSet<String>,
}

fn index(declared: &[Declared], diagnostics: &mut Vec<Diagnostic>) -> Index {
    let mut index = Index::default();
    for (number, Declared { template, place, .. }) in declared.iter().enumerate() {
        let mut others = index.add(template, number);
        others.sort_unstable();
        let many = others.len() >= CONFLICTS_MAX;
        for other in others.iter().map(|&other| &declared[other]) {
            let diagnostic = if other.template.as_str() == template.as_str() {
                Diagnostic::at(place.clone(), format!("channel `{template}` is declared twice"))
            } else {
                let message = format!("the same topic can match both `{template}` and `{}`", other.template);
                let hint = "give them different static segments; only a name without params may overlap with a name with params";
                Diagnostic::at(place.clone(), message).hint(hint)
            };
            let diagnostic = diagnostic.also("the other channel is declared here", other.place.clone());
            diagnostics.push(if many { diagnostic.hint("it may conflict with more channels") } else { diagnostic });
        }
    }
    index
}

/// Sorts by file in the given order (manifests, schemas, bridge table), and by the place in the file.
fn in_order(diagnostics: &mut [Diagnostic], sources: &Sources) {
    let files = sources.manifests.iter().chain(sources.schemas.values()).chain(&sources.bridge);
    let rank: HashMap<*const SourceFile, usize> = files.enumerate().map(|(at, file)| (Arc::as_ptr(file), at)).collect();
    diagnostics.sort_by_key(|diagnostic| {
        let place = diagnostic.place.as_ref();
        place.map(|place| (rank.get(&Arc::as_ptr(&place.source)).copied(), place.line, place.column))
    });
}

/// The JSON Schema of a channel manifest, for editors: `channels/channel.schema.json`.
#[must_use]
pub fn manifest_schema() -> Value {
    editor_schema::<manifest::RawManifest>()
}

/// The JSON Schema of the bridge table, for editors: `config/bridge.schema.json`.
#[must_use]
pub fn bridge_schema() -> Value {
    editor_schema::<bridge_file::RawBridge>()
}
