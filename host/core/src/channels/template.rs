//! Channel name templates: `notifications.user.{userId}`.

use std::fmt;
use std::sync::Arc;

use crate::protocol::{OWN_PREFIX, Params, RESERVED_EVENTS, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX};

/// A channel's name template: segments separated by dots; `{name}` stands for one whole segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    text: Arc<str>,
    segments: Arc<[Segment]>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// Exactly this text.
    Static(Box<str>),
    /// Any segment, with this name.
    Param(Arc<str>),
}

/// Why a text is not a valid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// Empty, or with an empty segment (`a..b`).
    #[error("a segment is empty")]
    EmptySegment,
    /// A segment that is neither text nor one param.
    #[error("segment `{0}` must be letters, digits, `_` and `-`, or one whole `{{param}}`")]
    Segment(String),
    /// A param whose name is not `[A-Za-z_][A-Za-z0-9_]*`.
    #[error("param name `{0}` must be a letter or `_`, followed by letters, digits and `_`")]
    ParamName(String),
    /// A param given twice.
    #[error("param `{0}` is given twice")]
    DuplicateParam(String),
    /// Longer than [`TOPIC_BYTES_MAX`].
    #[error("longer than {TOPIC_BYTES_MAX} bytes")]
    TooLong,
    /// More segments than [`TOPIC_SEGMENTS_MAX`].
    #[error("more than {TOPIC_SEGMENTS_MAX} segments")]
    TooManySegments,
    /// One of [`RESERVED_EVENTS`], or one that begins with [`OWN_PREFIX`].
    #[error("the name is reserved")]
    Reserved,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`InvalidTemplate`] saying what is wrong with it.
    ///
    /// ```
    /// use tidegate_core::channels::Template;
    ///
    /// let template = Template::parse("notifications.user.{userId}").unwrap();
    /// let params = template.matches("notifications.user.u42").unwrap();
    /// assert_eq!(params.get("userId"), Some("u42"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        if text.len() > TOPIC_BYTES_MAX {
            return Err(InvalidTemplate::TooLong);
        }
        if text.split('.').count() > TOPIC_SEGMENTS_MAX {
            return Err(InvalidTemplate::TooManySegments);
        }
        if RESERVED_EVENTS.contains(&text) || text.starts_with(OWN_PREFIX) {
            return Err(InvalidTemplate::Reserved);
        }
        let mut segments: Vec<Segment> = Vec::new();
        for part in text.split('.') {
            let segment = Segment::parse(part)?;
            if let Segment::Param(name) = &segment
                && segments.contains(&segment)
            {
                return Err(InvalidTemplate::DuplicateParam(name.to_string()));
            }
            segments.push(segment);
        }
        Ok(Self { text: text.into(), segments: segments.into() })
    }

    /// The template as declared, `vault.{vaultId}`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the params, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.param_names().map(|name| &**name)
    }

    /// Whether it has no params, so that it is the name of one topic.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.params().next().is_none()
    }

    /// The params of a matching topic. The topic must be well-formed.
    #[must_use]
    pub fn matches(&self, topic: &str) -> Option<Params> {
        let mut parts = topic.split('.');
        let fits = self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.takes(part)));
        (fits && parts.next().is_none()).then(|| self.extract(topic))
    }

    /// Whether some topic matches both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |(one, two): (&Segment, &Segment)| match (one, two) {
            (Segment::Static(one), Segment::Static(two)) => one == two,
            _ => true,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&*other.segments).all(meet)
    }

    /// The params of a topic that is known to match.
    pub(super) fn extract(&self, topic: &str) -> Params {
        let parts = self.segments.iter().zip(topic.split('.'));
        let params = parts.filter_map(|(segment, part)| match segment {
            Segment::Static(_) => None,
            Segment::Param(name) => Some((name.clone(), part.to_owned())),
        });
        params.collect()
    }

    /// The topic with these values for the params, in order.
    pub(super) fn fill(&self, values: &[String]) -> String {
        let mut values = values.iter();
        let parts = self.segments.iter().map(|segment| match segment {
            Segment::Static(text) => &**text,
            Segment::Param(_) => values.next().map_or("", String::as_str),
        });
        parts.collect::<Vec<_>>().join(".")
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn param_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Static(_) => None,
            Segment::Param(name) => Some(name),
        })
    }
}

impl Segment {
    fn parse(part: &str) -> Result<Self, InvalidTemplate> {
        if part.is_empty() {
            return Err(InvalidTemplate::EmptySegment);
        }
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(InvalidTemplate::ParamName(name.to_owned()));
            }
            return Ok(Self::Param(name.into()));
        }
        if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(InvalidTemplate::Segment(part.to_owned()));
        }
        Ok(Self::Static(part.into()))
    }

    fn takes(&self, part: &str) -> bool {
        match self {
            Self::Static(text) => **text == *part,
            Self::Param(_) => !part.is_empty(),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn a_param_stands_for_one_whole_segment() {
        let vault = template("vault.{vaultId}.note.{noteId}");
        let params = vault.matches("vault.v1.note.n@2").unwrap();
        assert_eq!(params.iter().collect::<Vec<_>>(), [("vaultId", "v1"), ("noteId", "n@2")]);
        for other in ["vault.v1.note", "vault.v1.note.n.2", "vault.v1.nota.n", "vault..note.n", ""] {
            assert_eq!(vault.matches(other), None, "{other}");
        }
        assert!(template("blog.feed").matches("blog.feed").is_some());
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        let error = |text: &str| Template::parse(text).unwrap_err();
        assert_eq!(error(""), InvalidTemplate::EmptySegment);
        assert_eq!(error("a..b"), InvalidTemplate::EmptySegment);
        assert_eq!(error("a.x{b}"), InvalidTemplate::Segment("x{b}".to_owned()));
        assert_eq!(error("a.b c"), InvalidTemplate::Segment("b c".to_owned()));
        assert_eq!(error("a.{}"), InvalidTemplate::ParamName(String::new()));
        assert_eq!(error("a.{1b}"), InvalidTemplate::ParamName("1b".to_owned()));
        assert_eq!(error("{a}.{a}"), InvalidTemplate::DuplicateParam("a".to_owned()));
        assert_eq!(error("subscribe"), InvalidTemplate::Reserved);
        assert_eq!(error(&"a".repeat(TOPIC_BYTES_MAX + 1)), InvalidTemplate::TooLong);
        assert_eq!(error(&["a"; TOPIC_SEGMENTS_MAX + 1].join(".")), InvalidTemplate::TooManySegments);
        assert!(Template::parse("a.subscribe").is_ok());
    }

    #[test]
    fn templates_overlap_when_one_topic_matches_both() {
        assert!(template("a.{x}").overlaps(&template("a.b")));
        assert!(template("a.{x}").overlaps(&template("{y}.b")));
        assert!(!template("a.{x}").overlaps(&template("b.{x}")));
        assert!(!template("a.{x}").overlaps(&template("a.{x}.c")));
    }
}
