//! Makes a greeting of every event that has a name, and keeps the others from crossing.

use tidegate_plugin::prelude::*;

#[derive(Deserialize)]
struct Visitor {
    name: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Greeting {
    text: String,
}

struct Plugin;

impl Transform for Plugin {
    type Payload = Visitor;
    type Published = Greeting;

    fn apply(_crossing: &Crossing, visitor: Visitor) -> Result<Option<Greeting>, String> {
        let Some(name) = visitor.name else { return Ok(None) };
        let greeting: String = config::get("greeting")?;
        Ok(Some(Greeting { text: format!("{greeting}, {name}") }))
    }
}

register!(Plugin: transform);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn a_name_is_greeted_and_none_is_dropped() {
        testing::set_config("greeting", &serde_json::json!("ahoy"));
        let made = |name: Option<&str>| {
            let visitor = Visitor { name: name.map(str::to_owned) };
            Plugin::apply(&testing::crossing("visitor.came", &serde_json::json!({}), "greetings"), visitor)
        };
        assert_eq!(made(Some("Ada")), Ok(Some(Greeting { text: "ahoy, Ada".to_owned() })));
        assert_eq!(made(None), Ok(None));
    }
}
