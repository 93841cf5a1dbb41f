//! The share of a team as the plugins that belong to it use it: CPU time, and instances.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant as Moment, timeout_at};

use super::bulkhead::QueuePlace;
use super::fault::Failure;
use super::instance::Instance;
use super::instance_count::Retired;
use super::pool::Pool;
use tidegate_core::config::TeamId;
use tidegate_core::flow::ports::FaultKind;
use tidegate_core::flow::{Budget, Budgets, Seat, Seats, TeamBudget};

/// The shares of all teams.
#[derive(Default)]
pub(crate) struct TeamShares(Vec<Arc<TeamShare>>);

/// The share of one team.
pub(crate) struct TeamShare {
    budget: Arc<TeamBudget>,
    /// Calls that wait for an instance within the share.
    waiting: AtomicU32,
    /// The pools of its plugins.
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// What lets a call begin within the share of its team.
pub(crate) enum Entered {
    /// The right to one more instance.
    Seat(Seat),
    /// An instance that came to rest meanwhile.
    Rested(Box<Instance>),
}

impl TeamShares {
    /// The shares of these budgets.
    pub(crate) fn of(budgets: &Budgets) -> Self {
        let share = |budget: &Arc<TeamBudget>| {
            let (waiting, pools) = (AtomicU32::new(0), Mutex::default());
            Arc::new(TeamShare { budget: Arc::clone(budget), waiting, pools })
        };
        Self(budgets.teams().map(share).collect())
    }

    /// The share of a team.
    pub(crate) fn get(&self, id: TeamId) -> Option<&Arc<TeamShare>> {
        self.0.get(id.index())
    }
}

impl TeamShare {
    /// A plugin with this pool belongs to the team.
    pub(crate) fn takes(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// The plugin with this pool does not belong to it any more.
    pub(crate) fn loses(&self, pool: &Arc<Pool>) {
        self.pools.lock().retain(|own| own.as_ptr() != Arc::as_ptr(pool));
    }

    /// Refuses a call if the CPU time of the team is used up.
    ///
    /// # Errors
    /// [`Failure`] of kind `OverBudget`.
    pub(crate) fn check_cpu(&self) -> Result<(), Failure> {
        if self.budget.may_run() { Ok(()) } else { Err(self.over(Budget::Cpu)) }
    }

    /// Whether the CPU time of calls is counted.
    pub(crate) fn counts_cpu(&self) -> bool {
        self.budget.counts_cpu()
    }

    /// A guest has used CPU time.
    pub(crate) fn ran(&self, time: Duration) {
        self.budget.ran(time);
    }

    /// Whether calls of other pools than this one wait for an instance within the share.
    pub(crate) fn is_wanted_elsewhere(&self, own: &Pool) -> bool {
        self.waiting.load(Ordering::Relaxed) > own.seat_waiting.load(Ordering::Relaxed)
    }

    /// The instances that the team may have, if they are counted.
    pub(crate) fn seats(&self) -> Option<&Seats> {
        self.budget.instances()
    }

    /// Waits for the right to one more instance, or for an instance of this pool that comes to rest; at most until
    /// `deadline`.
    ///
    /// # Errors
    /// [`Failure`] of kind `OverBudget` when neither came.
    pub(crate) async fn enter(&self, seats: &Seats, pool: &Pool, deadline: Moment) -> Result<Entered, Failure> {
        // First, so that instances whose calls end from now on do not rest elsewhere.
        let (_waiting, _here) = (QueuePlace::wait(&self.waiting), QueuePlace::wait(&pool.seat_waiting));
        self.evict(pool);
        let entered = async {
            loop {
                if let Some(instance) = pool.take() {
                    return Entered::Rested(instance);
                }
                tokio::select! {
                    biased;
                    () = pool.rested.notified() => {}
                    seat = seats.wait() => return Entered::Seat(seat),
                }
            }
        };
        timeout_at(deadline, entered).await.map_err(|_| self.over(Budget::Instances))
    }

    /// Drops one resting instance of another plugin of the team.
    fn evict(&self, own: &Pool) {
        let pools: Vec<Arc<Pool>> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        let others = pools.into_iter().filter(|pool| !std::ptr::eq(Arc::as_ptr(pool), own));
        if let Some(mut instance) = others.max_by_key(|pool| pool.len()).and_then(|pool| pool.take()) {
            instance.counted.reason = Retired::Wanted;
        }
    }

    fn over(&self, budget: Budget) -> Failure {
        self.budget.refused(budget);
        let detail = format!("team `{}` has used up its budget `{}`", self.budget.name(), budget.as_str());
        Failure::new(FaultKind::OverBudget, detail)
    }
}
