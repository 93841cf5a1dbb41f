//! Greets whoever is named in a message.

use tidegate_plugin::prelude::*;

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

struct Plugin;

impl Handler for Plugin {
    type Payload = Name;

    fn handle(_context: &Context, payload: Name) -> Result<Outcome, Refusal> {
        let greeting: String = config::get("greeting").map_err(Refusal::Failed)?;
        Outcome::reply(&Greeting { text: format!("{greeting}, {}", payload.name) }).done()
    }
}

register!(Plugin: handler);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn a_name_is_greeted() {
        testing::set_config("greeting", &serde_json::json!("ahoy"));
        let name = Name { name: "Ada".to_owned() };
        let outcome = Plugin::handle(&testing::context("greetings"), name).unwrap();
        assert_eq!(outcome.reply_json(), Some(r#"{"text":"ahoy, Ada"}"#));
    }
}
