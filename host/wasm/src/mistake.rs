//! Mistakes of components, reported at a key of `plugin.yaml`.

use std::borrow::Cow;
use std::sync::Arc;

use tidegate_core::config::{Diagnostic, Node, SourceFile, parse_yaml};

/// A mistake of a component.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The key of `plugin.yaml` that shows it, as a JSON Pointer.
    key: Cow<'static, str>,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub(crate) fn into_message(self) -> String {
        self.message
    }

    /// Reports the mistake where a `plugin.yaml` with mistakes of its own names the component.
    pub(crate) fn report_in_file(self, manifest: &Arc<SourceFile>, path: &str) -> Diagnostic {
        let whose = format!("component `{path}`");
        match parse_yaml(manifest, &mut Vec::new()) {
            Some(node) => self.report(&node, &whose),
            None => Diagnostic { hint: self.hint, ..Diagnostic::new(format!("{whose}: {}", self.message)) },
        }
    }

    /// Reports the mistake of `whose` at its key of `plugin.yaml`.
    pub(crate) fn report(self, manifest: &Node, whose: &str) -> Diagnostic {
        let place = manifest.nearest(&self.key).place.clone();
        let mut diagnostic = Diagnostic::at(place, format!("{whose}: {}", self.message));
        diagnostic.hint = self.hint;
        diagnostic
    }

    pub(crate) fn new(message: String) -> Self {
        Self::at("/component", message)
    }

    pub(crate) fn at(key: impl Into<Cow<'static, str>>, message: String) -> Self {
        Self { key: key.into(), message, hint: None }
    }

    pub(crate) fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}
