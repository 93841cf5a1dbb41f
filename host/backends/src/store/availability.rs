//! Whether the store works, for the rest of the server: changes are logged and counted.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use tidegate_core::telemetry;

/// A task that watches a store. It ends when this is dropped.
pub(super) struct Watching(AbortHandle);

impl Watching {
    pub(super) fn over(watch: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(watch).abort_handle())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a store is away, while it is.
pub(super) struct Availability {
    /// The store's name in the log: its file, or its address without a password.
    store: String,
    /// `None` while it works, and before it was opened.
    away: watch::Sender<Option<Arc<str>>>,
}

impl Availability {
    /// For a store that was not opened.
    pub(super) fn of(store: String) -> Self {
        let (away, _) = watch::channel(None);
        Self { store, away }
    }

    /// Why the store is away; `None` if it is not.
    pub(super) fn away(&self) -> Option<Arc<str>> {
        self.away.borrow().clone()
    }

    /// Returns when the store is away, or when it is not, depending on `away`.
    pub(super) async fn until_away(&self, away: bool) {
        // It cannot fail: this struct owns the sender.
        let _ = self.away.subscribe().wait_for(|now| now.is_some() == away).await;
    }

    /// Records whether the store works, or why it does not.
    pub(super) fn set(&self, why: Option<&str>) {
        let changed = self.away.send_if_modified(|now| {
            let changed = now.is_some() != why.is_some();
            *now = why.map(Arc::from);
            changed
        });
        if !changed {
            return;
        }
        telemetry::store_up(why.is_none());
        match why {
            Some(why) => telemetry::store_away(&self.store, why),
            None => telemetry::store_back(&self.store),
        }
    }

    /// Puts the store's name in front of a message.
    pub(super) fn told(&self, why: &str) -> String {
        format!("`{}`: {why}", self.store)
    }
}
