//! What happens to the server itself, as bus events: what is told, what is wanted, and what makes no event of its own.

use std::sync::Arc;

use serde_json::json;
use tidegate_core::flow::broker::HearsNodes;
use tidegate_core::flow::ports::{Fault, FaultKind};
use tidegate_core::flow::{OwnEvent, Sieve};
use tidegate_core::protocol::{Code, OwnType, OwnTypes, PluginName};
use tidegate_core::telemetry::Gate;

use tidegate_testkit::{CHANNELS, FakeClock, Server, event};

const OPERATIONS: &str = "
  operations: { scope: { role: operator }, payload: true }
  digits: { scope: { role: operator }, payload: { type: integer } }
";

fn server(rules: &str) -> Server {
    let manifest = format!("{CHANNELS}{OPERATIONS}");
    Server::declaring(&manifest).bridge(&format!("rules:\n{rules}")).start()
}

#[test]
fn only_the_types_that_a_rule_takes_are_wanted() {
    assert_eq!(server("  - { on: article.published, to: news }\n").watch.wanted(), [""; 0]);
    let exact = server("  - { on: tidegate.plugin.fault, to: operations }\n");
    assert_eq!(exact.watch.wanted(), ["tidegate.plugin.fault"]);
    let prefix = server("  - { on: tidegate.node.*, to: operations }\n");
    let nodes = ["tidegate.node.joined", "tidegate.node.draining", "tidegate.node.left"];
    assert_eq!(prefix.watch.wanted(), nodes);
}

#[test]
fn a_reload_of_the_rules_changes_what_is_wanted() {
    let server = server("  - { on: tidegate.plugin.fault, to: operations }\n");
    let rules = "rules:\n  - { on: tidegate.reload.*, to: operations }\n";
    server.reload_with_bridge(&format!("{CHANNELS}{OPERATIONS}"), rules);
    let reloads = ["tidegate.reload.applied", "tidegate.reload.rejected", "tidegate.reload.reverted"];
    assert_eq!(server.watch.wanted(), reloads);
}

#[tokio::test]
async fn a_dead_letter_is_told_with_its_rule_and_without_the_event() {
    let server = server("  - { on: order.shipped, to: digits }\n");
    server.bridge(&event("order.shipped", json!({ "secret": "4711" }))).await;
    let seen = server.watch.seen();
    let id = server.dead_letters.list()[0].id.clone();
    let told = json!({ "id": id, "on": "order.shipped", "to": "digits" });
    assert_eq!(seen, [("tidegate.bridge.dead_letter", told)]);
}

#[tokio::test]
async fn a_rule_that_fails_on_an_event_of_the_server_makes_a_dead_letter_and_no_other_event() {
    let server = server("  - { on: tidegate.*, to: digits }\n");
    server.bridge(&event("tidegate.plugin.fault", json!({ "plugin": "ping" }))).await;
    assert_eq!(server.dead_letters.list().len(), 1);
    assert_eq!(server.watch.seen(), []);
}

#[test]
fn a_node_is_told_to_have_joined_once_it_serves_and_only_once() {
    let server = server("  - { on: tidegate.node.*, to: operations }\n");
    server.gates.hear_link("in", Ok(0));
    assert_eq!(server.watch.seen().last().unwrap().0, "tidegate.broker.back");
    server.gates.serves();
    server.gates.hear_link("out", Err("gone"));
    server.gates.hear_link("out", Ok(2));
    let kinds: Vec<_> = server.watch.seen().into_iter().map(|(kind, _)| kind).collect();
    let expected = ["tidegate.broker.back", "tidegate.node.joined", "tidegate.broker.away", "tidegate.broker.back"];
    assert_eq!(kinds, expected);
}

#[test]
fn the_words_of_a_plugin_are_not_told() {
    let fault = Fault { plugin: PluginName::new("ping"), kind: FaultKind::Trap, detail: "card 4711".to_owned() };
    let told = fault.event(Some("v1"), "news", None).data();
    assert_eq!(json!(told), json!({ "plugin": "ping", "version": "v1", "kind": "trap", "channel": "news" }));
}

fn sieve() -> Sieve {
    let sieve = Sieve::new("web-1", Arc::new(FakeClock::stopped()));
    sieve.want(OwnTypes::of(|own| own != OwnType::NodeLeft));
    sieve
}

const fn refused(gate: Gate) -> OwnEvent<'static> {
    OwnEvent::GateRefused { gate, code: Code::Forbidden, channel: "-", user: None, connection: None, origin: None }
}

#[test]
fn an_event_says_its_node_and_its_time() {
    let event = sieve().sift(OwnEvent::NodeDraining { connections: 3 }).unwrap();
    assert_eq!(event.source, "/tidegate/nodes/web-1");
    assert_eq!(event.time.as_deref(), Some("1970-01-12T13:46:40.000Z"));
    assert_eq!(event.data.value().unwrap(), &json!({ "connections": 3, "node": "web-1" }));
}

#[test]
fn what_nobody_wants_does_not_pass() {
    assert_eq!(sieve().sift(OwnEvent::NodeLeft { left: "web-2" }), None);
    assert_eq!(Sieve::new("web-1", Arc::new(FakeClock::stopped())).sift(OwnEvent::NodeJoined), None);
}

#[tokio::test(start_paused = true)]
async fn a_flood_passes_ten_a_second_and_the_next_one_says_how_many_did_not() {
    let sieve = sieve();
    let passed = (0..1000).filter_map(|_| sieve.sift(refused(Gate::Connect))).count();
    assert_eq!(passed, 10);
    assert!(sieve.sift(refused(Gate::Inbound)).is_some(), "another gate has a count of its own");
    assert!(sieve.sift(OwnEvent::NodeJoined).is_some(), "and so has another type");
    // Longer than the tests take: the seconds are counted from the first event of the process.
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    let next = sieve.sift(refused(Gate::Connect)).unwrap();
    assert_eq!(next.data.value().unwrap()["suppressed"], json!(990));
    let after = sieve.sift(refused(Gate::Connect)).unwrap();
    assert_eq!(after.data.value().unwrap().get("suppressed"), None);
}
