//! The store as the command line meets it: looked at by what serves nothing, needed by what serves.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::project::Project;

const ASKS: &str = "component: asks.wasm
build: cargo build --release --target wasm32-wasip2
grants:
  queries: { role: 'select role from members where person = $1' }
limits: { cpu: 5s, wall: 20s, query_time: 10s }
";
const KEYS: &str = "component: keys.wasm
build: cargo build --release --target wasm32-wasip2
grants: { kv: [b] }
limits: { cpu: 5s, wall: 20s, kv_time: 10s }
";
/// A channel whose handler is the plugin of this name.
fn channel(handler: &str) -> String {
    format!(
        "feature: f\nchannels: {{ f: {{ scope: public, payload: {{}}, inbound: {{ payload: {{}}, handler: {handler} }} }} }}\n"
    )
}

fn asking() -> Project {
    let question = r#"{ "query": "role", "params": ["u1"] }"#;
    let project = Project::new().with_guest("asks", ASKS).write("channels/f.yaml", &channel("asks"));
    project.write("ask.json", question)
}

fn database(project: &Project) -> PathBuf {
    project.path("tidegate.db")
}

/// Makes the company's own table, in the file that the configuration names.
async fn make_table(project: &Project) {
    let options = SqliteConnectOptions::new().filename(database(project)).create_if_missing(true);
    let mut company = options.connect().await.unwrap();
    company
        .execute("create table members (person text, role text); insert into members values ('u1', 'editor')")
        .await
        .unwrap();
}

#[tokio::test]
async fn check_prepares_queries_where_there_is_a_database_and_says_where_there_is_none() {
    let project = asking();
    let unprepared = project.run(&["check"]);
    assert_eq!(unprepared.exit, Some(0), "{}", unprepared.shown());
    assert!(unprepared.shown().contains("so the queries of plugins were not checked"));
    assert!(!database(&project).exists());
    make_table(&project).await;
    let prepared = project.run(&["check"]);
    assert_eq!(prepared.exit, Some(0), "{}", prepared.shown());
    assert!(!prepared.shown().contains("not checked"), "{}", prepared.shown());
    project.replace("plugins/asks/plugin.yaml", &ASKS.replace("members", "nowhere"));
    let wrong = project.run(&["check"]);
    assert_eq!(wrong.exit, Some(65), "{}", wrong.shown());
    assert!(wrong.shown().contains("query `role`: no such table: nowhere"), "{}", wrong.shown());
}

#[test]
fn check_refuses_a_store_that_a_start_would_refuse() {
    let keys = || Project::new().with_guest("keys", KEYS).write("channels/f.yaml", &channel("keys"));
    let with_store = |project: Project, place: &str| {
        let config = project.read("config/tidegate.yaml") + &format!("store: 'sqlite:{place}'\n");
        project.write("config/tidegate.yaml", &config)
    };
    let told = |project: &Project, why: &str| {
        let (checked, served) = (project.run(&["check"]), project.run(&["serve"]));
        assert_eq!((checked.exit, served.exit), (Some(65), Some(65)), "{}\n{}", checked.shown(), served.shown());
        assert!(checked.shown().contains(why), "{}", checked.shown());
        assert!(checked.shown().contains("hint: `store` in tidegate.yaml names the file"), "{}", checked.shown());
    };
    told(&with_store(keys(), "../nowhere/x.db"), "nowhere`: the directory does not exist");
    told(&with_store(keys(), "../channels"), "channels`: it is a directory");
    told(&with_store(keys(), "../channels/f.yaml"), "f.yaml`: file is not a database");
    told(&with_store(asking(), "../nowhere/x.db"), "is granted queries of the store, but the store does not open");
    let fits = with_store(keys(), "../new.db");
    assert_eq!(fits.run(&["check"]).exit, Some(0));
    assert!(!fits.path("new.db").exists(), "a check makes nothing");
}

#[test]
fn check_refuses_a_granted_query_where_there_are_no_tables() {
    let project = asking();
    let config = project.read("config/tidegate.yaml") + "store: 'sqlite::memory:'\n";
    let project = project.write("config/tidegate.yaml", &config);
    let (checked, served) = (project.run(&["check"]), project.run(&["serve"]));
    assert_eq!((checked.exit, served.exit), (Some(65), Some(65)), "{}\n{}", checked.shown(), served.shown());
    assert!(checked.shown().contains("`store: sqlite::memory:` has no tables for queries"), "{}", checked.shown());
}

#[test]
fn plugin_call_keeps_keys_in_the_store_it_is_given() {
    let project = Project::new().with_guest("keys", KEYS).write("order.json", "\"increment b n 1 -\"");
    let call = ["plugin", "call", "keys", "handler", "--topic", "t", "--input", "order.json", "--format", "json"];
    let missing = project.run(&[&call[..], &["--kv", "keys.db"]].concat());
    assert!(missing.exit == Some(69) && missing.shown().contains("keys.db"), "{}", missing.shown());
    let project = project.write("keys.db", "");
    for sum in ["Ok(1)", "Ok(2)"] {
        let output = project.run(&[&call[..], &["--kv", "keys.db"]].concat());
        let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()));
        assert_eq!(told["answer"]["reply"], sum);
    }
}

#[tokio::test]
async fn plugin_call_asks_the_database_it_is_given() {
    let project = asking();
    make_table(&project).await;
    let call = ["plugin", "call", "asks", "handler", "--topic", "t", "--input", "ask.json", "--format", "json"];
    let told = |more: &[&str]| -> Value {
        let output = project.run(&[&call, more].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()))
    };
    let without = told(&[]);
    assert!(without["answer"]["reply"].as_str().unwrap().contains("give one with `--store FILE|URL`"), "{without}");
    let with = told(&["--store", "tidegate.db"]);
    assert_eq!(with["answer"]["reply"][0]["role"], "editor");
    assert_eq!(with["host_calls"]["queries"], 1);
    let missing = project.run(&[&call[..], &["--store", "none.db"]].concat());
    assert!(missing.exit != Some(0) && missing.shown().contains("none.db"), "{}", missing.shown());
}

#[test]
fn plugin_call_keeps_keys_in_memory_and_counts_the_calls() {
    let project = Project::new().with_guest("keys", KEYS).write("order.json", "\"increment b n 1 -\"");
    let call = ["plugin", "call", "keys", "handler", "--topic", "t", "--input", "order.json", "--format", "json"];
    let output = project.run(&call);
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()));
    assert_eq!(told["answer"]["reply"], "Ok(1)");
    assert_eq!(told["host_calls"]["kv"], 1);
    assert!(!database(&project).exists());
}

#[test]
fn a_server_does_not_start_with_a_store_that_is_no_database_and_says_which() {
    let project = Project::new().with_guest("keys", KEYS).write("channels/f.yaml", &channel("keys"));
    let project = project.write("tidegate.db", &"a text file of some length ".repeat(100));
    let refused = project.run(&["serve"]);
    assert_eq!(refused.exit, Some(65), "{}", refused.shown());
    let shown = refused.shown();
    assert!(shown.contains("tidegate.db") && shown.contains("file is not a database"), "{shown}");
    assert!(shown.contains("hint: `store` in tidegate.yaml names the file"), "{shown}");
}

#[test]
fn a_server_whose_store_goes_away_is_not_ready_until_it_is_back() {
    let project = Project::new().with_guest("keys", KEYS).write("channels/f.yaml", &channel("keys"));
    let mut server = project.spawn(&["serve", "--listen", "127.0.0.1:0"]);
    let line: Value = serde_json::from_str(&server.wait_for("server.listening")).unwrap();
    let ready = format!("http://{}/readyz", line["address"].as_str().unwrap());
    let status = || match ureq::get(&ready).call() {
        Ok(response) => response.status().as_u16(),
        Err(ureq::Error::StatusCode(status)) => status,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(status(), 200);
    let (file, kept) = (database(&server.project), server.project.path("kept.db"));
    fs::rename(&file, &kept).unwrap();
    server.wait_for("store.away");
    assert_eq!(status(), 503);
    fs::rename(&kept, &file).unwrap();
    server.wait_for("store.back");
    assert_eq!(status(), 200);
}

#[tokio::test]
async fn check_and_serve_refuse_a_session_query_that_could_let_nobody_in_and_show_where_it_stands() {
    let project = Project::new();
    let options = SqliteConnectOptions::new().filename(database(&project)).create_if_missing(true);
    let mut company = options.connect().await.unwrap();
    let tables = "create table sessions (id text, userId text, until datetime, at integer)";
    company.execute(tables).await.unwrap();
    let asking = |columns: &str| {
        let query = format!("select {columns} from sessions where id = $1");
        let session = format!("auth:\n  providers:\n    - session: {{ cookie: sid, query: \"{query}\" }}\n");
        project.replace("config/tidegate.yaml", &session);
    };
    for (columns, why) in [
        ("userId", "the query for sessions has no column `user_id`"),
        ("userId as user_id, until as expires_at", "column `expires_at` is `datetime`"),
        ("userId as user_id, id as created_at", "column `created_at` is `text`"),
    ] {
        asking(columns);
        for command in ["check", "serve"] {
            let refused = project.run(&[command]);
            assert!(refused.exit.is_some_and(|exit| exit != 0), "{}", refused.shown());
            assert!(refused.shown().contains(why), "{}", refused.shown());
            assert!(refused.shown().contains("tidegate.yaml:3:"), "{}", refused.shown());
        }
    }
    asking("userId as user_id, unixepoch(until) as expires_at, at as created_at");
    let fits = project.run(&["check"]);
    assert_eq!(fits.exit, Some(0), "{}", fits.shown());
}
