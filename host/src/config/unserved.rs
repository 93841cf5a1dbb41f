//! Keys that the configuration knows and this version does not serve: refused with the reason, never taken in silence.

use super::{Diagnostic, Node, Place, Shape};

/// Tells of every such key and takes it out of the tree.
pub(super) fn refuse(root: &mut Node, diagnostics: &mut Vec<Diagnostic>) {
    refuse_value(root, "store", |value| value.starts_with("sqlite:"), "sqlite:../tidegate.db", diagnostics);
}

fn not_served(place: &Place, what: &str) -> Diagnostic {
    Diagnostic::at(place.clone(), format!("{what} is not served by this version of Tidegate"))
}

fn refuse_value(
    root: &mut Node,
    key: &str,
    is_served: impl FnOnce(&str) -> bool,
    example: &str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(node) = root.get(key) else { return };
    if node.as_str().is_some_and(|value| !is_served(value)) {
        let hint = format!("leave `{key}` out, or write `{key}: {example}`");
        // The value may hold a password: it is shown by its line only, if at all.
        diagnostics.push(not_served(&node.place, &format!("this `{key}`")).hint(hint));
        remove(root, key);
    }
}

fn remove(node: &mut Node, key: &str) {
    if let Shape::Map(entries) = &mut node.shape {
        entries.retain(|entry| entry.key != key);
    }
}
