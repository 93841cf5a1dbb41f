//! The kinds of plugins, and the check that a named plugin exists and is of the right kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sources;
use super::manifest::ticked;
use crate::config::{Diagnostic, Place, nearest_name};
use crate::protocol::PluginName;

/// A kind of plugin: an interface of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// It answers messages.
    Handler,
    /// It decides who may join and send.
    Authorizer,
    /// It gives the state of a topic to a new subscriber.
    Snapshot,
    /// It makes the payload of a bridge rule.
    Transform,
    /// It learns of opened and closed connections.
    Connection,
}

/// The kinds that a plugin's component exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginKinds {
    /// It answers messages.
    pub handler: bool,
    /// It decides who may join and send.
    pub authorizer: bool,
    /// It gives the state of a topic to a new subscriber.
    pub snapshot: bool,
    /// It makes the payload of a bridge rule.
    pub transform: bool,
    /// It learns of opened and closed connections.
    pub connection: bool,
}

impl PluginKind {
    /// Every kind, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Handler, Self::Authorizer, Self::Snapshot, Self::Transform, Self::Connection];

    /// The name of the kind's interface, and of the key that asks for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Authorizer => "authorizer",
            Self::Snapshot => "snapshot",
            Self::Transform => "transform",
            Self::Connection => "connection",
        }
    }
}

impl PluginKinds {
    /// All kinds at once.
    pub const ALL: Self = Self { handler: true, authorizer: true, snapshot: true, transform: true, connection: true };

    /// Whether the plugin is of this kind.
    #[must_use]
    pub const fn has(self, kind: PluginKind) -> bool {
        match kind {
            PluginKind::Handler => self.handler,
            PluginKind::Authorizer => self.authorizer,
            PluginKind::Snapshot => self.snapshot,
            PluginKind::Transform => self.transform,
            PluginKind::Connection => self.connection,
        }
    }

    /// Adds a kind.
    pub const fn add(&mut self, kind: PluginKind) {
        *match kind {
            PluginKind::Handler => &mut self.handler,
            PluginKind::Authorizer => &mut self.authorizer,
            PluginKind::Snapshot => &mut self.snapshot,
            PluginKind::Transform => &mut self.transform,
            PluginKind::Connection => &mut self.connection,
        } = true;
    }

    /// The kinds of the plugin.
    pub fn iter(self) -> impl Iterator<Item = PluginKind> {
        PluginKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// The kinds in words: `` `handler` and `snapshot` ``.
    #[must_use]
    pub fn in_words(self) -> String {
        let names: Vec<&str> = self.iter().map(PluginKind::as_str).collect();
        match names.split_last() {
            None => "nothing that Tidegate knows".to_owned(),
            Some((only, [])) => format!("`{only}`"),
            Some((last, others)) => format!("{} and `{last}`", ticked(others)),
        }
    }
}

impl FromIterator<PluginKind> for PluginKinds {
    fn from_iter<T: IntoIterator<Item = PluginKind>>(kinds: T) -> Self {
        let mut all = Self::default();
        kinds.into_iter().for_each(|kind| all.add(kind));
        all
    }
}

/// A plugin that the configuration names, outside of the manifests and the bridge table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlugin {
    /// The name.
    pub name: String,
    /// The kind that it must have.
    pub kind: PluginKind,
    /// Where the configuration names it.
    pub place: Place,
}

/// Checks a plugin that a manifest, the bridge table or the configuration names. Reports it if there is no such plugin,
/// or if it is of another kind.
pub(super) fn named(
    name: &str,
    kind: PluginKind,
    place: &Place,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> PluginName {
    let name = PluginName::new(name);
    match sources.plugins.get(&name) {
        None if sources.unread.plugins || sources.unloadable.contains(&name) => {}
        None => {
            let known: Vec<&str> = sources.plugins.keys().map(PluginName::as_str).collect();
            let diagnostic = Diagnostic::at(place.clone(), format!("there is no plugin `{name}`"));
            diagnostics.push(match (nearest_name(name.as_str(), &known), known.is_empty()) {
                (Some(nearest), _) => diagnostic.hint(format!("did you mean `{nearest}`?")),
                (None, true) => diagnostic.hint("no plugin is loaded at all"),
                (None, false) => diagnostic.hint(format!("plugins: {}", ticked(&known))),
            });
        }
        Some(kinds) if !kinds.has(kind) => {
            let message = format!("plugin `{name}` does not export `{}`", kind.as_str());
            let hint = format!("it exports {}", kinds.in_words());
            diagnostics.push(Diagnostic::at(place.clone(), message).hint(hint));
        }
        Some(_) => {}
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_in_words() {
        let words = |kinds: &[PluginKind]| kinds.iter().copied().collect::<PluginKinds>().in_words();
        assert_eq!(words(&[]), "nothing that Tidegate knows");
        assert_eq!(words(&[PluginKind::Snapshot]), "`snapshot`");
        assert_eq!(words(&[PluginKind::Authorizer, PluginKind::Handler]), "`handler` and `authorizer`");
        assert_eq!(words(&PluginKind::ALL), "`handler`, `authorizer`, `snapshot`, `transform` and `connection`");
    }
}
