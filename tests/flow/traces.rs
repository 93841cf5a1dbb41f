//! One trace through the gates: what a publication carries of the request, the event or the message that it came of.

use serde_json::json;
use tidegate_core::flow::ports::PluginEffect;
use tidegate_core::flow::{Asked, Audience};
use tidegate_core::protocol::{BusEvent, Payload, Recovery, TraceContext};
use tidegate_core::telemetry::{FinishedSpan, current_trace, record_spans, with_trace};

use tidegate_testkit::{CHANNELS, FakeBus, FakePlugins, Server, event, user};

/// A process has one recorder, and what it does changes what these tests see.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const RULES: &str = "rules: [{ on: article.published, to: news }]";

fn trace(number: u128, is_sampled: bool) -> TraceContext {
    TraceContext::begin(number, 7, is_sampled)
}

fn server() -> Server {
    Server::declaring(CHANNELS).bridge(RULES).start()
}

/// Where the newest publication was published.
fn published(server: &Server) -> Option<TraceContext> {
    server.rooms.publications().last().unwrap().trace.clone()
}

async fn publish(server: &Server, trace: Option<TraceContext>) {
    let payload = Payload::from(json!({ "title": "x" }));
    let publish = async { server.gates.broadcast("news", payload) };
    let publication = with_trace(trace, publish).await.unwrap();
    server.gates.perform(vec![tidegate_core::flow::Effect::Deliver(publication)]).await.unwrap();
}

#[tokio::test]
async fn a_trace_that_nobody_records_here_goes_with_the_publication_as_it_came() {
    let _one = ONE_AT_A_TIME.lock().await;
    let server = server();
    for is_sampled in [false, true] {
        publish(&server, Some(trace(0x10, is_sampled))).await;
        assert_eq!(published(&server), Some(trace(0x10, is_sampled)));
    }
    publish(&server, None).await;
    assert_eq!(published(&server), None);
}

#[tokio::test]
async fn an_event_goes_on_in_its_own_trace_or_else_in_that_of_its_request() {
    let _one = ONE_AT_A_TIME.lock().await;
    let server = server();
    let of = |own: Option<TraceContext>| {
        let mut event: BusEvent = event("article.published", json!({ "title": "x" }));
        event.trace = own;
        event
    };
    for (own, request, expected) in [
        (None, None, None),
        (Some(trace(0x20, true)), None, Some(trace(0x20, true))),
        (None, Some(trace(0x21, true)), Some(trace(0x21, true))),
        (Some(trace(0x22, true)), Some(trace(0x23, true)), Some(trace(0x22, true))),
        // A later step of the same trace.
        (Some(trace(0x24, true)), Some(trace(0x24, true).at(8)), Some(trace(0x24, true).at(8))),
    ] {
        let bus = Server::declaring(CHANNELS).bridge(RULES).bus(FakeBus::roomy()).start();
        let put = async { bus.gates.publish_events(vec![of(own.clone())]) };
        with_trace(request, put).await.unwrap();
        let taken = bus.bus.published().pop().unwrap();
        assert_eq!(taken.trace, expected);
        let _pending = server.gates.carry(&taken, Audience::EveryNode).await.unwrap();
        assert_eq!(published(&server), expected);
    }
}

#[tokio::test]
async fn what_a_handler_emits_belongs_to_the_message_that_it_answers() {
    let _one = ONE_AT_A_TIME.lock().await;
    let effects = vec![PluginEffect::Emit {
        topic: "news".to_owned(),
        payload: json!({ "title": "x" }).into(),
        others_only: false,
    }];
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::emitting(effects)).start();
    let client = server.client(user("u1"));
    client.subscribe("ping").await.unwrap();
    let sending = async { client.send("ping", json!({ "n": 1 })).await };
    with_trace(Some(trace(0x30, false)), sending).await.unwrap();
    assert_eq!(published(&server), Some(trace(0x30, false)));
}

#[tokio::test]
async fn the_history_keeps_where_a_publication_was_published_where_the_channel_tells_it() {
    let _one = ONE_AT_A_TIME.lock().await;
    let manifest = "feature: test\nchannels:\n  \
        told: { scope: public, payload: {}, history: { messages: 10 }, delivery: { trace: true } }\n  \
        untold: { scope: public, payload: {}, history: { messages: 10 } }\n";
    let server = Server::declaring(manifest).start();
    for (topic, expected) in [("told", Some(trace(0x40, true))), ("untold", None)] {
        let publish = async { server.gates.broadcast(topic, json!(1).into()) };
        let publication = with_trace(Some(trace(0x40, true)), publish).await.unwrap();
        assert_eq!(publication.trace_shown(), expected.as_ref());
        server.gates.perform(vec![tidegate_core::flow::Effect::Deliver(publication)]).await.unwrap();
        let asked = Asked { topic: topic.to_owned(), since: None, limit: None };
        let Recovery::Whole(kept) = server.gates.history(asked).await.unwrap().recovery else { panic!("{topic}") };
        assert_eq!(kept[0].trace, expected, "{topic}");
    }
}

#[tokio::test]
async fn each_gate_is_a_span_with_its_outcome_and_a_refusal_is_no_error() {
    let _one = ONE_AT_A_TIME.lock().await;
    let server = server();
    let mut spans = record_spans(0.0, 10_000);
    let client = server.client(user("u1"));
    let work = async {
        assert_eq!(current_trace(), Some(trace(0x50, true)));
        client.subscribe("ping").await.unwrap();
        client.subscribe("nowhere").await.unwrap_err();
        publish(&server, current_trace()).await;
    };
    with_trace(Some(trace(0x50, true)), work).await;
    spans.close();
    let mut taken: Vec<FinishedSpan> = Vec::new();
    while spans.take(&mut taken, usize::MAX).await > 0 {}
    taken.retain(|span| span.context.trace_id == 0x50);
    let told: Vec<String> = taken.iter().map(|span| format!("{} {:?}", span.name, span.attributes)).collect();
    let [subscribed, refused, broadcast] = taken.as_slice() else { panic!("{told:?}") };
    assert_eq!(subscribed.name, "gate 2 subscribe");
    assert!(told[0].contains(r#"("tidegate.outcome", Text("ok"))"#) && told[0].contains(r#"Text("ping")"#), "{told:?}");
    assert!(told[1].contains("unknown_channel") && refused.error.is_none(), "{told:?}");
    assert_eq!(broadcast.name, "gate 4 broadcast");
    assert!(taken.iter().all(|span| span.parent == Some(7)));
    assert_eq!(published(&server), Some(broadcast.context.clone()), "what it led to is a part of the gate");
}
