//! Recordings of the calls of plugins in a server, and their replay on the same component and on others.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::config::{Secret, SourceFile};
use tidegate_core::flow::ports::{
    Action, AuthorizerCall, ConnectionCall, IdentifyCall, NoRecording, Phase, PluginRoster as _, RecordingWish,
    TransformCall,
};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload, User};
use tidegate_testkit::FakeHttp;
use tidegate_wasm::{
    Factors, HostSettings, Inventory, Plugin, PluginHost, PluginSource, RecordedFile, Replay, Secrets, Services,
};

use crate::kit::{self, context, load, order, send, shipped};

/// A wish for so many calls of this plugin.
fn wish<'a>(plugin: &'a str, calls: usize, pointers: &[&str]) -> RecordingWish<'a> {
    RecordingWish {
        plugin,
        by: "ops",
        calls_max: calls,
        bytes_max: 1 << 20,
        time_max: Duration::from_secs(60),
        recordings_max: 2,
        pointers: pointers.iter().map(ToString::to_string).collect(),
    }
}

fn serving(plugin: &Arc<Plugin>) -> Inventory {
    let inventory = Inventory::default();
    inventory.serve(std::slice::from_ref(plugin), Vec::new());
    inventory
}

/// The file as `tidegate record` writes it.
fn file(head: &Payload, inventory: &Inventory, plugin: &str) -> String {
    let page = inventory.recording(plugin, 0).unwrap();
    let mut text = format!("{}\n", head.as_str());
    page.calls.iter().for_each(|call| text += &format!("{}\n", call.as_str()));
    text + &json!({ "end": page.ended }).to_string()
}

fn lines(file: &str) -> Vec<Value> {
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Replays a file on this component.
async fn replayed(file: &str, source: PluginSource) -> Replay {
    let plugin = load(source).await;
    let trial = kit::host().trial(&plugin).await.unwrap();
    RecordedFile::read(file).unwrap().replay(&trial, Factors::default(), false).await
}

fn kinds(replay: &Replay) -> Vec<(&'static str, usize)> {
    replay.groups.iter().map(|group| (group.kind.as_str(), group.calls)).collect()
}

const SAME: [(&str, usize); 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn the_next_calls_are_recorded_as_the_plugin_saw_them_and_the_same_component_answers_them_alike() {
    let plugin = load(shipped("ping")).await;
    let inventory = serving(&plugin);
    send(&plugin, r#"{"n":0}"#).await.unwrap().unwrap();
    let head = inventory.record(wish("ping", 3, &[])).unwrap();
    for text in [r#"{"n":1}"#, r#"{"n":2.50}"#, r#"{"n":3}"#, r#"{"n":4}"#] {
        let _ = send(&plugin, text).await.unwrap();
    }
    let file = file(&head, &inventory, "ping");
    let told = lines(&file);
    assert_eq!(told[0]["component"], plugin.digest().as_str());
    assert_eq!(told[0]["plugin_yaml"]["grants"]["emit"], json!(["realtime-ping"]));
    assert_eq!(told[1]["payload"], json!({ "n": 1 }), "not the call before the recording began");
    assert!(file.contains(r#""payload":{"n":2.50}"#), "the text that the plugin read: {file}");
    assert_eq!(told[1]["answer"]["reply"], json!({ "pong": 1 }));
    assert_eq!(told[1]["user"]["id"], "u1");
    assert!(told[1]["memory_bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        told[4],
        json!({ "end": { "reason": "calls", "calls": 3, "skipped": 0, "bytes": told[4]["end"]["bytes"] } })
    );
    let replay = replayed(&file, shipped("ping")).await;
    assert_eq!((replay.calls, replay.same, kinds(&replay)), (3, 3, SAME.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_differs_by_kind_and_the_first_one_is_shown() {
    let plugin = load(kit::bad(kit::BAD_MANIFEST)).await;
    let inventory = serving(&plugin);
    let head = inventory.record(wish("bad", 3, &[])).unwrap();
    for deed in ["none", "panic", "none"] {
        let _ = order(&plugin, deed).await;
    }
    let file = file(&head, &inventory, "bad").replace("\"bad\"", "\"ping\"");
    let replay = replayed(&file, shipped("ping")).await;
    let first = &replay.groups[0];
    assert_eq!(replay.same, 0, "{:?}", kinds(&replay));
    assert!(first.first_line == Some(2) && !first.first.is_empty(), "{first:?}");
    assert!(kinds(&replay).contains(&("fault", 1)), "{:?}", kinds(&replay));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_answered_is_answered_again_without_a_store_and_what_was_not_asked_is_told() {
    let grants = "grants: { kv: [b] }\nlimits: { cpu: 5s, wall: 30s, kv_time: 10s }";
    let plugin = load(kit::keys("keys", grants)).await;
    let inventory = serving(&plugin);
    let head = inventory.record(wish("keys", 4, &[])).unwrap();
    for deed in ["put b k one - -", "get b k", "increment b n 5 -", "get b none"] {
        send(&plugin, &Value::from(deed).to_string()).await.unwrap().unwrap();
    }
    let file = file(&head, &inventory, "keys");
    assert_eq!(lines(&file)[1]["imports"][0]["import"], "kv.put");
    let replay = replayed(&file, kit::keys("keys", grants)).await;
    assert_eq!((replay.same, kinds(&replay)), (4, SAME.to_vec()));
    // A version that asks for another key.
    let other = file.replace("\"payload\":\"get b k\"", "\"payload\":\"get b other\"");
    let replay = replayed(&other, kit::keys("keys", grants)).await;
    assert_eq!(kinds(&replay), [("reply", 1), ("import-missing", 1), ("import-unused", 1)]);
    assert_eq!(replay.groups[1].first, [r#"kv.get ["b","other"]"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_credentials_and_what_the_operator_names_stand_nowhere_and_the_replay_fits_all_the_same() {
    let secret = Secret::from("s3cret-value".to_owned());
    let given = Secrets::Given(Arc::new([("API_TOKEN".to_owned(), secret)].into()));
    let services = Services { secrets: given, ..Services::in_memory() };
    let host =
        PluginHost::with_services(HostSettings { instances_max: 8, ..HostSettings::default() }, services).unwrap();
    let source = || kit::reaching("grants: { secrets: [API_TOKEN] }\nlimits: { cpu: 5s, wall: 30s }");
    let plugin = host.load(source()).await.unwrap();
    let inventory = serving(&plugin);
    let head = inventory.record(wish("reach", 1, &["/user/id"])).unwrap();
    let reply = kit::reply(send(&plugin, "\"secret API_TOKEN\"").await);
    assert!(reply.contains("s3cret-value"), "{reply}");
    let file = file(&head, &inventory, "reach");
    assert!(!file.contains("s3cret-value") && !file.contains("u1"), "{file}");
    assert_eq!(lines(&file)[0]["redacted"]["secrets"], json!(["API_TOKEN"]));
    let services = Services { may_lack_secrets: true, ..Services::in_memory() };
    let offline =
        PluginHost::with_services(HostSettings { instances_max: 8, ..HostSettings::default() }, services).unwrap();
    let trial = offline.trial(&offline.load(source()).await.unwrap()).await.unwrap();
    let replay = RecordedFile::read(&file).unwrap().replay(&trial, Factors::default(), false).await;
    assert_eq!(kinds(&replay), SAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_is_recorded_and_replayed() {
    let source = || kit::kinds("kinds", kit::KINDS_MANIFEST);
    let plugin = load(source()).await;
    let inventory = serving(&plugin);
    let head = inventory.record(wish("kinds", 5, &[])).unwrap();
    let context = context("vault.{vaultId}", "vault.v1", Some("alice"));
    let credential = Payload::from(json!({ "token": "t0ken-of-alice" }));
    let connection = ConnectionId::new("c7");
    let _ = plugin.authorize(AuthorizerCall { context: &context, action: Action::Subscribe, payload: None }).await;
    let _ = plugin.identify(IdentifyCall { connection: &connection, credential: &credential }).await;
    let _ = plugin.provide(&context).await;
    let event = BusEvent::parse(r#"{"specversion":"1.0","type":"a.b","source":"/s","id":"1","data":{"n":1}}"#).unwrap();
    let call = TransformCall { channel: "vault.{vaultId}", event: &event, topic: "vault.v1", payload: &event.data };
    let _ = plugin.transform(call).await;
    let user = User::new("alice", Vec::new(), None);
    let _ =
        plugin.changed(ConnectionCall { connection: &connection, user: Some(&user), phase: Phase::Connected }).await;
    let file = file(&head, &inventory, "kinds");
    assert!(!file.contains("t0ken-of-alice"), "{file}");
    let told: Vec<Value> = lines(&file)[1..6].iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(told, ["authorizer", "authorizer", "snapshot", "transform", "connection"]);
    let replay = replayed(&file, source()).await;
    let of_others: Vec<_> = replay.groups.iter().filter(|group| group.first_line != Some(3)).collect();
    assert!(of_others.is_empty(), "only the credential is another one: {of_others:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_answers_are_played_and_nothing_leaves_the_process() {
    let http = FakeHttp::serving("https://api.test/x", "{}");
    let services = Services { http, ..Services::in_memory() };
    let host =
        PluginHost::with_services(HostSettings { instances_max: 8, ..HostSettings::default() }, services).unwrap();
    let lines_of = "grants: { http: ['https://api.test'] }\nlimits: { cpu: 5s, wall: 30s }";
    let plugin = host.load(kit::fetching(lines_of)).await.unwrap();
    let inventory = serving(&plugin);
    let head = inventory.record(wish("fetch", 1, &[])).unwrap();
    let _ = send(&plugin, "\"GET https://api.test/x authorization:zzzz\"").await.unwrap();
    let file = file(&head, &inventory, "fetch");
    let import = &lines(&file)[1]["imports"][0];
    assert_eq!((&import["import"], &import["answer"]["ok"]["status"]), (&json!("http.send"), &json!(200)), "{file}");
    assert_eq!(import["asked"]["headers"], json!([["authorization", "[redacted]"]]));
    let replay = replayed(&file, kit::fetching(lines_of)).await;
    assert_eq!(kinds(&replay), SAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_bounded_and_one_plugin_has_one() {
    let plugin = load(shipped("ping")).await;
    let inventory = serving(&plugin);
    assert_eq!(inventory.record(wish("other", 1, &[])), Err(NoRecording::NoPlugin));
    assert_eq!(inventory.record(RecordingWish { recordings_max: 0, ..wish("ping", 1, &[]) }), Err(NoRecording::Full));
    assert!(matches!(inventory.record(wish("ping", 1, &["payload"])), Err(NoRecording::Pointers(_))));
    inventory.record(RecordingWish { bytes_max: 600, ..wish("ping", 100, &[]) }).unwrap();
    assert_eq!(inventory.record(wish("ping", 1, &[])), Err(NoRecording::Running { by: "ops".to_owned() }));
    for _ in 0..4 {
        send(&plugin, r#"{"n":1}"#).await.unwrap().unwrap();
    }
    let ended = inventory.recording("ping", 0).unwrap().ended.unwrap();
    assert!(ended.reason == "bytes" && ended.bytes <= 600, "{ended:?}");
    inventory.record(wish("ping", 1, &[])).unwrap();
    assert_eq!(inventory.end_recording("ping").unwrap().reason, "stopped");
    assert_eq!(inventory.recording("ping", 0), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_ends_when_another_version_serves() {
    let plugin = load(shipped("ping")).await;
    let inventory = serving(&plugin);
    inventory.record(wish("ping", 100, &[])).unwrap();
    send(&plugin, r#"{"n":1}"#).await.unwrap().unwrap();
    let next = load(kit::with_manifest(shipped("ping"), &format!("{}\n# next\n", shipped("ping").manifest.text))).await;
    inventory.serve(std::slice::from_ref(&next), vec![plugin.clone()]);
    send(&next, r#"{"n":2}"#).await.unwrap().unwrap();
    send(&plugin, r#"{"n":3}"#).await.unwrap().unwrap();
    let page = inventory.recording("ping", 0).unwrap();
    assert_eq!((page.calls.len(), page.ended.unwrap().reason), (1, "replaced"));
}

#[test]
fn what_is_no_recording_is_told_with_its_line() {
    let told = |text: &str| RecordedFile::read(text).err().map(|bad| bad.to_string()).unwrap_or_default();
    assert_eq!(told(""), "line 1: this is not a recording of `tidegate record`");
    assert_eq!(told("{\"tidegate_recording\":2}"), "line 1: the format is 2, this version reads 1");
    let file = SourceFile { path: String::new(), text: "{\"tidegate_recording\":1}\n\n{\"kind\":\"x\"}\n".to_owned() };
    assert!(told(&file.text).starts_with("line 3: unknown variant `x`"), "{}", told(&file.text));
}
