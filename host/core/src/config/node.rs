//! The content of a file as a tree; every part knows its place.

use serde_json::Value;

use super::Place;

/// A value of a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// Its kind and content.
    pub shape: Shape,
}

/// The kind and content of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing: a key without a value, or an empty item of a list. A written `null` is a scalar.
    Nothing,
    /// A text, number, boolean or null; never a JSON list or object.
    Scalar(Value),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in file order, each key once.
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The place of the key.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A node at a place.
    #[must_use]
    pub const fn new(place: Place, shape: Shape) -> Self {
        Self { place, shape }
    }

    /// A text at a place, for values that do not come from a file.
    #[must_use]
    pub fn text(place: Place, text: impl Into<String>) -> Self {
        Self::new(place, Shape::Scalar(Value::String(text.into())))
    }

    /// The entries of a mapping, in file order; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.shape {
            Shape::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.shape {
            Shape::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of a mapping's key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a mapping's key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The node at a JSON Pointer (RFC 6901), `/limits/payload`; the nearest one above it if the path ends early.
    #[must_use]
    pub fn nearest(&self, pointer: &str) -> &Self {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.shape {
                Shape::Map(_) => node.get(&step),
                Shape::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                Shape::Scalar(_) | Shape::Nothing => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The text of a text scalar.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// Whether the value is missing or `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.shape, Shape::Nothing | Shape::Scalar(Value::Null))
    }

    /// Whether a key below has no value, or an item is empty.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        match &self.shape {
            Shape::Nothing => true,
            Shape::Scalar(_) => false,
            Shape::List(items) => items.iter().any(Self::has_nothing),
            Shape::Map(entries) => entries.iter().any(|entry| entry.value.has_nothing()),
        }
    }

    /// Whether this is a list or a mapping without entries, or nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.shape {
            Shape::Nothing => true,
            Shape::Scalar(value) => value.is_null(),
            Shape::Map(entries) => entries.is_empty(),
            Shape::List(items) => items.is_empty(),
        }
    }

    /// The value as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.shape {
            Shape::Nothing => Value::Null,
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::to_json).collect(),
            Shape::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// Sets the value at a path of keys, creating the mappings on the way: so a later layer overrides an earlier one. A
    /// value on the way that is not a mapping is replaced.
    pub fn set(&mut self, path: &[&str], value: Self) {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self.shape, Shape::Map(_)) {
            *self = Self::new(value.place.clone(), Shape::Map(Vec::new()));
        }
        let Shape::Map(entries) = &mut self.shape else { return };
        let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
            let empty = Self::new(value.place.clone(), Shape::Map(Vec::new()));
            entries.push(Entry { key: (*key).to_owned(), key_place: value.place.clone(), value: empty });
            entries.len() - 1
        });
        if rest.is_empty() {
            entries[index].key_place = value.place.clone();
        }
        entries[index].value.set(rest, value);
    }

    /// Visits every text, to replace something in it (`${NAME}`). Keys are not visited.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(&Place, &mut String)) {
        match &mut self.shape {
            Shape::Scalar(Value::String(text)) => visit(&self.place, text),
            Shape::Scalar(_) | Shape::Nothing => {}
            Shape::List(items) => items.iter_mut().for_each(|item| item.for_each_text(visit)),
            Shape::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.for_each_text(visit)),
        }
    }

    /// Its kind, for errors.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.shape {
            Shape::Nothing | Shape::Scalar(Value::Null) => "nothing",
            Shape::Scalar(Value::Bool(_)) => "a boolean",
            Shape::Scalar(Value::Number(_)) => "a number",
            Shape::Scalar(_) => "a text",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a mapping",
        }
    }

    /// The number of nodes in it, including itself.
    pub(super) fn size(&self) -> usize {
        let below: usize = match &self.shape {
            Shape::Scalar(_) | Shape::Nothing => 0,
            Shape::List(items) => items.iter().map(Self::size).sum(),
            Shape::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        };
        1 + below
    }

    /// The number of nested collections.
    pub(super) fn depth(&self) -> usize {
        match &self.shape {
            Shape::Scalar(_) | Shape::Nothing => 0,
            Shape::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Shape::Map(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
        }
    }
}
