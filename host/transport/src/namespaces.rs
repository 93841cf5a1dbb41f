//! The namespaces that a session's client is in, and the order in which the application hears of it: connected, then
//! events, then closed, whatever happens at the same time.

use std::sync::Arc;

use engineioxide_core::Str;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::handler::CloseReason;

/// The namespaces of one session.
pub(crate) struct Namespaces<C> {
    /// Never held while the application is called.
    state: Mutex<State<C>>,
    /// Wakes whoever waits for [`Entry::Entering`] to end.
    entered: Notify,
}

struct State<C> {
    entries: Vec<(Str, Entry<C>)>,
    /// Why the session is over.
    is_over: Option<CloseReason>,
}

enum Entry<C> {
    /// The application is asked.
    Connecting,
    /// The application is told that the client is connected. What ends that meanwhile is told behind it.
    Entering(Arc<C>, Option<CloseReason>),
    /// The application knows.
    Connected(Arc<C>),
}

impl<C> Default for Namespaces<C> {
    fn default() -> Self {
        Self { state: Mutex::new(State { entries: Vec::new(), is_over: None }), entered: Notify::new() }
    }
}

impl<C> State<C> {
    fn find(&mut self, namespace: &str) -> Option<&mut Entry<C>> {
        self.entries.iter_mut().find_map(|(name, entry)| (name.as_str() == namespace).then_some(entry))
    }
}

impl<C> Namespaces<C> {
    /// The application will be asked. `false` if the client is in the namespace already, or the session is over.
    pub(crate) fn begin(&self, namespace: &Str) -> bool {
        let mut state = self.state.lock();
        if state.is_over.is_some() || state.find(namespace).is_some() {
            return false;
        }
        state.entries.push((namespace.clone(), Entry::Connecting));
        true
    }

    /// The application accepts the client: `answer` goes out before anybody else can write to it. Tell the application,
    /// then call [`Namespaces::entered`].
    pub(crate) fn enter(&self, namespace: &Str, client: &Arc<C>, answer: impl FnOnce()) {
        let mut state = self.state.lock();
        if state.is_over.is_none() {
            state.entries.retain(|(name, _)| name != namespace);
            state.entries.push((namespace.clone(), Entry::Entering(Arc::clone(client), None)));
            answer();
        }
    }

    /// The application knows that the client is connected. Returns why it is not any more, if that happened meanwhile.
    pub(crate) fn entered(&self, namespace: &Str) -> Option<CloseReason> {
        let mut state = self.state.lock();
        let at = state.entries.iter().position(|(name, _)| name == namespace);
        // Without an entry the session was over before the client entered.
        let Some(at) = at else { return state.is_over };
        let (name, entry) = state.entries.swap_remove(at);
        let left = match entry {
            Entry::Entering(client, None) => {
                state.entries.push((name, Entry::Connected(client)));
                None
            }
            Entry::Entering(_, left) => left,
            // It left, and is about to connect again.
            again => {
                state.entries.push((name, again));
                None
            }
        };
        drop(state);
        self.entered.notify_waiters();
        left
    }

    /// The application refused the client.
    pub(crate) fn refused(&self, namespace: &Str) {
        self.state.lock().entries.retain(|(name, _)| name != namespace);
    }

    /// The client in a namespace, once the application knows that it is connected.
    pub(crate) async fn client(&self, namespace: &str) -> Option<Arc<C>> {
        loop {
            let mut entered = std::pin::pin!(self.entered.notified());
            entered.as_mut().enable();
            match self.state.lock().find(namespace)? {
                Entry::Connected(client) => return Some(Arc::clone(client)),
                Entry::Entering(_, None) => {}
                Entry::Entering(_, Some(_)) | Entry::Connecting => return None,
            }
            entered.await;
        }
    }

    /// A client of the session, whichever namespace it is in.
    pub(crate) fn any_client(&self) -> Option<Arc<C>> {
        self.state.lock().entries.iter().find_map(|(_, entry)| match entry {
            Entry::Connected(client) => Some(Arc::clone(client)),
            Entry::Connecting | Entry::Entering(..) => None,
        })
    }

    /// The client is in the namespace no more. Returns it if the application is to be told now.
    pub(crate) fn leave(&self, namespace: &str, reason: CloseReason) -> Option<Arc<C>> {
        let mut state = self.state.lock();
        if let Some(Entry::Entering(_, left)) = state.find(namespace) {
            left.get_or_insert(reason);
            return None;
        }
        let at = state.entries.iter().position(|(name, _)| name.as_str() == namespace)?;
        match state.entries.swap_remove(at) {
            (_, Entry::Connected(client)) => Some(client),
            (_, Entry::Connecting | Entry::Entering(..)) => None,
        }
    }

    /// The session is over. Returns the clients of which the application is to be told now. The first reason stays.
    pub(crate) fn end(&self, reason: CloseReason) -> Vec<Arc<C>> {
        let mut state = self.state.lock();
        if state.is_over.is_some() {
            return Vec::new();
        }
        state.is_over = Some(reason);
        let mut clients = Vec::new();
        state.entries.retain_mut(|(_, entry)| match entry {
            Entry::Connecting => false,
            Entry::Entering(_, left) => {
                left.get_or_insert(reason);
                true
            }
            Entry::Connected(client) => {
                clients.push(Arc::clone(client));
                false
            }
        });
        clients
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const CLOSED: CloseReason = CloseReason::TransportClose;

    fn entering() -> (Namespaces<u8>, Str, Arc<u8>) {
        let (namespaces, name, client) = (Namespaces::default(), Str::from("/"), Arc::new(1));
        assert!(namespaces.begin(&name) && !namespaces.begin(&name));
        namespaces.enter(&name, &client, || {});
        (namespaces, name, client)
    }

    #[test]
    fn an_end_while_the_application_hears_of_the_client_is_told_behind_that() {
        let (namespaces, name, _) = entering();
        assert!(namespaces.end(CLOSED).is_empty());
        assert_eq!(namespaces.entered(&name), Some(CLOSED));
        assert!(namespaces.end(CloseReason::PingTimeout).is_empty());
        let (namespaces, name, _) = entering();
        assert_eq!(namespaces.leave("/", CloseReason::ServerDisconnect), None);
        assert!(namespaces.end(CLOSED).is_empty());
        assert_eq!(namespaces.entered(&name), Some(CloseReason::ServerDisconnect), "the first reason stays");
    }

    #[test]
    fn an_end_before_the_application_has_answered_is_told_behind_the_connection() {
        let (namespaces, name) = (Namespaces::<u8>::default(), Str::from("/"));
        namespaces.begin(&name);
        assert!(namespaces.end(CLOSED).is_empty());
        namespaces.enter(&name, &Arc::new(1), || panic!("nobody is there to be answered"));
        assert_eq!(namespaces.entered(&name), Some(CLOSED));
        assert!(!namespaces.begin(&name));
    }

    #[test]
    fn an_event_waits_until_the_application_knows_the_client() {
        let (namespaces, name, client) = entering();
        let mut found = Box::pin(namespaces.client("/"));
        assert_eq!((&mut found).now_or_never(), None);
        assert_eq!(namespaces.entered(&name), None);
        assert_eq!(found.now_or_never(), Some(Some(Arc::clone(&client))));
        assert_eq!(namespaces.leave("/", CLOSED), Some(client));
        assert_eq!(namespaces.client("/").now_or_never(), Some(None));
    }
}
