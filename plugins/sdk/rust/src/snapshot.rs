//! Giving a topic's state to who subscribes.

use std::marker::PhantomData;

use serde::Serialize;

use crate::bindings::Context;
use crate::bindings::snapshot_world::exports::tidegate::plugin::snapshot::Guest;

/// Gives the state of topics: the `snapshot` of the ack that a subscriber gets.
pub trait Snapshot {
    /// What a payload looks like; it must meet the schema of the channel.
    type Payload: Serialize;

    /// The topic's state, asked for after the subscriber cleared the gates.
    ///
    /// # Errors
    /// A sentence for the log; the subscription is refused as `handler_failed` then.
    fn provide(context: &Context) -> Result<Vec<Self::Payload>, String>;
}

/// A [`Snapshot`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Snapshot> Guest for Exported<T> {
    fn provide(context: Context) -> Result<Vec<String>, String> {
        crate::crash::told();
        let write = |(at, payload): (usize, T::Payload)| {
            crate::json::write(&payload).map_err(|error| format!("payload {at} is no JSON: {error}"))
        };
        T::provide(&context)?.into_iter().enumerate().map(write).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing;

    /// Positions by number; the topic says how many, or that there are none to be had.
    struct Positions;

    impl Snapshot for Positions {
        type Payload = BTreeMap<&'static str, usize>;

        fn provide(context: &Context) -> Result<Vec<Self::Payload>, String> {
            let count: usize = context.topic.parse().map_err(|_| format!("no state of `{}`", context.topic))?;
            Ok((0..count).map(|n| BTreeMap::from([("n", n)])).collect())
        }
    }

    /// Gives what JSON cannot hold.
    struct Unwritable;

    impl Snapshot for Unwritable {
        type Payload = BTreeMap<(u8, u8), u8>;

        fn provide(_: &Context) -> Result<Vec<Self::Payload>, String> {
            Ok(vec![BTreeMap::new(), BTreeMap::from([((1, 2), 3)])])
        }
    }

    #[test]
    fn payloads_are_written_in_their_order() {
        let given = Exported::<Positions>::provide(testing::context("2"));
        assert_eq!(given, Ok(vec![r#"{"n":0}"#.to_owned(), r#"{"n":1}"#.to_owned()]));
        assert_eq!(Exported::<Positions>::provide(testing::context("0")), Ok(Vec::new()));
    }

    #[test]
    fn a_state_that_is_not_to_be_had_is_told() {
        assert_eq!(Exported::<Positions>::provide(testing::context("x")), Err("no state of `x`".to_owned()));
    }

    #[test]
    fn a_payload_that_is_no_json_fails_the_call_and_not_the_plugin() {
        let error = Exported::<Unwritable>::provide(testing::context("x")).unwrap_err();
        assert!(error.starts_with("payload 1 is no JSON: "), "{error}");
    }
}
