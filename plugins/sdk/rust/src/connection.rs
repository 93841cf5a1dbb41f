//! Hearing of connections that came and went.

use std::marker::PhantomData;

use crate::bindings::Effect;
use crate::bindings::connection_world::exports::tidegate::plugin::connection::{Guest, Peer, Phase};
use crate::effects::Effects;

/// Hears of every connection that cleared gate 1, and later of its end.
pub trait Connection {
    /// Says what should happen. `emit_to_others` leaves this connection out.
    ///
    /// # Errors
    /// A sentence for the log; nothing happens then.
    fn changed(peer: &Peer, phase: Phase) -> Result<Effects, String>;
}

/// A [`Connection`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Connection> Guest for Exported<T> {
    fn changed(peer: Peer, phase: Phase) -> Result<Vec<Effect>, String> {
        crate::crash::told();
        T::changed(&peer, phase)?.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing;

    /// Tells the lobby who came, and of who went with what JSON cannot hold.
    struct Lobby;

    impl Connection for Lobby {
        fn changed(peer: &Peer, phase: Phase) -> Result<Effects, String> {
            let id = peer.user_id().ok_or("anonymous")?;
            match phase {
                Phase::Connected => Effects::none().emit_to_others("lobby", &id).publish("came", &id).done(),
                Phase::Disconnected => Ok(Effects::none().emit("lobby", &BTreeMap::from([((1, 2), id)]))),
            }
        }
    }

    #[test]
    fn effects_keep_their_order() {
        let effects = Exported::<Lobby>::changed(testing::peer(Some("alice")), Phase::Connected).unwrap();
        let [Effect::Emit(emit), Effect::Publish(publish)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((emit.topic.as_str(), emit.payload.as_str()), ("lobby", "\"alice\""));
        assert_eq!((publish.kind.as_str(), publish.data.as_str()), ("came", "\"alice\""));
    }

    #[test]
    fn an_error_is_told_in_the_plugins_words() {
        let error = Exported::<Lobby>::changed(testing::peer(None), Phase::Connected).unwrap_err();
        assert_eq!(error, "anonymous");
    }

    #[test]
    fn a_value_that_is_no_json_fails_the_call_even_without_done() {
        let error = Exported::<Lobby>::changed(testing::peer(Some("alice")), Phase::Disconnected).unwrap_err();
        assert!(error.starts_with("a value is no JSON: "), "{error}");
    }
}
