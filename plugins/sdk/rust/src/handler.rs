//! Answering messages.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::handler_world::exports::tidegate::plugin::handler::Guest;
use crate::bindings::handler_world::tidegate::plugin::types;
use crate::bindings::{Context, Refusal};
use crate::crash;
use crate::effects::Effects;

/// Answers the messages clients send on a channel.
pub trait Handler {
    /// What a message looks like. A message of another shape is refused as `invalid_payload` with its place.
    type Payload: DeserializeOwned;

    /// Answers one message.
    ///
    /// # Errors
    /// A [`Refusal`] says why the message was not taken; nothing happens then.
    fn handle(context: &Context, payload: Self::Payload) -> Result<Outcome, Refusal>;
}

/// The answer under construction: a reply and effects, in the order they were added. [`Outcome::done`] ends it.
#[derive(Debug, Default)]
pub struct Outcome {
    reply: Option<String>,
    effects: Effects,
}

impl Outcome {
    /// Takes the message without a word.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes the message and sends the sender a receipt: `reply` in its ack.
    #[must_use]
    pub fn reply(value: &impl Serialize) -> Self {
        let mut outcome = Self::default();
        outcome.reply = outcome.effects.write(value);
        outcome
    }

    /// Publishes a payload on a topic, for every subscriber. Needs the channel in `grants.emit` of `plugin.yaml`.
    #[must_use]
    pub fn emit(self, topic: &str, payload: &impl Serialize) -> Self {
        Self { effects: self.effects.emit(topic, payload), ..self }
    }

    /// Publishes a payload on a topic, for every subscriber but the sender.
    #[must_use]
    pub fn emit_to_others(self, topic: &str, payload: &impl Serialize) -> Self {
        Self { effects: self.effects.emit_to_others(topic, payload), ..self }
    }

    /// Puts an event on the bus. Needs its type in `grants.publish` of `plugin.yaml`.
    #[must_use]
    pub fn publish(self, kind: &str, data: &impl Serialize) -> Self {
        self.publish_about(kind, None, data)
    }

    /// Puts an event on the bus that says what it is about (the CloudEvent's `subject`).
    #[must_use]
    pub fn publish_about(self, kind: &str, subject: Option<&str>, data: &impl Serialize) -> Self {
        Self { effects: self.effects.publish_about(kind, subject, data), ..self }
    }

    /// Takes the retained value of a key away, and tells the subscribers. Needs the channel in `grants.emit` of
    /// `plugin.yaml`.
    #[must_use]
    pub fn remove(self, topic: &str, key: &impl Serialize) -> Self {
        Self { effects: self.effects.remove(topic, key), ..self }
    }

    /// Takes every retained value of a topic away, and tells the subscribers.
    #[must_use]
    pub fn remove_all(self, topic: &str) -> Self {
        Self { effects: self.effects.remove_all(topic), ..self }
    }

    /// The finished answer.
    ///
    /// # Errors
    /// [`Refusal::Failed`] when a value could not be written as JSON (a map whose keys are no strings, NaN).
    pub fn done(self) -> Result<Self, Refusal> {
        let effects = self.effects.done().map_err(Refusal::Failed)?;
        Ok(Self { effects, ..self })
    }

    /// The reply as JSON text, for unit tests.
    #[must_use]
    pub fn reply_json(&self) -> Option<&str> {
        self.reply.as_deref()
    }
}

/// A [`Handler`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Handler> Guest for Exported<T> {
    fn handle(context: Context, payload: String) -> Result<types::Outcome, Refusal> {
        crash::told();
        let payload = crate::json::read(&payload).map_err(Refusal::InvalidPayload)?;
        let Outcome { reply, effects } = T::handle(&context, payload)?;
        Ok(types::Outcome { reply, effects: effects.finish().map_err(Refusal::Failed)? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bindings::Effect;
    use crate::testing;

    struct Doubler;

    impl Handler for Doubler {
        type Payload = i64;

        fn handle(_: &Context, n: i64) -> Result<Outcome, Refusal> {
            Outcome::reply(&(n * 2)).emit("doubles", &n).publish("doubled", &n).done()
        }
    }

    #[test]
    fn a_payload_of_the_wrong_type_is_refused_with_the_reason() {
        let refusal = Exported::<Doubler>::handle(testing::context("doubles"), r#""two""#.to_owned()).unwrap_err();
        let Refusal::InvalidPayload(reason) = refusal else { panic!("{refusal:?}") };
        assert!(reason.contains("expected a whole number, found a text"), "{reason}");
    }

    #[test]
    fn reply_and_effects_keep_their_order() {
        let outcome = Exported::<Doubler>::handle(testing::context("doubles"), "21".to_owned()).unwrap();
        assert_eq!(outcome.reply.as_deref(), Some("42"));
        assert!(matches!(&outcome.effects[..], [Effect::Emit(_), Effect::Publish(_)]));
    }

    #[test]
    fn a_value_that_is_no_json_fails_the_call_and_not_the_plugin() {
        let outcome = Outcome::reply(&BTreeMap::from([((1, 2), 3)])).done();
        assert!(matches!(outcome, Err(Refusal::Failed(_))));
    }
}
