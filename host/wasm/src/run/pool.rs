//! Resting instances, and the places for instances of the whole process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant as Moment, timeout_at};

use super::bulkhead::QueuePlace;
use super::class::Class;
use super::cpu_turns::CpuTurns;
use super::fault::Failure;
use super::instance::Instance;
use super::instance_count::{InstanceCount, Retired};
use tidegate_core::telemetry;

/// The time between two sweeps. Rest is measured in sweeps, so that a call need not read the clock.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// By default one instance in this many is for authorizers only.
const RESERVED_SHARE: u32 = 8;

/// The resting instances of one class of one version. The last used instance works first, because its memory is warm.
pub(crate) struct Pool {
    class: Class,
    instance_count: Arc<InstanceCount>,
    #[allow(clippy::vec_box, reason = "an instance is large, and goes in and out for every call")]
    resting: Mutex<Vec<Box<Instance>>>,
    /// After so many sweeps a resting instance ends.
    sweeps_max: u32,
    /// The number of sweeps so far.
    sweeps: Arc<AtomicU32>,
    /// Calls that wait for a permit (`limits.concurrency`).
    pub(crate) waiting: AtomicU32,
    /// Calls that wait for an instance within the share of their team, and what wakes them when one rests.
    pub(crate) seat_waiting: AtomicU32,
    pub(crate) rested: Notify,
}

impl Pool {
    /// Takes an instance. The caller puts it back only after a successful call.
    pub(crate) fn take(&self) -> Option<Box<Instance>> {
        let mut instance = self.resting.lock().pop()?;
        instance.counted.reason = Retired::Failed;
        Some(instance)
    }

    /// Puts an instance back.
    pub(crate) fn put(&self, mut instance: Box<Instance>) {
        instance.counted.reason = Retired::Replaced;
        instance.rests_since = self.sweeps.load(Ordering::Relaxed);
        self.resting.lock().push(instance);
        if self.seat_waiting.load(Ordering::SeqCst) > 0 {
            self.rested.notify_one();
        }
    }

    /// The linear memory of the resting instances, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.resting.lock().iter().map(|instance| instance.memory_bytes() as u64).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.resting.lock().len()
    }

    /// Takes the instances that rested too long: they lie at the bottom, where no call reached them.
    #[allow(clippy::vec_box, reason = "as they rest")]
    fn take_idle(&self) -> Vec<Box<Instance>> {
        let now = self.sweeps.load(Ordering::Relaxed);
        let mut resting = self.resting.lock();
        let is_idle = |instance: &Instance| now.wrapping_sub(instance.rests_since) > self.sweeps_max;
        let idle = resting.iter().take_while(|instance| is_idle(instance)).count();
        let mut idle: Vec<_> = resting.drain(..idle).collect();
        drop(resting);
        idle.iter_mut().for_each(|instance| instance.counted.reason = Retired::Idle);
        idle
    }
}

/// The places for instances, shared by all plugins. Every instance holds the places that its component takes, so the
/// allocator never runs out. Some places are only for authorizers, and busy handlers never take them.
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    /// The places that are not only for authorizers.
    workers: Arc<Semaphore>,
    workers_max: u32,
    /// Calls that wait for a place.
    waiting: AtomicU32,
    /// At most two for each loaded version. Adding a pool removes the dead ones.
    pools: Mutex<Vec<Weak<Pool>>>,
    sweeps: Arc<AtomicU32>,
    /// What the last sweep reported.
    reported: Mutex<BTreeMap<Arc<str>, Count>>,
    turns: BTreeMap<Class, CpuTurns>,
}

/// The instances and the calls of one plugin, all its versions together.
#[derive(Debug, Clone, Default)]
struct Count {
    alive: u32,
    resting: u32,
    waiting: BTreeMap<Class, u32>,
}

/// The places of an instance, free again when dropped.
pub(crate) struct Slot {
    _places: OwnedSemaphorePermit,
    _of_workers: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many places. Of these, `reserved` are for authorizers only; by default one in eight.
    pub(crate) fn new(instances_max: u32, reserved: Option<u32>) -> Self {
        // A host with one instance reserves none.
        let usual = if instances_max > 1 { instances_max.div_ceil(RESERVED_SHARE) } else { 0 };
        let reserved = reserved.unwrap_or(usual).min(instances_max.saturating_sub(1));
        telemetry::plugin_instances_max("all", instances_max);
        telemetry::plugin_instances_max("authorizers", reserved);
        Self::of(instances_max, instances_max - reserved)
    }

    /// So many places beside all others, which no metric counts.
    pub(crate) fn apart(instances_max: u32) -> Self {
        Self::of(instances_max, instances_max)
    }

    fn of(instances_max: u32, workers_max: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(instances_max as usize)),
            workers: Arc::new(Semaphore::new(workers_max as usize)),
            workers_max,
            waiting: AtomicU32::new(0),
            pools: Mutex::default(),
            sweeps: Arc::default(),
            reported: Mutex::default(),
            turns: [Class::Authorizer, Class::Worker].map(|class| (class, CpuTurns::new())).into(),
        }
    }

    /// The number of places that are not only for authorizers.
    pub(crate) const fn workers_max(&self) -> u32 {
        self.workers_max
    }

    /// Makes a pool. Its resting instances end when another plugin needs their places, and after `idle`.
    pub(crate) fn pool(&self, class: Class, instance_count: Arc<InstanceCount>, idle: Duration) -> Arc<Pool> {
        let sweeps_max = idle.as_nanos().div_ceil(SWEEP_INTERVAL.as_nanos());
        let pool = Arc::new(Pool {
            class,
            instance_count,
            resting: Mutex::default(),
            sweeps_max: u32::try_from(sweeps_max).unwrap_or(u32::MAX),
            sweeps: self.sweeps.clone(),
            waiting: AtomicU32::new(0),
            seat_waiting: AtomicU32::new(0),
            rested: Notify::new(),
        });
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// The turns at the CPU for the long calls of a class.
    pub(crate) fn turns(&self, class: Class) -> CpuTurns {
        self.turns.get(&class).cloned().unwrap_or_else(CpuTurns::new)
    }

    /// Whether calls wait for a place. Then instances end with their calls.
    pub(crate) fn wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// So many places, if they are free.
    pub(crate) fn take_now(&self, class: Class, places: u32) -> Option<Slot> {
        let of = |semaphore: &Arc<Semaphore>| semaphore.clone().try_acquire_many_owned(places).ok();
        let of_workers = match class {
            Class::Authorizer => None,
            Class::Worker => Some(of(&self.workers)?),
        };
        Some(Slot { _places: of(&self.free)?, _of_workers: of_workers })
    }

    /// Waits for so many places, at most until `deadline`.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded` when they did not become free.
    pub(crate) async fn take(&self, class: Class, places: u32, deadline: Moment) -> Result<Slot, Failure> {
        let of_workers = match class {
            Class::Authorizer => None,
            // Only the end of a worker frees a place of workers.
            Class::Worker => Some(self.places(&self.workers, places, |class| class == Class::Worker, deadline).await?),
        };
        let places = self.places(&self.free, places, |_| true, deadline).await?;
        Ok(Slot { _places: places, _of_workers: of_workers })
    }

    async fn places(
        &self,
        of: &Arc<Semaphore>,
        places: u32,
        evicts: impl Fn(Class) -> bool,
        deadline: Moment,
    ) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(places) = of.clone().try_acquire_many_owned(places) {
            return Ok(places);
        }
        // First, so that instances whose calls end from now on do not rest.
        let _waiting = QueuePlace::wait(&self.waiting);
        (0..places).for_each(|_| self.evict(&evicts));
        match timeout_at(deadline, of.clone().acquire_many_owned(places)).await {
            Ok(Ok(places)) => Ok(places),
            Ok(Err(_)) | Err(_) => {
                Err(Failure::overloaded("every instance of the server is busy (`limits.plugin_instances`)"))
            }
        }
    }

    /// Drops one resting instance of the pool with the most resting instances.
    fn evict(&self, evicts: impl Fn(Class) -> bool) {
        let pools = self.pools().into_iter().filter(|pool| evicts(pool.class));
        if let Some(mut instance) = pools.max_by_key(|pool| pool.len()).and_then(|pool| pool.take()) {
            instance.counted.reason = Retired::Wanted;
        }
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Drops the instances that rested too long, and updates the metrics. Blocks.
    pub(crate) fn sweep(&self) {
        self.sweeps.fetch_add(1, Ordering::Relaxed);
        let mut counts: BTreeMap<Arc<str>, Count> = BTreeMap::new();
        let mut counted: Vec<*const InstanceCount> = Vec::new();
        for pool in self.pools() {
            drop(pool.take_idle());
            let Some(plugin) = pool.instance_count.plugin() else { continue };
            let count = counts.entry(plugin.clone()).or_default();
            count.resting += u32::try_from(pool.len()).unwrap_or(u32::MAX);
            *count.waiting.entry(pool.class).or_default() += pool.waiting.load(Ordering::Relaxed);
            // The two pools of a version share one instance count.
            if !counted.contains(&Arc::as_ptr(&pool.instance_count)) {
                counted.push(Arc::as_ptr(&pool.instance_count));
                count.alive += pool.instance_count.alive();
            }
        }
        self.report(counts);
    }

    fn report(&self, counts: BTreeMap<Arc<str>, Count>) {
        telemetry::plugin_instances_wanted(self.waiting.load(Ordering::Relaxed));
        let mut reported = self.reported.lock();
        let gone =
            reported.keys().filter(|plugin| !counts.contains_key(*plugin)).map(|plugin| (plugin, Count::default()));
        for (plugin, count) in gone.chain(counts.iter().map(|(plugin, count)| (plugin, count.clone()))) {
            // An instance may have come to rest between the two counts.
            telemetry::plugin_instances(plugin, count.alive.saturating_sub(count.resting), count.resting);
            for class in [Class::Authorizer, Class::Worker] {
                let waiting = count.waiting.get(&class).copied().unwrap_or_default();
                telemetry::plugin_calls_waiting(plugin, class.as_str(), waiting);
            }
        }
        *reported = counts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorizers_have_the_places_that_are_named_or_one_in_eight_and_others_always_have_one() {
        for (all, reserved, workers) in
            [(256, None, 224), (8, Some(3), 5), (8, Some(0), 8), (8, Some(9), 1), (1, None, 1)]
        {
            assert_eq!(Slots::new(all, reserved).workers_max(), workers, "{all}, {reserved:?}");
        }
    }

    #[tokio::test]
    async fn an_instance_that_takes_several_places_leaves_fewer() {
        let slots = Slots::new(4, Some(0));
        let large = slots.take_now(Class::Worker, 3).unwrap();
        assert!(slots.take_now(Class::Worker, 2).is_none());
        let _small = slots.take_now(Class::Worker, 1).unwrap();
        drop(large);
        assert!(slots.take_now(Class::Authorizer, 3).is_some());
    }
}
