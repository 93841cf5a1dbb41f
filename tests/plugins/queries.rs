//! Named queries as a plugin sees them: of the company's own tables, read-only, within grants, sizes, rate and time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Executor as _};
use tempfile::TempDir;
use tidegate_backends::store::{SqliteLook, SqliteStore};
use tidegate_core::flow::ports::{Exceeded, FaultKind, SystemClock};
use tidegate_wasm::{HostSettings, NoDatabase, Plugin, PluginHost, Services, recorded};
use tokio::time::timeout;

use crate::kit::{asks, context, reply, send};

const ROLE: &str = "role: select role, since from members where vault = $1 and person = $2";
/// Counts without an end, and gives no row.
const ENDLESS: &str =
    "endless: with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0";

/// The company's own tables, in the file that is the store's as well.
async fn tables() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut company = company(directory.path()).await;
    company
        .execute("create table members (vault text, person text, role text, since integer, active boolean)")
        .await
        .unwrap();
    company
        .execute("insert into members values ('v1', 'u1', 'editor', 7, 1), ('v1', 'u2', 'reader', 8, 0)")
        .await
        .unwrap();
    directory
}

async fn company(directory: &Path) -> SqliteConnection {
    let file = directory.join("t.db");
    SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
}

fn store(directory: &TempDir) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock)))
}

fn host(services: Services) -> PluginHost {
    PluginHost::with_services(HostSettings { instances_max: 16, ..HostSettings::default() }, services).unwrap()
}

/// The lines of `plugin.yaml` that grant these queries, each on a line of its own from line 4 on.
fn granting(queries: &[&str], limits: &str) -> String {
    let queries: String = queries.iter().map(|query| format!("    {query}\n")).collect();
    // The time that a busy machine may take, unless a test is about time.
    let defaults = ["cpu: 5s", "wall: 30s", "query_time: 10s"];
    let ample = defaults.into_iter().filter(|limit| !limits.contains(limit.split(':').next().unwrap()));
    let limits: Vec<&str> = ample.chain((!limits.is_empty()).then_some(limits)).collect();
    format!("grants:\n  queries:\n{queries}limits: {{ {} }}", limits.join(", "))
}

async fn plugin(directory: &TempDir, queries: &[&str], limits: &str) -> Arc<Plugin> {
    let host = host(Services { queries: store(directory), ..Services::in_memory() });
    let loaded = host.load(asks(&granting(queries, limits))).await;
    loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// What is wrong with a query, and its line.
async fn refused(directory: &TempDir, query: &str) -> (String, usize) {
    let host = host(Services { queries: store(directory), ..Services::in_memory() });
    let mistakes = host.load(asks(&granting(&[query], ""))).await.unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    (mistakes[0].message.clone(), mistakes[0].place.as_ref().unwrap().line)
}

async fn ask(plugin: &Plugin, query: &str, params: Value) -> Value {
    let payload = json!({ "query": query, "params": params }).to_string();
    serde_json::from_str(&reply(send(plugin, &payload).await)).unwrap()
}

#[tokio::test]
async fn a_granted_query_is_answered_with_rows_and_no_other_is() {
    let directory = tables().await;
    let all = "all: select person from members where $1 order by person";
    let plugin = plugin(&directory, &[ROLE, all], "").await;
    assert_eq!(ask(&plugin, "role", json!(["v1", "u1"])).await, json!([{ "role": "editor", "since": 7 }]));
    assert_eq!(ask(&plugin, "role", json!(["v1", "' or 1 --"])).await, json!([]));
    assert_eq!(ask(&plugin, "all", json!([true])).await, json!([{ "person": "u1" }, { "person": "u2" }]));
    assert_eq!(ask(&plugin, "other", json!([])).await, "Denied");
    let (_, did) = recorded(ask(&plugin, "role", json!(["v1", "u1"]))).await;
    assert_eq!(did.host_calls.into_iter().collect::<Vec<_>>(), [("queries", 1)]);
}

#[tokio::test]
async fn a_query_reaches_nothing_but_the_tables() {
    let directory = tables().await;
    let code = "code: select load_extension('x.so') as x";
    let file = "file: select readfile('/etc/passwd') as x";
    let plugin = plugin(&directory, &[code], "").await;
    assert_eq!(ask(&plugin, "code", json!([])).await, r#"Unavailable("not authorized")"#);
    assert!(refused(&directory, file).await.0.contains("no such function: readfile"));
}

#[tokio::test]
async fn what_the_company_writes_is_read_at_once() {
    let directory = tables().await;
    let plugin = plugin(&directory, &[ROLE, "star: select * from members where person = $1"], "").await;
    let mut company = company(directory.path()).await;
    company.execute("update members set role = 'owner' where person = 'u1'").await.unwrap();
    assert_eq!(ask(&plugin, "role", json!(["v1", "u1"])).await[0]["role"], "owner");
    assert_eq!(ask(&plugin, "star", json!(["u1"])).await[0].as_object().unwrap().len(), 5);
    company.execute("alter table members add column note text default 'n'").await.unwrap();
    assert_eq!(ask(&plugin, "star", json!(["u1"])).await[0]["note"], "n");
    company.execute("drop table members").await.unwrap();
    assert_eq!(ask(&plugin, "role", json!(["v1", "u1"])).await, r#"Unavailable("no such table: members")"#);
}

#[tokio::test]
async fn values_keep_their_types_on_both_ways() {
    let directory = tables().await;
    let echo = "echo: select $1 as a, $2 as b, $3 as c, $4 as d, $5 as e";
    let types = "types: select x'00ff' as blob, 9e999 as infinite, active, null as none, 1 as one from members limit 1";
    let plugin = plugin(&directory, &[echo, types], "").await;
    let answer = ask(&plugin, "echo", json!([null, true, -9_007_199_254_740_993_i64, 1.5, "ü\"\n"])).await;
    assert_eq!(answer, json!([{ "a": null, "b": 1, "c": -9_007_199_254_740_993_i64, "d": 1.5, "e": "ü\"\n" }]));
    let answer = ask(&plugin, "types", json!([])).await;
    assert_eq!(answer, json!([{ "blob": "AP8=", "infinite": null, "active": true, "none": null, "one": 1 }]));
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_told_and_not_guessed() {
    let directory = tables().await;
    let plugin = plugin(&directory, &[ROLE], "").await;
    for (params, told) in [
        (json!(["v1"]), "the query takes 2 parameters, 1 were given"),
        (json!(["v1", "u1", 3]), "the query takes 2 parameters, 3 were given"),
        (json!(["v1", { "a": 1 }]), "`$2` is an object"),
        (json!({ "vault": "v1" }), "not a JSON array"),
    ] {
        let answer = ask(&plugin, "role", params).await;
        let answer = answer.as_str().unwrap();
        assert!(answer.starts_with("InvalidParams(") && answer.contains(told), "{answer}");
    }
}

#[tokio::test]
async fn a_query_that_is_none_is_told_at_its_line_with_its_name() {
    let directory = tables().await;
    let (message, line) = refused(&directory, "gone: select role from nowhere").await;
    assert_eq!(message, "component `asks.wasm`: query `gone`: no such table: nowhere");
    assert_eq!(line, 4);
    for (query, told) in [
        ("q: selec role from members", "is not a query"),
        ("q: select role fro members", "syntax error"),
        ("q: select team from members", "no such column: team"),
        ("q: select role from members; select 1", "is more than one statement"),
        ("q: delete from members", "is not a query"),
        ("q: pragma journal_mode = delete", "is not a query"),
        ("q: attach database 'other.db' as other", "is not a query"),
        ("q: vacuum into 'copy.db'", "is not a query"),
        (
            "q: with x as (select 1) insert into members select 1, 2, 3, 4, 5 from x",
            "writes, but a query may only read",
        ),
        ("q: with x as (select 1) delete from members returning *", "writes, but a query may only read"),
        ("q: select $2 as a", "has `$2` but no `$1`"),
        ("q: select role, vault as role from members", "has two columns `role`"),
    ] {
        let (message, _) = refused(&directory, query).await;
        assert!(message.contains(told), "{query}: {message}");
    }
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|file| file.to_str().unwrap().starts_with("t.db")), "{left:?}");
}

#[tokio::test]
async fn a_query_without_an_end_is_ended_and_its_connection_is_free_again() {
    let directory = tables().await;
    let plugin = plugin(&directory, &[ENDLESS, "one: select 1 as one"], "query_time: 100ms").await;
    // More of them than there are connections: were one not freed, the last would wait in vain.
    for _ in 0..3 {
        let endless = (0..4).map(|_| ask(&plugin, "endless", json!([])));
        for answer in futures_util::future::join_all(endless).await {
            assert_eq!(answer, "Timeout");
        }
    }
    let free = async { while ask(&plugin, "one", json!([])).await != json!([{ "one": 1 }]) {} };
    timeout(Duration::from_secs(5), free).await.unwrap();
}

#[tokio::test]
async fn a_query_that_ended_leaves_nothing_to_the_next() {
    let directory = tables().await;
    let plugin =
        plugin(&directory, &["one: select 1 as one", ENDLESS], "wall: 20s, query_time: 5s, queries: 100000").await;
    timeout(Duration::from_millis(50), ask(&plugin, "endless", json!([]))).await.unwrap_err();
    for call in 1..=1000 {
        assert_eq!(ask(&plugin, "one", json!([])).await, json!([{ "one": 1 }]), "call {call}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_query() {
    let directory = tables().await;
    let plugin = plugin(&directory, &[ENDLESS], "").await;
    for _ in 0..4 {
        timeout(Duration::from_millis(300), ask(&plugin, "endless", json!([]))).await.unwrap_err();
    }
    // Other tests have SQLite work beside this one, for a while; a query that went on would never let it rest.
    let rests = async {
        loop {
            let before = processor_time_ms();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if processor_time_ms().saturating_sub(before) < 100 {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), rests).await.expect("a query went on");
}

#[tokio::test]
async fn what_one_step_of_a_query_does_is_bounded_too() {
    let directory = tables().await;
    let queries = ["like: select 1 as one where $1 like $2", "large: select length(zeroblob($1)) as bytes"];
    let plugin = plugin(&directory, &queries, "").await;
    assert_eq!(ask(&plugin, "like", json!(["abc", "a%c"])).await, json!([{ "one": 1 }]));
    // Steps cannot be interrupted, and this one would take for ever.
    let answer = ask(&plugin, "like", json!(["a".repeat(10_000), format!("{}b", "%a".repeat(200))])).await;
    assert!(answer.as_str().is_some_and(|told| told.contains("too complex")), "{answer}");
    let answer = ask(&plugin, "large", json!([17 << 20])).await;
    assert!(answer.as_str().is_some_and(|told| told.contains("too big")), "{answer}");
}

/// What the threads of SQLite in this process have used.
fn processor_time_ms() -> u64 {
    let mut ticks = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        if stat.contains("sqlx-sqlite") {
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks * 10
}

#[tokio::test]
async fn answers_are_bounded_in_rows_and_bytes_and_questions_in_a_second() {
    let directory = tables().await;
    let count = "count: with recursive n(i) as (select 1 union all select i + 1 from n where i < $1) select i from n";
    let long = "long: select printf('%.*c', $1, 'x') as x";
    let plugin = plugin(&directory, &[count, long], "query_rows: 100, query_bytes: 1KiB").await;
    assert_eq!(ask(&plugin, "count", json!([100])).await.as_array().unwrap().len(), 100);
    assert_eq!(ask(&plugin, "count", json!([101])).await, "TooLarge");
    // `[{"x":"` and `"}]` are ten bytes.
    assert_eq!(ask(&plugin, "long", json!([1014])).await[0]["x"].as_str().unwrap().len(), 1014);
    assert_eq!(ask(&plugin, "long", json!([1015])).await, "TooLarge");
    let rare = self::plugin(&directory, &["one: select 1 as one"], "queries: 1").await;
    assert_eq!(ask(&rare, "one", json!([])).await, json!([{ "one": 1 }]));
    assert_eq!(ask(&rare, "one", json!([])).await, "RateLimited");
}

#[tokio::test]
async fn a_state_of_more_rows_or_bytes_than_a_query_may_answer_is_too_large_and_says_which_limit() {
    let directory = tables().await;
    let rows = "rows: with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) select i from n";
    let state = async |limits: &str| {
        let plugin = plugin(&directory, &[rows], limits).await;
        let context = context("board.{query}", "board.rows", Some("u1"));
        plugin.provide(&context).await.map(|state| state.len()).map_err(|fault| (fault.kind, fault.detail))
    };
    assert_eq!(state("").await, Ok(2000), "more than a thousand are no more than a board has");
    for (limits, unit, max) in [("query_rows: 1999", "rows", 1999), ("query_bytes: 1KiB", "bytes", 1024)] {
        let (kind, detail) = state(limits).await.unwrap_err();
        assert_eq!(kind, FaultKind::TooLarge(Exceeded { unit, found: None, max }));
        assert!(
            detail.starts_with(&format!("the answer of a query has more than {max} {unit} (`limits.query_{unit}`)")),
            "{detail}"
        );
    }
    let (kind, detail) = state("snapshot: 1KiB").await.unwrap_err();
    assert!(matches!(kind, FaultKind::TooLarge(Exceeded { unit: "bytes", found: Some(_), max: 1024 })), "{kind:?}");
    assert!(detail.contains("`limits.snapshot` is 1024"), "{detail}");
}

#[tokio::test]
async fn where_nothing_is_served_queries_are_prepared_when_there_is_a_database_and_nothing_is_made() {
    let directory = tables().await;
    let load = async |file: &str, query: &str| {
        let look = Arc::new(SqliteLook::at(directory.path().join(file)));
        let host = host(Services { queries: look.clone(), ..Services::in_memory() });
        (host.load(asks(&granting(&[query], ""))).await, look.has_skipped())
    };
    let (loaded, skipped) = load("t.db", ROLE).await;
    assert!(!skipped);
    assert_eq!(ask(&loaded.unwrap(), "role", json!(["v1", "u2"])).await[0]["role"], "reader");
    assert!(load("t.db", "q: select x from nowhere").await.0.is_err());
    let (loaded, skipped) = load("none.db", ROLE).await;
    assert!(skipped && !directory.path().join("none.db").exists());
    assert!(ask(&loaded.unwrap(), "role", json!(["v1", "u2"])).await.as_str().unwrap().contains("does not exist"));
    assert!(load("none.db", "q: drop table members").await.0.is_err());
}

#[tokio::test]
async fn without_a_database_a_query_is_unavailable_or_not_granted_at_all() {
    let load = async |queries: NoDatabase| {
        let host = host(Services { queries: Arc::new(queries), ..Services::in_memory() });
        host.load(asks(&granting(&[ROLE], ""))).await
    };
    let plugin = load(NoDatabase::Unavailable("not here")).await.unwrap();
    assert_eq!(ask(&plugin, "role", json!(["v1", "u1"])).await, r#"Unavailable("not here")"#);
    let mistakes = load(NoDatabase::Refused("not here")).await.unwrap_err();
    assert_eq!(mistakes[0].message, "component `asks.wasm`: query `role`: not here");
}
