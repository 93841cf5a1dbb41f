//! Metrics and log events of the budgets of teams.

use super::metric::{self, Metric};
use super::names;
use super::registry::{counter, gauge};

pub(super) const TEAM_BUDGET: Metric = metric::gauge(
    "tidegate_team_budget",
    "Budgets of teams, by team and budget (cpu: percent of the processors; instances; publications: a second; subscriptions; dead_letters)",
);
pub(super) const TEAM_USED: Metric = metric::gauge(
    "tidegate_team_used",
    "What teams use of their budgets, by team and budget; cpu and publications of the last second",
);
pub(super) const TEAM_REFUSED: Metric = metric::counter(
    "tidegate_team_refused_total",
    "Refusals with over_budget, by team and budget; of dead_letters: letters that were replaced by newer ones",
);

/// Records a budget of a team, how much of it is used, and how often more was wanted since the start.
pub fn team_budget(team: &str, budget: &'static str, used: f64, of: f64, refused: u64) {
    let labels = [("team", team), ("budget", budget)];
    gauge(TEAM_BUDGET, &labels).set(of);
    gauge(TEAM_USED, &labels).set(used);
    counter(TEAM_REFUSED, &labels).absolute(refused);
}

/// `team.over_budget`: a team wanted more than its share. `suppressed` is how often since the last time that this was
/// logged for the team and the budget.
pub fn over_budget(team: &str, budget: &'static str, of: f64, suppressed: u64) {
    let event = names::OVER_BUDGET;
    tracing::warn!(event, team, budget, of, suppressed, "a team used up its share, and more is refused");
}
