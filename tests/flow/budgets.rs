//! Budgets by team: what a team may have of a node, and what happens beyond it.

use std::time::Duration;

use serde_json::json;
use tidegate_core::flow::ports::{Action, FaultKind, PluginEffect};
use tidegate_core::flow::{Asker, PublishRequest};
use tidegate_core::protocol::{Code, Payload, Refusal};
use tokio::time::advance;

use tidegate_testkit::{CHANNELS, Client, FakePlugins, Server, ServerBuilder, code, event, user};

/// A channel of another feature.
const BLOG: &str = "
feature: blog
channels:
  blog:
    scope: public
    payload: { type: object }
    inbound: { relay: all }
";

/// The channels of `CHANNELS` are one team's, with this budget, and the blog is another's, which has none.
fn sharing(budget: &str) -> ServerBuilder {
    let teams = format!("{{ core: {{ features: [test], {budget} }}, growth: {{ features: [blog] }} }}");
    Server::declaring(CHANNELS).beside(BLOG).teams(&teams)
}

async fn joined(server: &Server, topic: &str) -> Client {
    let client = server.client(user("alice"));
    client.subscribe(topic).await.unwrap();
    client
}

async fn publish(server: &Server, topic: &str) -> Result<(), Refusal> {
    let payload = Payload::from(&json!({ "title": "x", "text": "x" }));
    let request = PublishRequest { topic: topic.to_owned(), payload, key: None };
    server.gates.publish_for_backend(request).await.map(drop)
}

/// How many of ten publications of a backend are taken.
async fn taken(server: &Server, topic: &str) -> usize {
    let mut taken = 0;
    for _ in 0..10 {
        match publish(server, topic).await {
            Ok(()) => taken += 1,
            Err(refusal) => assert_eq!((refusal.code, refusal.code.retry()), (Code::OverBudget, true)),
        }
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn a_team_publishes_what_its_budget_has_at_once_and_then_as_it_renews_and_others_hear_nothing_of_it() {
    let server = sharing("publications: 4/s").start();
    assert_eq!(taken(&server, "news").await, 4);
    assert_eq!(taken(&server, "chat.a").await, 0, "all channels of the team share it");
    assert_eq!(taken(&server, "blog").await, 10);
    assert_eq!(server.delivered().len(), 14);
    advance(Duration::from_millis(500)).await;
    assert_eq!(taken(&server, "news").await, 2);
}

#[tokio::test(start_paused = true)]
async fn every_way_in_counts() {
    let emits = vec![PluginEffect::Emit {
        topic: "news".to_owned(),
        payload: Payload::from(&json!({ "title": "x" })),
        others_only: false,
    }];
    let bridge = "rules: [{ on: told, to: news, payload: '{\"title\": \"x\"}' }]";
    let server = sharing("publications: 4/s").plugins(FakePlugins::emitting(emits)).bridge(bridge).start();
    let (relays, handled) = (joined(&server, "chat.a").await, joined(&server, "ping").await);
    relays.send("chat.a", json!({ "text": "x" })).await.unwrap();
    handled.send("ping", json!({ "n": 1 })).await.unwrap();
    publish(&server, "news").await.unwrap();
    server.bridge(&event("told", json!({}))).await;
    assert_eq!(server.delivered().len(), 4);

    assert_eq!(code(relays.send("chat.a", json!({ "text": "x" })).await), Code::OverBudget);
    assert_eq!(code(handled.send("ping", json!({ "n": 1 })).await), Code::OverBudget);
    assert_eq!(code(publish(&server, "news").await), Code::OverBudget);
    server.bridge(&event("told", json!({}))).await;
    assert_eq!(server.delivered().len(), 4);
    let letters = server.dead_letters.list();
    assert_eq!(letters.len(), 1, "what the bridge cannot bring is kept");
    assert!(letters[0].reason.contains("over_budget"), "{}", letters[0].reason);

    advance(Duration::from_secs(1)).await;
    let again = server.gates.retry(&letters[0]).await.unwrap();
    server.gates.perform(again).await.unwrap();
    assert_eq!(server.delivered().len(), 5, "and crosses when it is tried again");
}

#[tokio::test(start_paused = true)]
async fn the_publications_of_one_call_happen_together_or_not_at_all_and_cost_nothing_if_not() {
    let emit = |topic: &str| PluginEffect::Emit {
        topic: topic.to_owned(),
        payload: Payload::from(&json!({ "title": "x", "text": "x" })),
        others_only: false,
    };
    let three = ["news", "chat.a", "blog"].map(emit).into();
    let server = sharing("publications: 3/s").plugins(FakePlugins::emitting(three)).start();
    let client = joined(&server, "ping").await;
    client.send("ping", json!({ "n": 1 })).await.unwrap();
    assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::OverBudget);
    assert_eq!(server.delivered().len(), 3);
    publish(&server, "news").await.unwrap();
    assert_eq!(server.delivered().len(), 4, "what was refused took nothing of the budget");
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_its_schema_refuses_costs_nothing() {
    let server = sharing("publications: 1/s").start();
    let request = |payload| PublishRequest { topic: "news".to_owned(), payload: Payload::from(&payload), key: None };
    let refused = server.gates.publish_for_backend(request(json!({ "title": 7 }))).await;
    assert_eq!(code(refused), Code::InvalidPayload);
    publish(&server, "news").await.unwrap();
}

#[tokio::test]
async fn a_team_holds_as_many_subscriptions_as_it_has_and_one_more_costs_no_plugin_call() {
    let server = sharing("subscriptions: 2").start();
    let (one, other) = (server.client(user("alice")), server.client(user("bob")));
    one.subscribe("news").await.unwrap();
    other.subscribe("ping").await.unwrap();
    let refusal = other.subscribe("vault.v1").await.unwrap_err();
    assert_eq!((refusal.code, refusal.code.retry()), (Code::OverBudget, true));
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
    other.subscribe("blog").await.unwrap();
    assert!(one.subscribe("news").await.is_ok(), "what is held already costs nothing");

    one.unsubscribe("news").unwrap();
    assert!(other.subscribe("vault.v1").await.is_ok(), "what was left makes room");
    assert_eq!(code(one.subscribe("news").await), Code::OverBudget);
    other.session.close();
    assert!(one.subscribe("news").await.is_ok(), "and so does a connection that ends");
}

#[tokio::test]
async fn who_only_looks_at_a_topic_holds_nothing_of_the_budget() {
    let server = sharing("subscriptions: 1").start();
    let _held = joined(&server, "news").await;
    server.gates.clear_look(&server.client(user("bob")).session, "news").await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_fails_gives_its_part_of_the_budget_back() {
    let server = sharing("subscriptions: 1").plugins(FakePlugins::denying()).start();
    let client = server.client(user("alice"));
    assert_eq!(code(client.subscribe("vault.v1").await), Code::Forbidden);
    client.subscribe("news").await.unwrap();
}

#[tokio::test]
async fn a_reload_that_gives_a_channel_to_another_team_takes_no_subscription_away() {
    let teams = "{ core: { features: [test], subscriptions: 1 }, growth: { features: [blog], subscriptions: 1 } }";
    let server = Server::declaring(BLOG).teams(teams).start();
    let held = joined(&server, "blog").await;
    server.reload(&BLOG.replace("feature: blog", "feature: test"), FakePlugins::silent());
    assert_eq!(held.recheck(), []);
    let client = server.client(user("bob"));
    assert_eq!(code(client.subscribe("blog").await), Code::OverBudget, "it counts in the budget of its new team");
    server.reload(BLOG, FakePlugins::silent());
    assert_eq!(held.recheck(), []);
    held.unsubscribe("blog").unwrap();
    assert!(client.subscribe("blog").await.is_ok());
}

#[tokio::test]
async fn a_plugin_whose_team_is_over_its_budget_is_over_budget_to_the_client_and_loses_nobody_a_topic() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::faulting(FaultKind::OverBudget)).start();
    let client = joined(&server, "ping").await;
    assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::OverBudget);

    let server = Server::declaring(CHANNELS).start();
    let held = joined(&server, "vault.v1").await;
    server.reload(CHANNELS, FakePlugins::authorizer_faulting(FaultKind::OverBudget));
    assert_eq!(held.recheck(), []);
    assert_eq!(held.reauthorize().await, [], "what is held stays, as when the authorizer is away");
    assert_eq!(code(server.client(user("bob")).subscribe("vault.v1").await), Code::OverBudget);
}

#[tokio::test(start_paused = true)]
async fn explain_tells_what_a_team_uses_and_takes_nothing() {
    let server = sharing("publications: 1/s, subscriptions: 2").start();
    let client = joined(&server, "chat.a").await;
    let ask = |topic: &str, action| server.gates.explain(Asker::User(user("bob")), action, topic.to_owned(), None);
    let explained = ask("chat.b", Action::Send).await;
    assert!(explained.allowed(), "{explained:?}");
    let told = |explained: &tidegate_core::flow::Explanation| -> Vec<String> {
        let steps = explained.steps.iter().filter(|step| step.check == "budget");
        steps.map(|step| format!("{} {} ({})", step.gate, step.detail, step.rule.as_deref().unwrap_or("-"))).collect()
    };
    assert_eq!(
        told(&explained),
        [
            "subscribe team `core` holds 1 of 2 subscriptions (`teams.core.subscriptions`)",
            "broadcast team `core` publishes 0 of 1/s publications (`teams.core.publications`)",
        ]
    );
    client.send("chat.a", json!({ "text": "x" })).await.unwrap();
    assert_eq!(ask("chat.b", Action::Send).await.code(), Some("over_budget"));
    client.subscribe("news").await.unwrap();
    assert_eq!(ask("chat.b", Action::Subscribe).await.code(), Some("over_budget"));
    assert!(told(&ask("blog", Action::Send).await).is_empty(), "a team without budgets has nothing to tell");
}

#[tokio::test(start_paused = true)]
async fn what_is_used_and_refused_is_told_by_team_and_budget() {
    let server = sharing("publications: 4/s, subscriptions: 3").start();
    server.gates.budgets().tell();
    let _held = joined(&server, "news").await;
    taken(&server, "news").await;
    advance(Duration::from_secs(1)).await;
    server.gates.budgets().tell();
    let standing = serde_json::to_value(server.gates.budgets().standing()).unwrap();
    assert_eq!(
        standing,
        json!([
            { "team": "core", "budget": "publications", "used": 4.0, "of": 4.0, "refused": 6 },
            { "team": "core", "budget": "subscriptions", "used": 1.0, "of": 3.0, "refused": 0 },
        ])
    );
}

#[tokio::test]
async fn a_dead_letter_counts_in_the_share_of_the_team_of_its_channel() {
    let bridge = "rules: [{ on: told, to: news }, { on: told, to: blog }]";
    let server = sharing("dead_letters: 2").bridge(bridge).start();
    server.bridge(&event("told", json!(7))).await;
    let letters = server.dead_letters.list();
    let told: Vec<_> = letters
        .iter()
        .map(|letter| (letter.rule.to.as_str(), letter.share.as_ref().map(|share| (share.team(), share.max()))))
        .collect();
    assert_eq!(told, [("blog", None), ("news", Some(("core", 2)))]);
    let share = letters[1].share.as_ref().unwrap();
    share.note(2, 1);
    assert!(share.channels().iter().any(|channel| channel == "vault.{vaultId}"), "{share:?}");
    server.gates.dead_letter_gone(&letters[1]);
    let standing = &server.gates.budgets().standing()[0];
    assert_eq!((standing.budget, standing.used, standing.refused), ("dead_letters", 1.0, 1));
}
