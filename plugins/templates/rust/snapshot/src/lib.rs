//! Gives the greeting of the config to who subscribes.

use tidegate_plugin::prelude::*;

#[derive(Debug, PartialEq, Serialize)]
struct Greeting {
    text: String,
}

struct Plugin;

impl Snapshot for Plugin {
    type Payload = Greeting;

    fn provide(_context: &Context) -> Result<Vec<Greeting>, String> {
        Ok(vec![Greeting { text: config::get("greeting")? }])
    }
}

register!(Plugin: snapshot);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn the_state_is_the_greeting() {
        testing::set_config("greeting", &serde_json::json!("ahoy"));
        let state = Plugin::provide(&testing::context("greetings"));
        assert_eq!(state, Ok(vec![Greeting { text: "ahoy".to_owned() }]));
    }
}
