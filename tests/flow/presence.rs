//! Presence: who is told of whom, when, and what the ack of a subscribe says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::protocol::{Code, Payload, Refusal, SubscribeReceipt, SubscribeRequest, Topic};
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use tidegate_testkit::{Client, FakePlugins, Server, ServerBuilder, code, user};

const CHANNELS: &str = r#"
feature: test
channels:
  hall:
    scope: public
    payload: true
    presence: true
  lounge:
    scope: public
    payload: true
    presence:
      debounce: 10s
      members: 2
      info: { type: object, required: [mood], properties: { mood: { type: string } }, additionalProperties: false }
  desk:
    scope: { role: editor }
    payload: true
  plain:
    scope: public
    payload: true
"#;

const BRIDGE: &str = r"
rules:
  - { on: tidegate.channel.*, to: desk }
  - { on: tidegate.member.joined, to: desk }
  - { on: tidegate.member.left, to: desk }
";

/// A server that tells presence, until it is dropped.
struct Telling {
    server: Server,
    _telling: DropGuard,
}

fn start(builder: ServerBuilder) -> Telling {
    let server = builder.start();
    let shutdown = CancellationToken::new();
    tokio::spawn(server.gates.clone().tell_presence(shutdown.clone()));
    Telling { server, _telling: shutdown.drop_guard() }
}

fn telling() -> Telling {
    start(Server::declaring(CHANNELS))
}

impl Telling {
    /// What was told so far, each once.
    fn told(&self) -> Vec<Value> {
        self.server.rooms.presence()
    }

    /// What is told within so many seconds.
    async fn within(&self, seconds: u64) -> Vec<Value> {
        sleep(Duration::from_millis(seconds * 1000 + 1)).await;
        self.told()
    }
}

async fn subscribe(client: &Client, topic: &str, info: Value) -> Result<SubscribeReceipt, Refusal> {
    let info = Some(Payload::from(info)).filter(|info| info.as_str() != "null");
    client.join(SubscribeRequest { info, ..SubscribeRequest::to(topic) }).await
}

async fn present(client: &Client, topic: &str) -> Value {
    serde_json::to_value(client.subscribe(topic).await.unwrap().presence.unwrap()).unwrap()
}

fn users(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "user": name })).collect()
}

fn change(topic: &str, joined: &[&str], left: &[&str], count: usize) -> Value {
    json!({ "type": "presence", "channel": topic, "joined": users(joined), "left": users(left), "count": count })
}

#[tokio::test(start_paused = true)]
async fn the_ack_says_who_is_there_oneself_included_and_a_user_is_one_however_many_connections() {
    let telling = telling();
    let (alice, phone, bob) = (
        telling.server.client(user("alice")),
        telling.server.client(user("alice")),
        telling.server.client(user("bob")),
    );
    assert_eq!(present(&alice, "hall").await, json!({ "count": 1, "members": users(&["alice"]) }));
    assert_eq!(present(&phone, "hall").await, json!({ "count": 1, "members": users(&["alice"]) }));
    assert_eq!(present(&bob, "hall").await, json!({ "count": 2, "members": users(&["alice", "bob"]) }));
    let anonymous = telling.server.client(None);
    assert_eq!(present(&anonymous, "hall").await, json!({ "count": 3, "members": users(&["alice", "bob"]) }));
    assert_eq!(telling.server.client(user("x")).subscribe("plain").await.unwrap().presence, None);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_together_and_once_a_second_at_most() {
    let telling = telling();
    let alice = telling.server.client(user("alice"));
    alice.subscribe("hall").await.unwrap();
    assert_eq!(telling.within(0).await, [change("hall", &["alice"], &[], 1)], "the first change is told at once");
    let crowd: Vec<Client> = ["bob", "carol", "dave"].map(|name| telling.server.client(user(name))).into();
    for client in &crowd {
        client.subscribe("hall").await.unwrap();
        advance(Duration::from_millis(200)).await;
    }
    assert_eq!(telling.told().len(), 1, "not yet");
    let told = telling.within(1).await;
    assert_eq!(told[1..], [change("hall", &["bob", "carol", "dave"], &[], 4)]);
    assert_eq!(telling.within(10).await.len(), 2, "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_told_after_the_debounce_and_not_at_all_when_the_user_is_back_before() {
    let telling = telling();
    let (alice, bob) = (telling.server.client(user("alice")), telling.server.client(user("bob")));
    alice.subscribe("hall").await.unwrap();
    bob.subscribe("hall").await.unwrap();
    let before = telling.within(5).await.len();
    bob.session.close();
    assert_eq!(telling.within(2).await.len(), before);
    let back = telling.server.client(user("bob"));
    back.subscribe("hall").await.unwrap();
    assert_eq!(telling.within(20).await.len(), before, "back before: nothing is told");
}

#[tokio::test(start_paused = true)]
async fn a_user_leaves_with_the_last_connection_whatever_ended_it() {
    let telling = telling();
    let alice = telling.server.client(user("alice"));
    alice.subscribe("hall").await.unwrap();
    for way in ["unsubscribe", "close", "reload"] {
        let (bob, phone) = (telling.server.client(user("bob")), telling.server.client(user("bob")));
        bob.subscribe("hall").await.unwrap();
        phone.subscribe("hall").await.unwrap();
        let before = telling.within(5).await.len();
        bob.unsubscribe("hall").unwrap();
        assert_eq!(telling.within(10).await.len(), before, "{way}: the phone is still there");
        let began = Instant::now();
        match way {
            "unsubscribe" => drop(phone.unsubscribe("hall").unwrap()),
            "close" => drop(phone.session.close()),
            _ => {
                telling.server.reload(&CHANNELS.replace("hall:", "hall.{room}:"), FakePlugins::silent());
                phone.recheck();
            }
        }
        while telling.told().len() == before {
            sleep(Duration::from_millis(10)).await;
        }
        let told = telling.told();
        assert_eq!(told[before], change("hall", &[], &["bob"], 1), "{way}");
        let after = began.elapsed().as_secs_f64();
        assert!((3.0..4.1).contains(&after), "{way}: told after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_connection_is_counted_and_has_no_name() {
    let telling = telling();
    let (alice, anonymous) = (telling.server.client(user("alice")), telling.server.client(None));
    alice.subscribe("hall").await.unwrap();
    telling.within(2).await;
    anonymous.subscribe("hall").await.unwrap();
    let counted = telling.within(1).await;
    assert_eq!(counted[1..], [change("hall", &[], &[], 2)]);
    anonymous.session.close();
    assert_eq!(telling.within(2).await[2..], [change("hall", &[], &[], 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_info_of_the_newest_connection_wins_and_a_changed_one_is_told_as_joined() {
    let telling = telling();
    let (laptop, phone) = (telling.server.client(user("alice")), telling.server.client(user("alice")));
    let receipt = subscribe(&laptop, "lounge", json!({ "mood": "calm" })).await.unwrap();
    let members = receipt.presence.unwrap().members.unwrap();
    assert_eq!(serde_json::to_value(members).unwrap(), json!([{ "user": "alice", "info": { "mood": "calm" } }]));
    telling.within(2).await;
    subscribe(&phone, "lounge", json!({ "mood": "busy" })).await.unwrap();
    let told = telling.within(2).await;
    assert_eq!(told[1]["joined"], json!([{ "user": "alice", "info": { "mood": "busy" } }]));
    subscribe(&laptop, "lounge", Value::Null).await.unwrap();
    assert_eq!(telling.within(2).await.len(), 2, "who says nothing changes nothing");
    phone.unsubscribe("lounge").unwrap();
    assert_eq!(telling.within(2).await[2]["joined"], json!([{ "user": "alice", "info": { "mood": "calm" } }]));
}

#[tokio::test(start_paused = true)]
async fn info_meets_its_schema_and_its_limit_or_the_subscription_is_refused() {
    let telling = start(Server::declaring(CHANNELS).limits(|limits| limits.info_bytes_max = 30));
    let alice = telling.server.client(user("alice"));
    let refusal = subscribe(&alice, "lounge", json!({ "mood": 7 })).await.unwrap_err();
    assert_eq!(refusal.code, Code::InvalidPayload);
    assert_eq!(refusal.details.unwrap()["violations"][0]["path"], "/mood");
    let refusal = subscribe(&alice, "lounge", json!({ "mood": "x".repeat(30) })).await.unwrap_err();
    assert_eq!((refusal.code, refusal.details), (Code::PayloadTooLarge, Some(json!({ "bytes": 41, "bytes_max": 30 }))));
    assert_eq!(code(subscribe(&alice, "hall", json!({})).await), Code::InvalidPayload, "no schema, no info");
    assert_eq!(code(subscribe(&alice, "plain", json!({})).await), Code::NoPresence);
    assert!(!alice.holds("lounge") && !alice.holds("hall") && !alice.holds("plain"));
}

#[tokio::test(start_paused = true)]
async fn beyond_members_there_are_counts_only_and_everybody_is_told_when_they_fit_again() {
    let telling = telling();
    let clients: Vec<Client> = ["alice", "bob", "carol"].map(|name| telling.server.client(user(name))).into();
    clients[0].subscribe("lounge").await.unwrap();
    clients[1].subscribe("lounge").await.unwrap();
    telling.within(2).await;
    assert_eq!(present(&clients[2], "lounge").await, json!({ "count": 3 }));
    let told = telling.within(2).await;
    assert_eq!(told.last().unwrap(), &json!({ "type": "presence", "channel": "lounge", "count": 3 }));
    clients[1].unsubscribe("lounge").unwrap();
    let told = telling.within(12).await;
    assert_eq!(told.last().unwrap(), &change("lounge", &["alice", "carol"], &[], 2));
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_no_leave() {
    let telling = telling();
    let (alice, bob) = (telling.server.client(user("alice")), telling.server.client(user("bob")));
    alice.subscribe("hall").await.unwrap();
    bob.subscribe("hall").await.unwrap();
    let before = telling.within(2).await.len();
    telling.server.gates.drain();
    bob.session.close();
    assert_eq!(telling.within(60).await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn more_members_than_the_node_holds_are_refused() {
    let telling = start(Server::declaring(CHANNELS).limits(|limits| limits.presence_members_max = 2));
    let clients: Vec<Client> = ["alice", "bob", "bob"].map(|name| telling.server.client(user(name))).into();
    for client in &clients {
        client.subscribe("hall").await.unwrap();
    }
    let carol = telling.server.client(user("carol"));
    assert_eq!(code(carol.subscribe("hall").await), Code::Unavailable);
    assert!(!carol.holds("hall"));
    clients[0].unsubscribe("hall").unwrap();
    telling.within(5).await;
    carol.subscribe("hall").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_declares_presence_counts_those_who_are_there() {
    let telling = telling();
    let alice = telling.server.client(user("alice"));
    alice.subscribe("plain").await.unwrap();
    let before = telling.within(2).await.len();
    telling.server.reload(&CHANNELS.replace("plain:\n", "plain:\n    presence: true\n"), FakePlugins::silent());
    alice.recheck();
    assert_eq!(telling.within(2).await[before..], [change("plain", &["alice"], &[], 1)]);
    telling.server.reload(CHANNELS, FakePlugins::silent());
    alice.recheck();
    assert_eq!(telling.server.gates.present("plain").await, Err(Code::NoPresence.into()));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_takes_no_such_info_forgets_it_and_another_reload_keeps_what_fits() {
    let telling = telling();
    let alice = telling.server.client(user("alice"));
    subscribe(&alice, "lounge", json!({ "mood": "calm" })).await.unwrap();
    telling.server.reload(&CHANNELS.replace("members: 2", "members: 3"), FakePlugins::silent());
    alice.recheck();
    let fits = telling.server.gates.present("lounge").await.unwrap();
    assert_eq!(serde_json::to_value(fits.members).unwrap(), json!([{ "user": "alice", "info": { "mood": "calm" } }]));
    telling.server.reload(&CHANNELS.replace("mood", "seat"), FakePlugins::silent());
    alice.recheck();
    let other = telling.server.gates.present("lounge").await.unwrap();
    assert_eq!(serde_json::to_value(other.members).unwrap(), users(&["alice"]));
    assert_eq!(alice.session.info(&Topic::parse("lounge").unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn rules_take_what_becomes_of_topics_and_users() {
    let telling = start(Server::declaring(CHANNELS).bridge(BRIDGE));
    let (alice, phone) = (telling.server.client(user("alice")), telling.server.client(user("alice")));
    alice.subscribe("hall").await.unwrap();
    phone.subscribe("hall").await.unwrap();
    telling.within(2).await;
    alice.session.close();
    phone.session.close();
    telling.within(10).await;
    let events = telling.server.bus.published();
    let seen: Vec<(&str, Value)> =
        events.iter().map(|event| (event.kind.as_str(), event.data.value().unwrap().clone())).collect();
    let of_topic = json!({ "channel": "hall", "topic": "hall" });
    let of_user = json!({ "channel": "hall", "topic": "hall", "user": "alice" });
    assert_eq!(
        seen,
        [
            ("tidegate.channel.occupied", of_topic.clone()),
            ("tidegate.member.joined", of_user.clone()),
            ("tidegate.member.left", of_user),
            ("tidegate.channel.vacated", of_topic),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_hears_who_is_there_and_a_channel_without_presence_says_so() {
    let telling = telling();
    let gates: &Arc<_> = &telling.server.gates;
    assert_eq!(
        serde_json::to_value(gates.present("hall").await.unwrap()).unwrap(),
        json!({ "count": 0, "members": [] })
    );
    let (alice, anonymous) = (telling.server.client(user("alice")), telling.server.client(None));
    alice.subscribe("hall").await.unwrap();
    anonymous.subscribe("hall").await.unwrap();
    let occupancy = serde_json::to_value(gates.occupancy("hall").await.unwrap()).unwrap();
    assert_eq!(occupancy, json!({ "count": 2, "users": 1, "anonymous": 1 }));
    assert_eq!(code(gates.present("plain").await), Code::NoPresence);
    assert_eq!(code(gates.occupancy("nothing").await), Code::UnknownChannel);
}

#[tokio::test(start_paused = true)]
async fn who_is_on_another_node_is_in_the_ack_and_is_told_when_it_changes() {
    let telling = telling();
    let others = &telling.server.shared_members;
    others.add_nodes();
    others.set_elsewhere("hall", &["bob", "carol"]);
    let alice = telling.server.client(user("alice"));
    let all = json!({ "count": 3, "members": users(&["alice", "bob", "carol"]) });
    assert_eq!(present(&alice, "hall").await, all);
    telling.within(2).await;
    others.set_elsewhere("hall", &["alice", "carol", "dave"]);
    let told = telling.within(2).await;
    assert_eq!(told.last().unwrap(), &change("hall", &["dave"], &["bob"], 3), "alice is one on both");
    alice.session.close();
    let told = telling.within(10).await;
    assert_eq!(told.last().unwrap(), &change("hall", &["dave"], &["bob"], 3), "alice is still there");
    let elsewhere = serde_json::to_value(telling.server.gates.present("hall").await.unwrap()).unwrap();
    assert_eq!(elsewhere["count"], 3, "a node without subscribers asks the others");
}

#[tokio::test(start_paused = true)]
async fn the_other_nodes_hear_what_changed_and_everything_after_they_were_away() {
    let telling = telling();
    let others = &telling.server.shared_members;
    others.add_nodes();
    let (alice, bob) = (telling.server.client(user("alice")), telling.server.client(user("bob")));
    alice.subscribe("hall").await.unwrap();
    telling.within(2).await;
    bob.subscribe("hall").await.unwrap();
    telling.within(2).await;
    let names = |update: &tidegate_core::flow::ports::MembersUpdate| {
        let topic = &update.topics[0];
        let mut names: Vec<String> =
            topic.users.iter().map(|(who, there)| format!("{} {}", who.user, there.is_some())).collect();
        names.sort();
        (names.join(", "), update.is_whole)
    };
    let updates = others.updates();
    let last = names(updates.last().unwrap());
    assert_eq!(last, ("bob true".to_owned(), false));
    others.set_away(true);
    bob.unsubscribe("hall").unwrap();
    telling.within(5).await;
    others.set_away(false);
    telling.within(2).await;
    let updates = others.updates();
    assert_eq!(names(updates.last().unwrap()), ("alice true".to_owned(), true));
    assert_eq!(telling.told().last().unwrap()["left"], users(&["bob"]), "this node tells its own meanwhile");
}

#[tokio::test(start_paused = true)]
async fn with_nodes_the_events_are_those_of_all_nodes_together() {
    let telling = start(Server::declaring(CHANNELS).bridge(BRIDGE));
    let others = &telling.server.shared_members;
    others.add_nodes();
    let alice = telling.server.client(user("alice"));
    alice.subscribe("hall").await.unwrap();
    telling.within(3).await;
    assert_eq!(telling.server.bus.published(), [], "another node has alice, too: nobody came");
    others.turn("hall", tidegate_core::protocol::PresenceTurn::Left, "bob");
    telling.within(3).await;
    let events = telling.server.bus.published();
    let left = json!({ "channel": "hall", "topic": "hall", "user": "bob" });
    assert_eq!((events[0].kind.as_str(), events[0].data.value().unwrap()), ("tidegate.member.left", &left));
    assert_eq!(events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn names_that_have_no_room_in_an_ack_are_left_out_and_the_count_is_told() {
    let telling = start(Server::declaring(CHANNELS).limits(|limits| limits.ack_bytes_max = 100));
    let clients: Vec<Client> = ["alice", "bob", "carol", "dave"].map(|name| telling.server.client(user(name))).into();
    for (client, count) in clients.iter().zip(1..=3) {
        assert_eq!(present(client, "hall").await["members"].as_array().map(Vec::len), Some(count));
    }
    assert_eq!(present(&clients[3], "hall").await, json!({ "count": 4 }));
}
