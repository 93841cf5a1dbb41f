//! Paths of keys and indices in a tree: finds, replaces and removes the value at a path.

use serde_json::Value;

use super::{Entry, Node, Shape};

/// The value at a path.
pub(super) fn at<'a>(node: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(node, |at, step| child(at, step))
}

/// The value one step below.
pub(super) fn child<'a>(node: &'a Node, step: &str) -> Option<&'a Node> {
    match &node.shape {
        Shape::Map(_) => node.get(step),
        Shape::List(items) => items.get(step.parse::<usize>().ok()?),
        Shape::Scalar(_) | Shape::Nothing => None,
    }
}

fn child_mut<'a>(node: &'a mut Node, step: &str) -> Option<&'a mut Node> {
    match &mut node.shape {
        Shape::Map(entries) => entries.iter_mut().find(|entry| entry.key == step).map(|entry| &mut entry.value),
        Shape::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        Shape::Scalar(_) | Shape::Nothing => None,
    }
}

/// Puts a value at a path, with a new key if there is none.
pub(super) fn replace(node: &mut Node, path: &[String], shape: Shape) {
    let Some((last, parents)) = path.split_last() else { return };
    let Some(parent) = parents.iter().try_fold(node, |at, step| child_mut(at, step)) else { return };
    if let Some(child) = child_mut(parent, last) {
        child.shape = shape;
        return;
    }
    let place = parent.place.clone();
    if let Shape::Map(entries) = &mut parent.shape {
        entries.push(Entry { key: last.clone(), key_place: place.clone(), value: Node::new(place, shape) });
    }
}

/// Removes a key. An item of a list becomes null, so that the others keep their positions.
pub(super) fn remove(node: &mut Node, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let Some(parent) = parents.iter().try_fold(node, |at, step| child_mut(at, step)) else { return };
    match &mut parent.shape {
        Shape::Map(entries) => entries.retain(|entry| entry.key != *last),
        _ => {
            if let Some(item) = child_mut(parent, last) {
                item.shape = Shape::Scalar(Value::Null);
            }
        }
    }
}
