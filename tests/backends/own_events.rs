//! The queue of the server's own events: bounded, apart from the bus, and emptied before the end.

use std::sync::Arc;

use serde_json::json;
use tidegate_backends::bus::{OwnEvents, OwnQueue};
use tidegate_core::flow::OwnEvent;
use tidegate_core::flow::ports::Watch;
use tidegate_core::protocol::OwnTypes;
use tokio_util::sync::CancellationToken;

use tidegate_testkit::{CHANNELS, FakeClock, Server};

const OPERATIONS: &str = "\n  operations: { scope: { role: operator }, payload: true }\n";
const RULES: &str =
    "rules:\n  - { on: tidegate.node.draining, to: operations }\n  - { on: tidegate.node.left, to: desk }\n";

fn server() -> Server {
    Server::declaring(&format!("{CHANNELS}{OPERATIONS}")).bridge(RULES).start()
}

fn watch(events_max: usize) -> (OwnEvents, OwnQueue) {
    let (watch, queue) = OwnEvents::new("web-1", Arc::new(FakeClock::stopped()), events_max);
    watch.want(OwnTypes::of(|_| true));
    (watch, queue)
}

async fn run_to_the_end(queue: OwnQueue, server: &Server) {
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    queue.run(server.gates.clone(), shutdown).await;
}

#[tokio::test]
async fn an_event_crosses_the_bridge_although_the_node_drains() {
    let server = server();
    let (watch, queue) = watch(8);
    server.gates.drain();
    watch.saw(OwnEvent::NodeDraining { connections: 2 });
    run_to_the_end(queue, &server).await;
    let told = json!({ "connections": 2, "node": "web-1" });
    assert_eq!(server.delivered(), [("operations".to_owned(), told)]);
    assert!(server.bus.published().is_empty(), "the bus of the applications is not used");
}

#[tokio::test]
async fn an_event_beyond_the_limit_is_dropped_and_the_first_ones_cross() {
    let server = server();
    let (watch, queue) = watch(2);
    for left in ["a", "b", "c"] {
        watch.saw(OwnEvent::NodeLeft { left });
    }
    run_to_the_end(queue, &server).await;
    let left = |(_, payload): (String, serde_json::Value)| payload["left"].clone();
    assert_eq!(server.delivered().into_iter().map(left).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn an_event_whose_crossing_panics_costs_no_other() {
    let server = server();
    let (watch, queue) = watch(8);
    server.rooms.panic_on("operations");
    watch.saw(OwnEvent::NodeDraining { connections: 2 });
    watch.saw(OwnEvent::NodeLeft { left: "web-2" });
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered(), [("desk".to_owned(), json!({ "left": "web-2", "node": "web-1" }))]);
}
