//! Keys that the configuration knows and this version does not serve: refused with the reason, never taken in silence.

use super::{Diagnostic, Node, Place, Shape};

const BUS_SOURCES: [&str; 2] = ["redis", "postgres"];

/// Tells of every such key and takes it out of the tree.
pub(super) fn refuse(root: &mut Node, diagnostics: &mut Vec<Diagnostic>) {
    refuse_bus(root, diagnostics);
}

fn not_served(place: &Place, what: &str) -> Diagnostic {
    Diagnostic::at(place.clone(), format!("{what} is not served by this version of Tidegate"))
}

fn refuse_bus(root: &mut Node, diagnostics: &mut Vec<Diagnostic>) {
    let Some(Node { shape: Shape::List(sources), .. }) = get_mut(root, "bus") else { return };
    sources.retain(|source| {
        let known = source.entries().iter().find(|entry| BUS_SOURCES.contains(&entry.key.as_str()));
        if let Some(entry) = known {
            let refused = not_served(&entry.key_place, &format!("bus source `{}`", entry.key));
            diagnostics.push(refused.hint("bring events in with `POST /v1/events`"));
        }
        known.is_none()
    });
}

fn get_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.shape {
        Shape::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value),
        _ => None,
    }
}
