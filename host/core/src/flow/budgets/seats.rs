//! A budget of things that are held: so many at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::TeamId;

/// So many at once.
#[derive(Debug)]
pub struct Seats {
    team: TeamId,
    free: Arc<Semaphore>,
    max: u32,
}

/// One of them, free again when dropped.
#[derive(Debug)]
pub struct Seat {
    team: TeamId,
    _one: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(team: TeamId, max: u32) -> Self {
        Self { team, free: Arc::new(Semaphore::new(max as usize)), max }
    }

    /// Takes one, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Seat> {
        let one = self.free.clone().try_acquire_owned().ok()?;
        Some(Seat { team: self.team, _one: one })
    }

    /// Waits until one is free, in the order of those who wait.
    pub async fn wait(&self) -> Seat {
        match self.free.clone().acquire_owned().await {
            Ok(one) => Seat { team: self.team, _one: one },
            // It is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.max.saturating_sub(u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX))
    }
}

impl Seat {
    /// The team whose budget it is of.
    #[must_use]
    pub const fn team(&self) -> TeamId {
        self.team
    }
}
