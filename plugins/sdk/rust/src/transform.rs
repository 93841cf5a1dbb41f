//! Making the payloads of bridge rules.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authorizer::Payload;
use crate::bindings::transform_world::exports::tidegate::plugin::transform::{self, Guest};

/// Makes the payload of the bridge rules that name the plugin in `transform`.
pub trait Transform {
    /// What the rule's `payload` makes of the event. A payload of another shape sends the event to the dead letters
    /// with serde's sentence.
    type Payload: DeserializeOwned;

    /// What is published; it must meet the schema of the channel.
    type Published: Serialize;

    /// Makes the payload to publish; `None` when the event should not cross.
    ///
    /// # Errors
    /// A sentence that the dead letter carries.
    fn apply(crossing: &Crossing, payload: Self::Payload) -> Result<Option<Self::Published>, String>;
}

/// An event on its way to a topic, after the rule's `when` and `params`.
#[derive(Debug)]
pub struct Crossing {
    /// The event.
    pub event: Event,
    /// The topic the rule leads to.
    pub topic: String,
    /// The wall-clock time the call may take, in milliseconds. The host enforces it.
    pub deadline_ms: u32,
}

/// A bus event: a CloudEvent 1.0.
#[derive(Debug)]
pub struct Event {
    /// `type`.
    pub kind: String,
    /// `source`.
    pub source: String,
    /// `id`.
    pub id: String,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`, RFC 3339.
    pub time: Option<String>,
    /// `data`, all of it, whatever the rule's `payload` makes of it.
    pub data: Payload,
}

/// A [`Transform`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Transform> Guest for Exported<T> {
    fn apply(crossing: transform::Crossing) -> Result<Option<String>, String> {
        crate::crash::told();
        let transform::Crossing { event, topic, payload, deadline_ms } = crossing;
        let transform::Event { kind, source, id, subject, time, data } = event;
        let event = Event { kind, source, id, subject, time, data: Payload(data) };
        let payload = Payload(payload).read()?;
        let made = T::apply(&Crossing { event, topic, deadline_ms }, payload)?;
        let write = |made| crate::json::write(&made).map_err(|error| format!("the payload is no JSON: {error}"));
        made.map(write).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums up what the rule picked, with the event's id; nothing of nothing.
    struct Sum;

    impl Transform for Sum {
        type Payload = Vec<i64>;
        type Published = (String, i64, bool);

        fn apply(crossing: &Crossing, payload: Vec<i64>) -> Result<Option<Self::Published>, String> {
            let is_final: bool = crossing.event.data.read()?;
            Ok((!payload.is_empty()).then(|| (crossing.event.id.clone(), payload.iter().sum(), is_final)))
        }
    }

    fn apply(payload: &str, data: &str) -> Result<Option<String>, String> {
        let event = transform::Event {
            kind: "counted".to_owned(),
            source: "/test".to_owned(),
            id: "e1".to_owned(),
            subject: None,
            time: None,
            data: data.to_owned(),
        };
        let (topic, payload) = ("sums".to_owned(), payload.to_owned());
        Exported::<Sum>::apply(transform::Crossing { event, topic, payload, deadline_ms: 100 })
    }

    #[test]
    fn the_payload_is_read_and_what_is_made_is_written() {
        assert_eq!(apply("[1, 2]", "true"), Ok(Some(r#"["e1",3,true]"#.to_owned())));
    }

    #[test]
    fn none_is_that_the_event_should_not_cross() {
        assert_eq!(apply("[]", "true"), Ok(None));
    }

    #[test]
    fn a_payload_and_data_of_another_shape_are_told() {
        for (payload, data, expected) in
            [("7", "true", "expected a list, found a number"), ("[1]", "7", "expected true or false, found a number")]
        {
            let error = apply(payload, data).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
