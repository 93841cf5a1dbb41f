//! Answers `{ n }` with `{ pong: n }`, to the sender and to everyone on `realtime-ping`, and tells the bus.

use tidegate_plugin::prelude::*;

#[derive(Deserialize)]
struct Ping {
    n: i64,
}

#[derive(Serialize)]
struct Pong {
    pong: i64,
}

#[derive(Serialize)]
struct Seen<'a> {
    n: i64,
    user: Option<&'a str>,
}

struct PingHandler;

impl Handler for PingHandler {
    type Payload = Ping;

    fn handle(context: &Context, ping: Ping) -> Result<Outcome, Refusal> {
        let pong = Pong { pong: ping.n };
        Outcome::reply(&pong)
            .emit("realtime-ping", &pong)
            .publish("ping.seen", &Seen { n: ping.n, user: context.user_id() })
            .done()
    }
}

register!(PingHandler: handler);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn a_ping_is_answered_with_its_number() {
        let outcome = PingHandler::handle(&testing::context("realtime-ping"), Ping { n: 7 }).unwrap();
        assert_eq!(outcome.reply_json(), Some(r#"{"pong":7}"#));
    }
}
