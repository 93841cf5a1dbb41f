//! Lets the users listed in the config in, and nobody else.

use tidegate_plugin::prelude::*;

struct Plugin;

impl Authorizer for Plugin {
    fn authorize(context: &Context, _request: &Request) -> Result<Decision, String> {
        let Some(user) = context.user_id() else { return Ok(Decision::deny("anonymous")) };
        let members: Vec<String> = config::get("members")?;
        Ok(if members.iter().any(|member| member == user) {
            Decision::allow()
        } else {
            Decision::deny(format!("`{user}` is no member"))
        })
    }
}

register!(Plugin: authorizer);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn members_are_let_in_and_nobody_else() {
        testing::set_config("members", &serde_json::json!(["ada"]));
        let allowed = |user: &str| {
            let context = Context { user: Some(testing::user(user)), ..testing::context("greetings") };
            matches!(Plugin::authorize(&context, &testing::subscribe()), Ok(Decision::Allow(_)))
        };
        assert!(allowed("ada"));
        assert!(!allowed("mallory"));
    }
}
