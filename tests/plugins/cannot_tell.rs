//! Authorizers whose database is away, late or asked too often, written for the contract of today and for the one before:
//! neither a yes nor a no, and no fault of theirs.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_backends::store::SqliteStore;
use tidegate_core::flow::ports::{
    ConnectionCall, Decision, FaultKind, IdentifyCall, Phase, PluginState, Recognition, SystemClock, TransformCall,
};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload};
use tidegate_wasm::{HostSettings, NoDatabase, Plugin, PluginHost, PluginSource, Services};

use crate::kit::{ask, asks, context, first, reply, send};

const GRANTS: &str = "grants:
  queries:
    row: select 1 as one
    none: select 1 as one where 1 = 0
    endless: with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0
";

/// The components of both versions of the contract, with these limits.
fn both(limits: &str) -> [PluginSource; 2] {
    let lines = format!("{GRANTS}limits: {{ {limits} }}");
    [asks(&lines), first(&lines)]
}

async fn load(source: PluginSource, services: Services) -> Arc<Plugin> {
    let host = PluginHost::with_services(HostSettings { instances_max: 16, ..HostSettings::default() }, services);
    host.unwrap().load(source).await.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

fn database(directory: &TempDir) -> Services {
    let store = SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock));
    Services { queries: Arc::new(store), ..Services::in_memory() }
}

async fn decided(plugin: &Plugin, query: &str) -> Result<Decision, FaultKind> {
    let context = context("row.{query}", &format!("row.{query}"), Some("u1"));
    ask(plugin, &context).await.map_err(|fault| fault.kind)
}

/// That it cannot tell, and why.
async fn unknown(plugin: &Plugin, query: &str) -> String {
    match decided(plugin, query).await {
        Ok(Decision::CannotTell { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn is_paused(plugin: &Plugin) -> bool {
    !plugin.status(PluginState::Active).service.unwrap().paused.is_empty()
}

#[tokio::test]
async fn what_the_database_says_decides() {
    let directory = tempfile::tempdir().unwrap();
    for source in both("cpu: 1s, query_time: 10s, wall: 20s") {
        let plugin = load(source, database(&directory)).await;
        assert_eq!(decided(&plugin, "row").await, Ok(Decision::allow()));
        assert_eq!(decided(&plugin, "none").await, Ok(Decision::Deny { reason: "no row".to_owned() }));
        assert_eq!(
            decided(&plugin, "not-granted").await,
            Err(FaultKind::Failed),
            "that is a mistake of the plugin's own"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_late_or_away_and_a_rate_that_is_used_up_leave_it_open() {
    let directory = tempfile::tempdir().unwrap();
    for source in both("cpu: 1s, query_time: 20ms, wall: 20s") {
        let plugin = load(source, database(&directory)).await;
        let why = unknown(&plugin, "endless").await;
        assert!(why.starts_with("`queries` answered `timeout`: "), "{why}");
    }
    for source in both("cpu: 1s, query_time: 10s, wall: 20s, queries: 1") {
        let plugin = load(source, database(&directory)).await;
        assert_eq!(decided(&plugin, "row").await, Ok(Decision::allow()));
        let why = unknown(&plugin, "row").await;
        assert!(why.starts_with("`queries` answered `rate_limited`: "), "{why}");
    }
    for source in both("cpu: 1s, wall: 20s") {
        let away = Services { queries: Arc::new(NoDatabase::Unavailable("it is away")), ..Services::in_memory() };
        let plugin = load(source, away).await;
        let why = unknown(&plugin, "row").await;
        assert!(why.starts_with("`queries` answered `unavailable`: ") && why.contains("it is away"), "{why}");
    }
}

#[tokio::test]
async fn what_the_host_did_not_do_in_one_call_says_nothing_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let [source, _] = both("cpu: 1s, query_time: 20ms, wall: 20s");
    let plugin = load(source, database(&directory)).await;
    unknown(&plugin, "endless").await;
    assert_eq!(decided(&plugin, "not-granted").await, Err(FaultKind::Failed));
}

#[tokio::test]
async fn waiting_past_its_time_is_no_fault_of_the_plugin_however_often() {
    let directory = tempfile::tempdir().unwrap();
    let source =
        asks(&format!("{GRANTS}limits: {{ cpu: 100ms, query_time: 10s, wall: 1s }}\nbreaker: {{ faults: 1 }}"));
    let plugin = load(source, database(&directory)).await;
    for _ in 0..3 {
        assert_eq!(decided(&plugin, "patient").await, Err(FaultKind::Timeout));
    }
    let fault = ask(&plugin, &context("row.{query}", "row.patient", Some("u1"))).await.unwrap_err();
    assert!(fault.detail.contains("of these it waited for the host"), "{fault}");
    assert!(!fault.kind.is_its_own() && !is_paused(&plugin));
}

#[tokio::test]
async fn a_component_of_the_contract_before_serves_in_every_kind() {
    let directory = tempfile::tempdir().unwrap();
    let [_, source] = both("cpu: 1s, wall: 20s");
    let plugin = load(source, database(&directory)).await;
    assert_eq!(plugin.kinds().in_words(), "`handler`, `authorizer`, `snapshot`, `transform` and `connection`");
    assert_eq!(reply(send(&plugin, r#"{"n":7}"#).await), r#"{"n":7}"#);

    let (connection, credential) = (ConnectionId::new("c1"), Payload::parse(r#"{"token":"t"}"#.to_owned()).unwrap());
    let recognised = plugin.identify(IdentifyCall { connection: &connection, credential: &credential }).await.unwrap();
    let Recognition::Admitted { user: Some(user), ttl } = recognised else { panic!("{recognised:?}") };
    assert_eq!((user.id.as_str(), ttl), ("u1", Duration::from_secs(1)));

    let state = plugin.provide(&context("row.{query}", "row.a", Some("u1"))).await.unwrap();
    assert_eq!(state[0].as_str(), "\"row.a\"");

    let event = BusEvent::new("e".to_owned(), "/s".to_owned(), "k".to_owned(), serde_json::json!(1));
    let call = TransformCall { channel: "row.{query}", event: &event, topic: "row.a", payload: &credential };
    assert_eq!(plugin.transform(call).await.unwrap().unwrap().as_str(), credential.as_str());

    let call = ConnectionCall { connection: &connection, user: None, phase: Phase::Connected };
    let told = plugin.changed(call).await.unwrap_err();
    assert_eq!(told.kind, FaultKind::NotGranted, "it was called, and an emit needs its grant as ever");
}

#[tokio::test]
async fn a_snapshot_whose_database_is_away_is_for_later_and_no_fault_of_the_plugin() {
    let [source, _] = both("cpu: 1s, wall: 20s");
    let away = Services { queries: Arc::new(NoDatabase::Unavailable("it is away")), ..Services::in_memory() };
    let plugin = load(source, away).await;
    let context = context("row.{query}", "row.row", Some("u1"));
    for _ in 0..20 {
        let fault = plugin.provide(&context).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unanswered, "{}", fault.detail);
        assert!(fault.detail.starts_with("`queries` answered `unavailable`: "), "{}", fault.detail);
    }
    assert!(!is_paused(&plugin));
}
