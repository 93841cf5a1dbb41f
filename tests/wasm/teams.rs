//! The shares of teams: CPU time, and instances.

use std::sync::Arc;

use tidegate_core::config::{SourceFile, Teams, decode, parse_yaml};
use tidegate_core::flow::Budgets;
use tidegate_core::flow::ports::{FaultKind, PluginState};
use tidegate_wasm::{HostSettings, Plugin, PluginHost, Services};

use crate::kit::{BAD_MANIFEST, bad, order};

/// A host on which two teams have these budgets, and who owns what.
struct Shared {
    host: PluginHost,
    teams: Teams,
    budgets: Arc<Budgets>,
}

impl Shared {
    /// `growth` has this budget, and `platform` has none.
    fn giving(budget: &str) -> Self {
        let text = format!("{{ growth: {{ features: [growth], {budget} }}, platform: {{ features: [platform] }} }}");
        let file = Arc::new(SourceFile { path: "teams".to_owned(), text });
        let teams: Teams = decode(&parse_yaml(&file, &mut Vec::new()).unwrap(), &mut Vec::new()).unwrap();
        let budgets = Arc::new(Budgets::on(1, &teams));
        let services = Services { budgets: budgets.clone(), ..Services::in_memory() };
        let host = PluginHost::with_services(HostSettings::default(), services).unwrap();
        Self { host, teams, budgets }
    }

    /// The bad plugin with these limits, of a team.
    async fn plugin(&self, limits: &str, team: &str) -> Arc<Plugin> {
        let manifest = BAD_MANIFEST.replace("cpu: 100ms, wall: 1s", limits);
        let plugin = self.host.load(bad(&manifest)).await.unwrap();
        plugin.belongs_to(self.teams.of_feature(team));
        plugin
    }

    /// How often the team was refused more of a budget.
    fn refused(&self, budget: &str) -> u64 {
        let standing = self.budgets.standing();
        standing.iter().filter(|standing| standing.budget == budget).map(|standing| standing.refused).sum()
    }
}

fn faults(plugin: &Plugin) -> u64 {
    plugin.status(PluginState::Active).service.unwrap().faults
}

#[tokio::test]
async fn a_team_whose_plugin_loops_is_refused_once_its_share_is_used_up_and_is_not_at_fault_for_that() {
    let shared = Shared::giving("cpu: 5%");
    let looping = shared.plugin("cpu: 50ms, wall: 5s", "growth").await;
    let sibling = shared.plugin("cpu: 50ms, wall: 5s", "growth").await;
    let neighbour = shared.plugin("cpu: 50ms, wall: 5s", "platform").await;
    let mut looped = 0;
    let fault = loop {
        match order(&looping, "loop").await.unwrap_err() {
            fault if fault.kind == FaultKind::Cpu => looped += 1,
            fault => break fault,
        }
    };
    assert_eq!(fault.kind, FaultKind::OverBudget, "{fault}");
    assert!(fault.detail.contains("team `growth`"), "{}", fault.detail);
    assert_eq!((faults(&looping), shared.refused("cpu")), (looped, 1), "a call that never began is no fault");
    assert_eq!(order(&sibling, "count").await.unwrap_err().kind, FaultKind::OverBudget, "its plugins share it");
    order(&neighbour, "count").await.unwrap().unwrap();

    // What was used beyond the share renews first; then calls begin again.
    while order(&sibling, "count").await.is_err() {
        tokio::task::yield_now().await;
    }
    sibling.belongs_to(shared.teams.of_feature("platform"));
    order(&sibling, "loop").await.unwrap_err();
    order(&sibling, "count").await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_for_which_its_team_has_no_instance_waits_and_is_then_over_budget() {
    let shared = Shared::giving("instances: 1");
    let holder = shared.plugin("cpu: 20s, wall: 20s", "growth").await;
    let waiter = shared.plugin("cpu: 100ms, wall: 200ms", "growth").await;
    let neighbour = shared.plugin("cpu: 100ms, wall: 5s", "platform").await;
    tokio::select! {
        biased;
        _ = order(&holder, "sleep") => panic!("the sleeper woke"),
        refused = order(&waiter, "count") => assert_eq!(refused.unwrap_err().kind, FaultKind::OverBudget),
    }
    assert_eq!(shared.refused("instances"), 1);
    order(&neighbour, "count").await.unwrap().unwrap();
    order(&waiter, "count").await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_of_one_plugin_take_turns_at_the_instance_that_its_team_has() {
    let shared = Shared::giving("instances: 1");
    let plugin = shared.plugin("cpu: 1s, wall: 20s, concurrency: 8", "growth").await;
    let calls = (0..32).map(|_| {
        let plugin = plugin.clone();
        tokio::spawn(async move { order(&plugin, "count").await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(plugin.instances(), 1);
    assert_eq!(plugin.status(PluginState::Active).service.unwrap().calls, 32);
}

#[tokio::test]
async fn a_resting_instance_of_the_team_makes_room_for_another_plugin_of_it() {
    let shared = Shared::giving("instances: 1");
    let (first, second) =
        (shared.plugin("cpu: 1s, wall: 20s", "growth").await, shared.plugin("cpu: 1s, wall: 20s", "growth").await);
    for plugin in [&first, &second, &first] {
        order(plugin, "count").await.unwrap().unwrap();
    }
    assert_eq!((first.instances(), second.instances()), (1, 0));
}
