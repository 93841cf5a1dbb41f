//! The valid part of a configuration with errors, for commands that check other files.

use std::path::Path;

use super::{Config, Diagnostic, Entry, Node, Override, Shape, check, decode};

/// A configuration with errors.
#[derive(Debug)]
pub struct Failed {
    /// All errors of all layers.
    pub mistakes: Vec<Diagnostic>,
    /// The sections without errors, the others at their defaults; `None` if a section with errors says where files are.
    pub rest: Option<Box<Config>>,
}

impl Config {
    /// Like [`Config::load`], for commands that check other files whatever errors this one has.
    ///
    /// # Errors
    /// All errors, and the configuration without the sections that have some.
    pub fn load_despite(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[Override],
    ) -> Result<Self, Failed> {
        Self::load_keys(None, file, env, overrides)
    }
}

/// The configuration without the sections of a tree that have errors.
pub(super) fn good_sections(root: &Node, diagnostics: &[Diagnostic]) -> Option<(Config, Node)> {
    let entries = root.entries();
    let is_bad = |entry: &Entry| {
        let next = entries.iter().map(|other| &other.key_place).filter(|place| place.source == entry.key_place.source);
        let next = next.map(|place| place.line).filter(|line| *line > entry.key_place.line).min();
        let lines = entry.key_place.line..next.unwrap_or(usize::MAX);
        let places = diagnostics.iter().filter_map(|diagnostic| diagnostic.place.as_ref());
        places.filter(|place| place.source == entry.key_place.source).any(|place| lines.contains(&place.line))
    };
    let (bad, good): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_bad);
    if bad.iter().any(|entry| ["channels", "plugins", "bridge"].contains(&entry.key.as_str())) {
        return None;
    }
    let root = Node::new(root.place.clone(), Shape::Map(good));
    let mut mistakes = Vec::new();
    let config = decode::<Config>(&root, &mut mistakes)?;
    check::check(&config, &root, &mut mistakes);
    mistakes.is_empty().then_some((config, root))
}
