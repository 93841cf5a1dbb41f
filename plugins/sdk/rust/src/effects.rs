//! What a plugin wants to happen, under construction.

use serde::Serialize;

use crate::bindings::{Audience, Effect, Emit, Publish, Remove};
use crate::json;

/// What should happen, in the order it was added. [`Effects::done`] ends it.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    /// The first value that could not be written as JSON.
    unwritable: Option<String>,
}

impl Effects {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Publishes a payload on a topic, for every subscriber. Needs the channel in `grants.emit` of `plugin.yaml`.
    #[must_use]
    pub fn emit(self, topic: &str, payload: &impl Serialize) -> Self {
        self.emit_to(Audience::Everyone, topic, payload)
    }

    /// Publishes a payload on a topic, for every subscriber but the connection it is about.
    #[must_use]
    pub fn emit_to_others(self, topic: &str, payload: &impl Serialize) -> Self {
        self.emit_to(Audience::Others, topic, payload)
    }

    /// Puts an event on the bus. Needs its type in `grants.publish` of `plugin.yaml`.
    #[must_use]
    pub fn publish(self, kind: &str, data: &impl Serialize) -> Self {
        self.publish_about(kind, None, data)
    }

    /// Puts an event on the bus that says what it is about (the CloudEvent's `subject`).
    #[must_use]
    pub fn publish_about(mut self, kind: &str, subject: Option<&str>, data: &impl Serialize) -> Self {
        if let Some(data) = self.write(data) {
            let subject = subject.map(ToOwned::to_owned);
            self.list.push(Effect::Publish(Publish { kind: kind.to_owned(), subject, data }));
        }
        self
    }

    /// Takes the retained value of a key away, and tells the subscribers. Needs the channel in `grants.emit` of
    /// `plugin.yaml`.
    #[must_use]
    pub fn remove(mut self, topic: &str, key: &impl Serialize) -> Self {
        if let Some(key) = self.write(key) {
            self.list.push(Effect::Remove(Remove { topic: topic.to_owned(), key: Some(key) }));
        }
        self
    }

    /// Takes every retained value of a topic away, and tells the subscribers.
    #[must_use]
    pub fn remove_all(mut self, topic: &str) -> Self {
        self.list.push(Effect::Remove(Remove { topic: topic.to_owned(), key: None }));
        self
    }

    /// The finished effects.
    ///
    /// # Errors
    /// A sentence when a value could not be written as JSON (a map whose keys are no strings, NaN).
    pub fn done(self) -> Result<Self, String> {
        self.finish().map(|list| Self { list, unwritable: None })
    }

    pub(crate) fn emit_to(mut self, to: Audience, topic: &str, payload: &impl Serialize) -> Self {
        if let Some(payload) = self.write(payload) {
            self.list.push(Effect::Emit(Emit { topic: topic.to_owned(), payload, to }));
        }
        self
    }

    /// A value as JSON text; one that cannot be written spoils the whole.
    pub(crate) fn write(&mut self, value: &impl Serialize) -> Option<String> {
        match json::write(value) {
            Ok(text) => Some(text),
            Err(error) => {
                self.unwritable.get_or_insert_with(|| format!("a value is no JSON: {error}"));
                None
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Vec<Effect>, String> {
        self.unwritable.map_or(Ok(self.list), Err)
    }
}
