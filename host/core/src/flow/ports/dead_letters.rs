//! Dead letters as a port: the place for bus events that matched a rule but could not cross.

use async_trait::async_trait;

use crate::flow::DeadLetter;

/// Keeps dead letters, at most `limits.dead_letters`.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Stores a dead letter without waiting. If there is no room, the oldest is dropped and counted.
    fn add(&self, letter: DeadLetter);

    /// Returns when the accepted letters are stored where they survive the process, or cannot be stored for now; after
    /// a few seconds in any case. A source waits for this before it acknowledges an event.
    async fn flush(&self);

    /// The newest dead letters, newest first, at most `limit`.
    async fn newest(&self, limit: usize) -> Letters {
        self.before(None, limit).await
    }

    /// The newest of those before the one with this id; without an id the newest of all.
    async fn before(&self, id: Option<&str>, limit: usize) -> Letters;

    /// One dead letter, for a look before a retry.
    ///
    /// # Errors
    /// [`LettersAway`].
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway>;

    /// Takes a dead letter out, for a retry. Of several concurrent callers only one gets it.
    ///
    /// # Errors
    /// [`LettersAway`].
    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway>;
}

/// A part of the dead letters.
#[derive(Debug, Clone)]
pub struct Letters {
    /// Newest first.
    pub letters: Vec<DeadLetter>,
    /// How many dead letters there are in total.
    pub kept: usize,
    /// Whether this list is complete: `false` while the store is away, because its letters are not visible then.
    pub complete: bool,
}

/// The store that keeps them is away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LettersAway(pub String);
