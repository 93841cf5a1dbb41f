//! Instances at rest, and the number of instances of the whole process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant as Moment, timeout_at};

use super::fault::Failure;
use super::instance::Instance;
use super::room::{self, Class, Place};

/// The instances of one plugin that wait for a call. The one used last goes first: its memory is warm.
#[derive(Default)]
#[allow(clippy::vec_box, reason = "an instance is large, and goes in and out for every call")]
pub(super) struct Pool(Mutex<Vec<Box<Instance>>>);

impl Pool {
    /// Takes an instance out. Whoever took it puts it back only after a call that went well.
    pub(super) fn take(&self) -> Option<Box<Instance>> {
        self.0.lock().pop()
    }

    /// Puts an instance back.
    pub(super) fn put(&self, instance: Box<Instance>) {
        self.0.lock().push(instance);
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// One instance in so many is for authorizers only.
const RESERVED_SHARE: u32 = 8;

/// The places for instances, shared by all plugins. Running out of them would be an error of the allocator, so every
/// instance holds one. Some are kept for authorizers: handlers, however busy, never take them.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    /// Those that are not only for authorizers.
    workers: Arc<Semaphore>,
    /// Calls that wait for a place.
    waiting: AtomicU32,
    /// Bounded by the plugins that are loaded; the dead ones go whenever one is added.
    pools: Mutex<Vec<(Class, Weak<Pool>)>>,
    turns: BTreeMap<Class, Arc<Semaphore>>,
}

/// The place of an instance, free again when dropped.
pub(super) struct Slot {
    _place: OwnedSemaphorePermit,
    _of_workers: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new(instances_max: u32) -> Self {
        // A host of one instance has none to spare.
        let reserved = if instances_max > 1 { instances_max.div_ceil(RESERVED_SHARE) } else { 0 };
        Self {
            free: Arc::new(Semaphore::new(instances_max as usize)),
            workers: Arc::new(Semaphore::new((instances_max - reserved) as usize)),
            waiting: AtomicU32::new(0),
            pools: Mutex::default(),
            turns: [Class::Authorizer, Class::Worker].map(|class| (class, room::turns())).into(),
        }
    }

    /// Makes a pool whose resting instances give way when another plugin needs their places.
    pub(super) fn pool(&self, class: Class) -> Arc<Pool> {
        let pool = Arc::new(Pool::default());
        let mut pools = self.pools.lock();
        pools.retain(|(_, pool)| pool.strong_count() > 0);
        pools.push((class, Arc::downgrade(&pool)));
        pool
    }

    /// Turns at the processor for the calls of a class.
    pub(super) fn turns(&self, class: Class) -> Arc<Semaphore> {
        self.turns.get(&class).cloned().unwrap_or_else(room::turns)
    }

    /// Whether calls wait for a place; an instance whose call ends then gives its place up.
    pub(super) fn wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for a place, `deadline` at most.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded` when none became free.
    pub(super) async fn take(&self, class: Class, deadline: Moment) -> Result<Slot, Failure> {
        let of_workers = match class {
            Class::Authorizer => None,
            // Only what workers hold makes room among the places of workers.
            Class::Worker => Some(self.place(&self.workers, |class| class == Class::Worker, deadline).await?),
        };
        let place = self.place(&self.free, |_| true, deadline).await?;
        Ok(Slot { _place: place, _of_workers: of_workers })
    }

    async fn place(
        &self,
        places: &Arc<Semaphore>,
        evicts: impl Fn(Class) -> bool,
        deadline: Moment,
    ) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        // First, so that whatever ends from now on is not put to rest.
        let _waiting = Place::wait(&self.waiting);
        self.evict(evicts);
        match timeout_at(deadline, places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Failure::overloaded("every instance of the server is busy")),
        }
    }

    /// Drops one resting instance, of the pool that has most.
    fn evict(&self, evicts: impl Fn(Class) -> bool) {
        let pools: Vec<_> = self
            .pools
            .lock()
            .iter()
            .filter(|(class, _)| evicts(*class))
            .filter_map(|(_, pool)| pool.upgrade())
            .collect();
        drop(pools.iter().max_by_key(|pool| pool.len()).and_then(|pool| pool.take()));
    }
}
