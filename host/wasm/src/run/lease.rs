//! How a call gets an instance, and what becomes of the instance after the call.

use tokio::sync::SemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant as Moment, timeout_at};

use super::bulkhead::Bulkhead;
use super::fault::Failure;
use super::instance::Instance;
use super::instance_count::Retired;
use super::team::Entered;
use crate::manifest::Isolation;
use crate::plugin::Plugin;
use crate::tape::{plays, record};
use tidegate_core::telemetry;

/// Largest memory of a failed instance that the calling thread frees itself, in bytes.
const DROPPED_HERE_BYTES_MAX: usize = 4 << 20;

/// The right to one instance for one call. If it is dropped before [`Lease::end`], after an error, a timeout or a
/// cancelled call, the instance is dropped too: its store is poisoned.
pub(crate) struct Lease<'a> {
    plugin: &'a Plugin,
    bulkhead: &'a Bulkhead,
    /// Boxed, because it is large and moves often.
    pub(crate) instance: Box<Instance>,
    _call: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// The call succeeded: the instance goes back to the pool, unless it has served enough.
    pub(crate) fn end(mut self) {
        self.plugin.log_output(&mut self.instance);
        match self.retires() {
            None => self.bulkhead.pool.put(self.instance),
            Some(reason) => self.instance.counted.reason = reason,
        }
    }

    /// The call failed, and the instance is dropped. Freeing much memory takes long, so another thread does it.
    pub(crate) fn discard(self) {
        let Self { mut instance, .. } = self;
        if instance.guest().memory.bytes() > DROPPED_HERE_BYTES_MAX {
            // The places of instances limit how many such tasks there are.
            drop(spawn_blocking(move || drop(instance)));
        }
    }

    /// Why the instance must end, if so.
    fn retires(&mut self) -> Option<Retired> {
        let instances = &self.plugin.manifest.instances;
        if instances.isolation == Isolation::PerCall {
            Some(Retired::PerCall)
        } else if self.instance.calls >= instances.calls_max {
            Some(Retired::Calls)
        } else if self.instance.grown_to().is_some_and(|bytes| bytes > instances.memory_bytes_max) {
            Some(Retired::Memory)
        } else if self.plugin.slots.wanted() {
            // A resting instance would keep the place that another plugin waits for.
            Some(Retired::Wanted)
        } else if self.plugin.team().is_some_and(|team| team.is_wanted_elsewhere(&self.bulkhead.pool)) {
            Some(Retired::Wanted)
        } else {
            None
        }
    }
}

impl Plugin {
    /// Takes an instance, and gives the deadline of the call. The wait for a permit comes before that time.
    pub(crate) async fn lease<'a>(&'a self, bulkhead: &'a Bulkhead) -> Result<(Lease<'a>, Moment), Failure> {
        let wall = self.blueprint.limits.wall;
        let began = Moment::now();
        let call = match bulkhead.enter_now() {
            Some(call) => call,
            None => {
                let call = bulkhead.enter(began + wall).await?;
                self.waited("turn", began);
                call
            }
        };
        let deadline = Moment::now() + wall;
        let mut instance = match bulkhead.pool.take() {
            Some(instance) => instance,
            None => self.instantiate(bulkhead, deadline).await?,
        };
        instance.guest().ends_at(deadline);
        Ok((Lease { plugin: self, bulkhead, instance, _call: call }, deadline))
    }

    async fn instantiate(&self, bulkhead: &Bulkhead, deadline: Moment) -> Result<Box<Instance>, Failure> {
        let (class, places) = (bulkhead.class, self.blueprint.places);
        let team = self.team();
        let seat = match team.as_deref().and_then(|team| Some((team, team.seats()?))) {
            None => None,
            Some((team, seats)) => match seats.take() {
                Some(seat) => Some(seat),
                None => {
                    let began = Moment::now();
                    let entered = team.enter(seats, &bulkhead.pool, deadline).await?;
                    self.waited("instance", began);
                    match entered {
                        Entered::Seat(seat) => Some(seat),
                        Entered::Rested(instance) => return Ok(instance),
                    }
                }
            },
        };
        let slot = match self.slots.take_now(class, places) {
            Some(slot) => slot,
            None => {
                let began = Moment::now();
                let slot = self.slots.take(class, places, deadline).await?;
                self.waited("instance", began);
                slot
            }
        };
        let instance =
            timeout_at(deadline, bulkhead.cpu.run(team.as_deref(), self.blueprint.instantiate(slot, seat))).await;
        instance.map_err(|_| Failure::wall(&self.manifest.limits))?
    }

    /// Notes how long a call waited, for a permit or for an instance.
    fn waited(&self, what: &'static str, since: Moment) {
        if !self.is_trial {
            telemetry::plugin_waited(self.name.as_str(), what, since.elapsed());
        }
    }

    fn log_output(&self, instance: &mut Instance) {
        let printed = instance.guest().take_output();
        if !printed.is_empty() && !plays() {
            let caller = &instance.guest().caller;
            let (plugin, version) = (self.name.as_str(), self.version());
            let (channel, user) = (caller.channel(), caller.user());
            tracing::info!(target: "plugin", plugin, version, channel, user, "{printed}");
        }
        let dropped = instance.guest().log.dropped();
        record::note(|record| {
            record.printed.push_str(&printed);
            record.log_dropped += dropped;
            record.memory_bytes = Some(instance.guest().memory.bytes());
        });
        if dropped > 0 {
            if !self.is_trial {
                telemetry::plugin_log_dropped(self.name.as_str(), dropped);
            }
            let (plugin, version) = (self.name.as_str(), self.version());
            tracing::debug!(target: "plugin", plugin, version, dropped, "too many log lines");
        }
    }
}
