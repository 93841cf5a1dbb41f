//! A plugin of the contract's first version, 0.1, which hosts of today serve: `wit/` here is that contract as it was. Of every
//! kind, so that each function of it is called.

wit_bindgen::generate!({
    inline: "
        package tests:first;
        world first {
            include tidegate:plugin/handler-plugin@0.1.0;
            include tidegate:plugin/authorizer-plugin@0.1.0;
            include tidegate:plugin/snapshot-plugin@0.1.0;
            include tidegate:plugin/transform-plugin@0.1.0;
            include tidegate:plugin/connection-plugin@0.1.0;
            import tidegate:sql/queries@0.1.0;
        }
    ",
    path: "wit",
    world: "tests:first/first",
    generate_all,
});

use exports::tidegate::plugin::authorizer::{Action, Decision, Grant};
use exports::tidegate::plugin::connection::{Peer, Phase};
use exports::tidegate::plugin::transform::Crossing;
use exports::tidegate::plugin::{authorizer, connection, handler, snapshot, transform};
use tidegate::plugin::types::{Audience, Context, Effect, Emit, Outcome, Refusal, User};
use tidegate::sql::queries;

struct First;

impl handler::Guest for First {
    fn handle(_: Context, payload: String) -> Result<Outcome, Refusal> {
        Ok(Outcome { reply: Some(payload), effects: Vec::new() })
    }
}

impl authorizer::Guest for First {
    /// Whoever connects is `u1`. The param names the query that decides: who gets a row may. An error of it is let through.
    fn authorize(ctx: Context, action: Action, _: Option<String>) -> Result<Decision, String> {
        if matches!(action, Action::Connect) {
            let user = User { id: "u1".to_owned(), roles: vec!["reader".to_owned()], tenant: None };
            return Ok(Decision::Allow(Grant { ttl_ms: 1000, user: Some(user) }));
        }
        let query = ctx.params.first().map(|(_, value)| value.as_str()).unwrap_or_default();
        let rows = queries::run(query, "[]").map_err(|error| format!("{error:?}"))?;
        Ok(match rows.as_str() {
            "[]" => Decision::Deny("no row".to_owned()),
            _ => Decision::Allow(Grant { ttl_ms: 0, user: None }),
        })
    }
}

impl snapshot::Guest for First {
    fn provide(ctx: Context) -> Result<Vec<String>, String> {
        Ok(vec![format!("{:?}", ctx.topic)])
    }
}

impl transform::Guest for First {
    fn apply(crossing: Crossing) -> Result<Option<String>, String> {
        Ok(Some(crossing.payload))
    }
}

impl connection::Guest for First {
    fn changed(_: Peer, phase: Phase) -> Result<Vec<Effect>, String> {
        let payload = format!("{:?}", format!("{phase:?}"));
        Ok(vec![Effect::Emit(Emit { topic: "lobby".to_owned(), payload, to: Audience::Others })])
    }
}

export!(First);
