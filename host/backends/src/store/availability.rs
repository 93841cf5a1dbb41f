//! Whether the store works, as the rest of the server sees it: told in the log and the metrics when it changes.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use tidegate_core::telemetry;

/// A task that looks after a store. It ends when this is dropped.
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
    /// The store, for the log: its file, or its address without a password.
    store: String,
    /// `None` while it works, and before it was opened.
    away: watch::Sender<Option<Arc<str>>>,
}

impl Availability {
    /// Of a store that was not opened.
    pub(super) fn of(store: String) -> Self {
        let (away, _) = watch::channel(None);
        Self { store, away }
    }

    /// Why the store is away; `None` when it is not.
    pub(super) fn away(&self) -> Option<Arc<str>> {
        self.away.borrow().clone()
    }

    /// Returns when the store is away, or when it is not: what is asked for.
    pub(super) async fn until_away(&self, away: bool) {
        // It cannot fail: the sender is our own.
        let _ = self.away.subscribe().wait_for(|now| now.is_some() == away).await;
    }

    /// Notes whether the store works: why it does not.
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

    /// Puts the store's name before what is said of it.
    pub(super) fn told(&self, why: &str) -> String {
        format!("`{}`: {why}", self.store)
    }
}
