//! Bridge rules whose payload a plugin makes.

use serde_json::json;
use tidegate_core::flow::Effect;
use tidegate_core::flow::ports::FaultKind;

use tidegate_testkit::{CHANNELS, FakePlugins, Server, event};

const RULES: &str = "
rules:
  - on: article.published
    when: event.data.title != 'draft'
    to: news
    payload: '{\"title\": event.data.title}'
    transform: answerer
  - { on: told, to: desk }
";

fn server(plugins: FakePlugins) -> Server {
    Server::declaring(CHANNELS).bridge(RULES).plugins(plugins).start()
}

#[tokio::test]
async fn the_plugin_gets_the_payload_of_the_rule_and_what_it_makes_crosses() {
    let server = server(FakePlugins::shaping(Some(json!({ "title": "made" }))));
    server.bridge(&event("article.published", json!({ "title": "raw", "more": 1 }))).await;
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": "made" }))]);
    let calls = server.plugins.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].plugin.as_str(), calls[0].topic.as_str()), ("answerer", "news"));
    assert_eq!(calls[0].payload.as_deref(), Some(r#"{"title":"raw"}"#));
}

#[tokio::test]
async fn nothing_means_that_the_event_should_not_cross_and_is_no_dead_letter() {
    let server = server(FakePlugins::shaping(None));
    server.bridge(&event("article.published", json!({ "title": "x" }))).await;
    assert_eq!(server.delivered(), []);
    assert!(server.dead_letters.list().is_empty());
}

#[tokio::test]
async fn an_event_that_the_condition_keeps_out_costs_no_call() {
    let server = server(FakePlugins::silent());
    server.bridge(&event("article.published", json!({ "title": "draft" }))).await;
    server.bridge(&event("told", json!({}))).await;
    assert!(server.plugins.calls().is_empty());
}

#[tokio::test]
async fn a_fault_is_a_dead_letter_that_names_the_plugin_and_what_went_wrong() {
    for fault in [FaultKind::Trap, FaultKind::Timeout, FaultKind::Failed, FaultKind::Overloaded, FaultKind::Missing] {
        let server = server(FakePlugins::transform_faulting(fault));
        server.bridge(&event("article.published", json!({ "title": "x" }))).await;
        assert_eq!(server.delivered(), []);
        let letters = server.dead_letters.list();
        assert_eq!(letters.len(), 1);
        let expected = format!("plugin `answerer` {}: secret detail of the inside", fault.as_str());
        assert_eq!(letters[0].reason, expected, "the operator's list tells it all");
    }
}

#[tokio::test]
async fn what_a_plugin_makes_meets_the_channels_schema() {
    let server = server(FakePlugins::shaping(Some(json!({ "title": 7 }))));
    server.bridge(&event("article.published", json!({ "title": "x" }))).await;
    assert_eq!(server.delivered(), []);
    let letters = server.dead_letters.list();
    assert!(letters[0].reason.contains("/title") && letters[0].reason.contains("news"), "{}", letters[0].reason);
}

#[tokio::test]
async fn a_retry_goes_through_the_transform_again() {
    let letter = {
        let server = server(FakePlugins::transform_faulting(FaultKind::Trap));
        server.bridge(&event("article.published", json!({ "title": "x" }))).await;
        server.dead_letters.list().remove(0)
    };
    let mended = server(FakePlugins::shaping(Some(json!({ "title": "made" }))));
    let effects = mended.gates.retry(&letter).await.unwrap();
    assert!(
        matches!(&effects[..], [Effect::Deliver(publication)] if publication.payload.as_str() == r#"{"title":"made"}"#)
    );
    assert_eq!(mended.plugins.asked(), ["transform"]);
}
