//! Budgets of teams: how much of its share of this node each team uses, and whether there is more. They decide; whoever
//! asks refuses. Without teams nothing is counted, and each question is one branch.

mod letters;
mod renewing;
mod seats;

pub use letters::LetterShare;
pub use seats::{Seat, Seats};

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::config::{Rate, Team, TeamId, Teams};
use crate::protocol::{Code, Refusal};
use crate::telemetry::{self, Sampler};
use renewing::Renewing;

/// The time in which the CPU time of a team renews, and so the most of it at once.
const CPU_WINDOW: Duration = Duration::from_secs(1);

/// What a team has a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// CPU time of plugins.
    Cpu,
    /// Instances of plugins.
    Instances,
    /// Publications.
    Publications,
    /// Subscriptions of connections.
    Subscriptions,
    /// Dead letters.
    DeadLetters,
}

impl Budget {
    const ALL: [Self; 5] = [Self::Cpu, Self::Instances, Self::Publications, Self::Subscriptions, Self::DeadLetters];

    /// The key in the configuration, and the name in metrics, logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Instances => "instances",
            Self::Publications => "publications",
            Self::Subscriptions => "subscriptions",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// The budgets of all teams on this node.
#[derive(Debug, Default)]
pub struct Budgets {
    teams: Vec<Arc<TeamBudget>>,
    /// When the metrics were told last.
    told: Mutex<Option<Instant>>,
}

/// The budgets of one team.
#[derive(Debug)]
pub struct TeamBudget {
    name: Box<str>,
    cpu: Option<Cpu>,
    instances: Option<Seats>,
    publications: Option<(Rate, Renewing)>,
    subscriptions: Option<Seats>,
    letters: Option<Letters>,
    refused: [Refused; Budget::ALL.len()],
    /// What was spent a second between the last two times that the metrics were told.
    pace: [Pace; 2],
}

#[derive(Debug)]
struct Cpu {
    /// Of all processors.
    percent: f64,
    /// How many processors of the server that is.
    processors: f64,
    spent: Renewing,
}

#[derive(Debug)]
struct Letters {
    max: u32,
    kept: AtomicU64,
}

/// Refusals of one budget, for metrics and the log.
#[derive(Debug)]
struct Refused {
    count: AtomicU64,
    sampler: Sampler,
}

/// How fast something is spent.
#[derive(Debug, Default)]
struct Pace {
    before: AtomicU64,
    /// In thousandths a second.
    per_1000_s: AtomicU64,
}

/// How much of a budget is used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The team.
    pub team: String,
    /// The budget's key in the configuration.
    pub budget: &'static str,
    /// How much is used: `cpu` in percent of all processors and `publications` a second, both of the last second.
    pub used: f64,
    /// How much there is, in the same unit.
    pub of: f64,
    /// How often more was wanted, since the start.
    pub refused: u64,
}

impl Budgets {
    /// The budgets of these teams, on a server with so many processors.
    #[must_use]
    pub fn new(teams: &Teams) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self::on(processors, teams)
    }

    /// The same on a server with so many processors.
    #[must_use]
    pub fn on(processors: usize, teams: &Teams) -> Self {
        let teams = teams.iter().map(|(id, name, team)| Arc::new(TeamBudget::new(id, name, team, processors)));
        Self { teams: teams.collect(), told: Mutex::default() }
    }

    /// Whether there are no teams.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.teams.is_empty()
    }

    /// The budgets of each team, in the order of [`TeamId`].
    pub fn teams(&self) -> impl Iterator<Item = &Arc<TeamBudget>> {
        self.teams.iter()
    }

    /// The budgets of one team.
    #[must_use]
    pub fn team(&self, id: TeamId) -> Option<&Arc<TeamBudget>> {
        self.teams.get(id.index())
    }

    /// Takes so many publications from the budget of a team.
    ///
    /// # Errors
    /// `over_budget`; then none was taken.
    pub(super) fn take_publications(&self, team: Option<TeamId>, count: u32) -> Result<(), Refusal> {
        let Some(team) = team.and_then(|id| self.team(id)) else { return Ok(()) };
        match &team.publications {
            Some((rate, spent)) if !spent.take(count.into(), rate.per / rate.messages.get()) => {
                Err(team.refuse(Budget::Publications))
            }
            _ => Ok(()),
        }
    }

    /// Takes a subscription from the budget of a team; `None` if it has no such budget.
    ///
    /// # Errors
    /// `over_budget`.
    pub(super) fn take_subscription(&self, team: Option<TeamId>) -> Result<Option<Seat>, Refusal> {
        let Some(team) = team.and_then(|id| self.team(id)) else { return Ok(None) };
        let Some(seats) = &team.subscriptions else { return Ok(None) };
        seats.take().map(Some).ok_or_else(|| team.refuse(Budget::Subscriptions))
    }

    /// A subscription of a team's budget for one that exists already, if one is free.
    pub(super) fn seat(&self, team: TeamId) -> Option<Seat> {
        self.team(team)?.subscriptions.as_ref()?.take()
    }

    /// The share of a team in the dead letters, of rules to these channels; `None` if it has no such budget.
    #[must_use]
    pub fn letters(&self, team: TeamId, channels: &Arc<[String]>) -> Option<LetterShare> {
        let team = self.team(team)?;
        let max = team.letters.as_ref()?.max as usize;
        Some(LetterShare { team: Arc::clone(team), channels: Arc::clone(channels), max })
    }

    /// A dead letter of a team is kept no longer.
    pub(super) fn letter_gone(&self, team: TeamId) {
        if let Some(letters) = self.team(team).and_then(|team| team.letters.as_ref()) {
            let fewer = |kept: u64| kept.checked_sub(1);
            let _ = letters.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        }
    }

    /// Whether a team may have one more subscription.
    ///
    /// # Errors
    /// `over_budget`.
    pub(super) fn has_subscription(&self, team: Option<TeamId>) -> Result<(), Refusal> {
        let Some(id) = team else { return Ok(()) };
        match self.team(id) {
            Some(team) if !self.has_any(id, Budget::Subscriptions) => Err(team.refuse(Budget::Subscriptions)),
            _ => Ok(()),
        }
    }

    /// Whether anything is left of a budget.
    pub(super) fn has_any(&self, team: TeamId, budget: Budget) -> bool {
        let Some(team) = self.team(team) else { return true };
        let is_free = |seats: &Option<Seats>| seats.as_ref().is_none_or(|seats| seats.taken() < seats.max());
        match budget {
            Budget::Cpu => team.may_run(),
            Budget::Instances => is_free(&team.instances),
            Budget::Publications => team.publications.as_ref().is_none_or(|(_, spent)| spent.has_any()),
            Budget::Subscriptions => is_free(&team.subscriptions),
            Budget::DeadLetters => true,
        }
    }

    /// How much of each budget is used, in the order of teams.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        self.teams.iter().flat_map(|team| Budget::ALL.into_iter().filter_map(|budget| team.standing(budget))).collect()
    }

    /// Tells the metrics how much is used. Call it about once a second.
    pub fn tell(&self) {
        let now = Instant::now();
        let Some(since) = self.told.lock().replace(now).map(|before| now - before) else { return };
        for team in &self.teams {
            team.pace(since);
        }
        for Standing { team, budget, used, of, refused } in self.standing() {
            telemetry::team_budget(&team, budget, used, of, refused);
        }
    }
}

impl TeamBudget {
    fn new(id: TeamId, name: &str, team: &Team, processors: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a machine has fewer processors")]
        let cpu = team.cpu.map(|share| Cpu {
            percent: share.of_one() * 100.0,
            processors: share.of_one() * processors as f64,
            spent: Renewing::new(CPU_WINDOW),
        });
        let seats = |max: Option<std::num::NonZeroU32>| max.map(|max| Seats::new(id, max.get()));
        Self {
            name: name.into(),
            cpu,
            instances: seats(team.instances),
            publications: team.publications.map(|rate| (rate, Renewing::new(rate.per))),
            subscriptions: seats(team.subscriptions),
            letters: team.dead_letters.map(|max| Letters { max: max.get(), kept: AtomicU64::new(0) }),
            refused: Budget::ALL.map(|_| Refused { count: AtomicU64::new(0), sampler: Sampler::rare() }),
            pace: Default::default(),
        }
    }

    /// The team's name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    fn refuse(&self, budget: Budget) -> Refusal {
        self.refused(budget);
        Code::OverBudget.into()
    }

    /// Counts a refusal, and logs it now and then. The caller refuses.
    pub fn refused(&self, budget: Budget) {
        let Refused { count, sampler } = &self.refused[budget as usize];
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = sampler.admit_now() {
            let of = self.standing(budget).map_or(0.0, |standing| standing.of);
            telemetry::over_budget(&self.name, budget.as_str(), of, suppressed);
        }
    }

    /// Whether a call may begin: some CPU time is left.
    #[must_use]
    pub fn may_run(&self) -> bool {
        self.cpu.as_ref().is_none_or(|cpu| cpu.spent.has_any())
    }

    /// Whether CPU time is counted.
    #[must_use]
    pub const fn counts_cpu(&self) -> bool {
        self.cpu.is_some()
    }

    /// A plugin has used CPU time.
    pub fn ran(&self, time: Duration) {
        if let Some(cpu) = &self.cpu {
            let renews = time.div_f64(cpu.processors);
            cpu.spent.spend(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), renews);
        }
    }

    /// The budget of instances.
    #[must_use]
    pub const fn instances(&self) -> Option<&Seats> {
        self.instances.as_ref()
    }

    fn keeps_letters(&self, kept: usize) {
        if let Some(letters) = &self.letters {
            letters.kept.store(kept as u64, Ordering::Relaxed);
        }
    }

    fn pace(&self, since: Duration) {
        let spent = [self.cpu.as_ref().map(|cpu| &cpu.spent), self.publications.as_ref().map(|(_, spent)| spent)];
        for (pace, spent) in self.pace.iter().zip(spent) {
            pace.measure(spent.map_or(0, Renewing::spent), since);
        }
    }

    /// How much of a budget is used; `None` if the team has no such budget.
    #[expect(clippy::cast_precision_loss, reason = "for people and metrics")]
    pub(super) fn standing(&self, budget: Budget) -> Option<Standing> {
        let of_seats = |seats: &Seats| (f64::from(seats.taken()), f64::from(seats.max()));
        let [cpu_pace, publications_pace] = &self.pace;
        let (used, of) = match budget {
            Budget::Cpu => {
                let cpu = self.cpu.as_ref()?;
                (cpu_pace.per_s() / 1e6 / cpu.processors * cpu.percent, cpu.percent)
            }
            Budget::Publications => {
                let (rate, _) = self.publications.as_ref()?;
                (publications_pace.per_s(), f64::from(rate.messages.get()) / rate.per.as_secs_f64())
            }
            Budget::Instances => self.instances.as_ref().map(of_seats)?,
            Budget::Subscriptions => self.subscriptions.as_ref().map(of_seats)?,
            Budget::DeadLetters => {
                let letters = self.letters.as_ref()?;
                (letters.kept.load(Ordering::Relaxed) as f64, f64::from(letters.max))
            }
        };
        let refused = self.refused[budget as usize].count.load(Ordering::Relaxed);
        Some(Standing { team: self.name.to_string(), budget: budget.as_str(), used, of, refused })
    }
}

impl Pace {
    fn measure(&self, spent: u64, since: Duration) {
        let of_late = spent.saturating_sub(self.before.swap(spent, Ordering::Relaxed));
        let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        self.per_1000_s.store(of_late.saturating_mul(1_000_000) / since_ms, Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "for people and metrics")]
    fn per_s(&self) -> f64 {
        self.per_1000_s.load(Ordering::Relaxed) as f64 / 1000.0
    }
}
