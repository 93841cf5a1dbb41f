//! Instances at rest, and the number of instances of the whole process.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant as Moment, timeout_at};

use super::fault::Failure;
use super::instance::Instance;

/// The instances of one plugin that wait for a call. The one used last goes first: its memory is warm.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Instance>>);

impl Pool {
    /// Takes an instance out. Whoever took it puts it back only after a call that went well.
    pub(super) fn take(&self) -> Option<Instance> {
        self.0.lock().pop()
    }

    /// Puts an instance back.
    pub(super) fn put(&self, instance: Instance) {
        self.0.lock().push(instance);
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// The places for instances, shared by all plugins. Running out of them would be an error of the allocator, so every
/// instance holds one.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    /// Bounded by the plugins that are loaded; the dead ones go whenever one is added.
    pools: Mutex<Vec<Weak<Pool>>>,
}

impl Slots {
    pub(super) fn new(instances_max: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(instances_max as usize)), pools: Mutex::default() }
    }

    /// Makes a pool whose resting instances give way when another plugin needs their places.
    pub(super) fn pool(&self) -> Arc<Pool> {
        let pool = Arc::new(Pool::default());
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Waits for a place, `deadline` at most.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded` when none became free.
    pub(super) async fn take(&self, deadline: Moment) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return Ok(slot);
        }
        self.evict();
        match timeout_at(deadline, self.free.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Failure::overloaded("every instance of the server is busy")),
        }
    }

    /// Drops one resting instance, of the pool that has most.
    fn evict(&self) {
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        drop(pools.iter().max_by_key(|pool| pool.len()).and_then(|pool| pool.take()));
    }
}
