//! A file as the operator wrote it, and what is wrong with it. Rendering is the command line's.

use std::sync::Arc;

/// A file that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as errors show it: relative to the working directory where that is shorter.
    pub path: String,
    /// The text.
    pub text: String,
}

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// How many characters of the line it covers, at least 1.
    pub width: usize,
}

/// One mistake in what the operator wrote: shown as `error:` with its place and line, other places, and a `hint:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong: a lower-case fragment, literals in backticks, no full stop.
    pub message: String,
    /// Where; `None` when it is about no file in particular.
    pub place: Option<Place>,
    /// Other places that matter (`also declared here`), each with its note.
    pub related: Vec<(String, Place)>,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    #[must_use]
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Some(place), related: Vec::new(), hint: None }
    }

    /// A mistake of no place.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, related: Vec::new(), hint: None }
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, note: impl Into<String>, place: Place) -> Self {
        self.related.push((note.into(), place));
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Place {
    /// The text of the line.
    #[must_use]
    pub fn line_text(&self) -> &str {
        self.source.text.lines().nth(self.line.saturating_sub(1)).unwrap_or_default()
    }
}
