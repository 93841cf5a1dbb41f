//! The types between schemas and languages: everything that each printer can express.

use serde_json::Value;

use super::ChannelTypes;

/// A type at the place of its use. Types that need a name in any language – objects, unions, lists of values – have one
/// in all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Any JSON; with the reason why nothing more can be said, if there is one.
    Unknown(Option<String>),
    /// `null`, and nothing else.
    Null,
    Boolean,
    /// A whole number; never below zero where `unsigned`.
    Integer {
        unsigned: bool,
    },
    Number,
    Text,
    List(Box<Type>),
    Tuple(Tuple),
    /// An object with arbitrary keys.
    Map(Box<Type>),
    /// A type or `null`.
    Nullable(Box<Type>),
    /// A declared type, by its name.
    Named(String),
}

/// A list whose first elements have their own types.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tuple {
    pub(super) items: Vec<Type>,
    /// How many of them are always there.
    pub(super) required: usize,
    /// The type of further elements; `None`: there are none.
    pub(super) rest: Option<Box<Type>>,
}

/// A type with a name.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    /// In `PascalCase`, only ASCII letters and digits, and not a keyword of any language.
    pub(super) name: String,
    /// A description for people, line by line.
    pub(super) doc: Vec<String>,
    pub(super) body: Body,
}

/// The meaning of a name.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Record(Record),
    /// One of several, at least two.
    Union(Vec<Type>),
    /// One of these scalars, at least one, no `null`.
    Literals(Vec<Value>),
    Alias(Type),
}

/// An object with named keys.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) fields: Vec<Field>,
    pub(super) rest: Rest,
}

/// One key of an object.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// As in JSON.
    pub(super) name: String,
    pub(super) doc: Vec<String>,
    pub(super) of: Type,
    pub(super) required: bool,
}

/// The other keys of an object.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// Nothing.
    Closed,
    /// Anything.
    Open,
    /// Values of this type.
    Of(Type),
}

/// Everything that is printed, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) channels: Vec<ChannelTypes>,
    pub(super) declarations: Vec<Declaration>,
}

impl Type {
    /// Visits every used name, with whether its value is stored in place: not behind a list or a map, whose elements
    /// are stored elsewhere.
    pub(super) fn names<'a>(&'a self, in_place: bool, visit: &mut impl FnMut(&'a str, bool)) {
        match self {
            Self::Named(name) => visit(name, in_place),
            Self::Nullable(of) => of.names(in_place, visit),
            Self::List(of) | Self::Map(of) => of.names(false, visit),
            Self::Tuple(tuple) => {
                tuple.items.iter().for_each(|item| item.names(in_place, visit));
                tuple.rest.iter().for_each(|rest| rest.names(false, visit));
            }
            Self::Unknown(_) | Self::Null | Self::Boolean | Self::Integer { .. } | Self::Number | Self::Text => {}
        }
    }

    /// Why parts of it are unknown, for a comment.
    pub(super) fn reasons(&self) -> Vec<String> {
        match self {
            Self::Unknown(reason) => reason.iter().cloned().collect(),
            Self::List(of) | Self::Map(of) | Self::Nullable(of) => of.reasons(),
            Self::Tuple(tuple) => tuple.items.iter().chain(tuple.rest.as_deref()).flat_map(Self::reasons).collect(),
            _ => Vec::new(),
        }
    }
}

impl Declaration {
    /// Why parts of it are unknown, for a comment; those of a record's fields stand at the fields.
    pub(super) fn reasons(&self) -> Vec<String> {
        match &self.body {
            Body::Record(_) => Vec::new(),
            body => body.types().into_iter().flat_map(Type::reasons).collect(),
        }
    }
}

impl Body {
    /// The types in it.
    pub(super) fn types(&self) -> Vec<&Type> {
        match self {
            Self::Record(record) => {
                let rest = match &record.rest {
                    Rest::Of(of) => Some(of),
                    Rest::Closed | Rest::Open => None,
                };
                record.fields.iter().map(|field| &field.of).chain(rest).collect()
            }
            Self::Union(types) => types.iter().collect(),
            Self::Literals(_) => Vec::new(),
            Self::Alias(of) => vec![of],
        }
    }
}

impl Model {
    /// The declaration of a name.
    pub(super) fn find(&self, name: &str) -> Option<&Declaration> {
        self.declarations.iter().find(|declaration| declaration.name == name)
    }

    /// Whether `from` contains `to`, directly or indirectly; on request only in place.
    pub(super) fn reaches(&self, from: &str, to: &str, in_place_only: bool) -> bool {
        let (mut seen, mut waiting) = (Vec::new(), vec![from]);
        while let Some(declaration) = waiting.pop().and_then(|name| self.find(name)) {
            for of in declaration.body.types() {
                of.names(true, &mut |name, in_place| {
                    if (in_place || !in_place_only) && !seen.contains(&name) {
                        seen.push(name);
                        waiting.push(name);
                    }
                });
            }
        }
        seen.contains(&to)
    }
}
