//! What people compare of two versions of a plugin.

use serde_json::{Map, Value};

use super::PluginManifest;
use crate::version::Fingerprint;
use tidegate_core::channels::PluginKind;
use tidegate_core::config::parse_yaml;

/// The sections of `plugin.yaml` that say what a plugin may do and use.
const SECTIONS: [&str; 4] = ["grants", "limits", "instances", "on_failure"];

impl PluginManifest {
    /// The version, what `plugin.yaml` says of kinds, rights and limits. Without a component there is no version: it is
    /// not built.
    #[must_use]
    pub fn policy(&self, component: Option<&[u8]>) -> Value {
        let version = component.map(|component| Fingerprint::of(&self.source.text, component).version().short());
        let kinds = PluginKind::ALL.into_iter().filter(|kind| self.kinds.contains(kind));
        self.compared(kinds, version.as_deref())
    }

    /// The same with the kinds of the component.
    pub(crate) fn compared(&self, kinds: impl Iterator<Item = PluginKind>, version: Option<&str>) -> Value {
        let mut policy = Map::new();
        if let Some(version) = version {
            policy.insert("version".to_owned(), version.into());
        }
        policy.insert("kinds".to_owned(), kinds.map(PluginKind::as_str).collect());
        let tree = parse_yaml(&self.source, &mut Vec::new());
        for key in SECTIONS {
            if let Some(value) = tree.as_ref().and_then(|tree| tree.get(key)) {
                policy.insert(key.to_owned(), value.to_json());
            }
        }
        policy.into()
    }
}
