//! Dead letters as a port: where bus events go that a rule matched and that could not cross.

use async_trait::async_trait;

use super::DeadLetter;

/// Where dead letters are kept. Bounded (`limits.dead_letters`).
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Takes one, and never waits; when there is no room the oldest goes, counted.
    fn bury(&self, letter: DeadLetter);

    /// Returns once what was taken is where it outlives the process, or cannot be for now; after a few seconds in any
    /// case. Who holds an event elsewhere waits for this before letting go of it.
    async fn settled(&self);

    /// The newest of those kept, newest first, `limit` at most.
    async fn newest(&self, limit: usize) -> Letters;

    /// One of those kept, to be looked at before a retry.
    ///
    /// # Errors
    /// [`LettersAway`].
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway>;

    /// Takes one out, for a retry. Of several that ask for it at once one gets it.
    ///
    /// # Errors
    /// [`LettersAway`].
    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway>;
}

/// Some of the letters that are kept.
#[derive(Debug, Clone)]
pub struct Letters {
    /// Newest first.
    pub letters: Vec<DeadLetter>,
    /// How many there are in all.
    pub kept: usize,
    /// Whether these are all there are: `false` while the store is away, and those in it cannot be seen.
    pub complete: bool,
}

/// The store that keeps them is away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LettersAway(pub String);
