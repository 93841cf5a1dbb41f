//! A plugin that asks the query the payload names, with the parameters the payload gives, and answers with the rows, or with
//! the error as text. As an authorizer and as a snapshot provider it asks the query that the topic's param names, and lets its
//! errors through.

use serde_json::Value;
use tidegate_plugin::prelude::*;
use tidegate_plugin::queries::Query;

struct Asks;

#[derive(Deserialize)]
struct Ask {
    query: String,
    params: Value,
}

impl Handler for Asks {
    type Payload = Ask;

    fn handle(_: &Context, ask: Ask) -> Result<Outcome, Refusal> {
        let rows = Query::new(&ask.query).rows::<Value>(&ask.params);
        Outcome::reply(&rows.map_or_else(|error| format!("{error:?}").into(), Value::from)).done()
    }
}

impl Authorizer for Asks {
    /// Who gets a row may. `patient` never takes no answer for one, `member` is about the user.
    fn authorize(context: &Context, _: &Request) -> Result<Decision, String> {
        let query = context.param("query").unwrap_or_default();
        if query == "patient" {
            while Query::new("endless").rows::<Value>(&()).is_err() {}
        }
        let params: Vec<&str> = context.user_id().into_iter().filter(|_| query == "member").collect();
        let rows = Query::new(query).rows::<Value>(&params).map_err(|error| error.to_string())?;
        Ok(if rows.is_empty() { Decision::deny("no row") } else { Decision::allow() })
    }
}

impl Snapshot for Asks {
    type Payload = Value;

    fn provide(context: &Context) -> Result<Vec<Value>, String> {
        let query = Query::new(context.param("query").unwrap_or_default());
        query.rows(&()).map_err(|error| error.to_string())
    }
}

register!(Asks: handler, authorizer, snapshot);
