//! The bulkhead of one class of calls of one plugin: how many calls run at once, and how many wait. Authorizers have a
//! bulkhead of their own, so that a flood of messages to handlers never delays a decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant as Moment, timeout_at};

use super::breaker::Breaker;
use super::class::Class;
use super::cpu_turns::CpuShare;
use super::fault::Failure;
use super::instance_count::InstanceCount;
use super::pool::{Pool, Slots};
use crate::manifest::PluginManifest;

/// The limits and instances that the calls of one class of one plugin share.
pub(crate) struct Bulkhead {
    pub(crate) class: Class,
    pub(crate) breaker: Breaker,
    pub(crate) pool: Arc<Pool>,
    /// One permit for each concurrent call (`limits.concurrency`).
    calls: Semaphore,
    concurrency_max: u32,
    queue_max: u32,
    pub(crate) cpu: CpuShare,
}

impl Bulkhead {
    /// The bulkhead of a class of calls of one version, whose instances `instance_count` counts.
    pub(crate) fn new(
        class: Class,
        manifest: &PluginManifest,
        instance_count: &Arc<InstanceCount>,
        slots: &Slots,
    ) -> Self {
        let limits = &manifest.limits;
        Self {
            class,
            breaker: Breaker::new(manifest.breaker),
            pool: slots.pool(class, instance_count.clone(), manifest.instances.idle),
            calls: Semaphore::new(limits.concurrency_max as usize),
            concurrency_max: limits.concurrency_max,
            queue_max: limits.queue_max,
            cpu: CpuShare::new(slots.turns(class)),
        }
    }

    /// Enters without waiting, if there is a permit.
    pub(crate) fn enter_now(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.try_acquire().ok()
    }

    /// Waits for a permit, at most until `deadline`.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded`, at once when the queue is full.
    pub(crate) async fn enter(&self, deadline: Moment) -> Result<SemaphorePermit<'_>, Failure> {
        let most = self.concurrency_max;
        let _place = QueuePlace::take(&self.pool.waiting, self.queue_max).ok_or_else(|| {
            let waiting = self.queue_max;
            Failure::overloaded(&format!("{most} calls run (`limits.concurrency`), {waiting} wait (`limits.queue`)"))
        })?;
        match timeout_at(deadline, self.calls.acquire()).await {
            Ok(Ok(call)) => Ok(call),
            Ok(Err(_)) | Err(_) => Err(Failure::overloaded(&format!("{most} calls run (`limits.concurrency`)"))),
        }
    }
}

/// A place in a queue, free again when dropped.
pub(crate) struct QueuePlace<'a>(&'a AtomicU32);

impl<'a> QueuePlace<'a> {
    /// A place in an unlimited queue.
    pub(crate) fn wait(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }

    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let place = Self(waiting);
        // Counts first, so that concurrent callers never exceed the limit.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
