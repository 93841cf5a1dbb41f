//! Lets the members of a vault join `vault.{vaultId}` and send on it. Who is a member stands in `config.members`.

use std::collections::BTreeMap;

use tidegate_plugin::prelude::*;

/// The template param that names the vault.
const VAULT_PARAM: &str = "vaultId";

struct VaultMembers;

impl Authorizer for VaultMembers {
    fn authorize(context: &Context, _request: &Request) -> Result<Decision, String> {
        let vault = context
            .param(VAULT_PARAM)
            .ok_or_else(|| format!("channel `{}` has no param `{VAULT_PARAM}`", context.channel))?;
        let Some(user) = context.user_id() else { return Ok(Decision::deny("anonymous")) };
        let members: BTreeMap<String, Vec<String>> = config::get("members")?;
        let is_member = members.get(vault).is_some_and(|ids| ids.iter().any(|id| id == user));
        Ok(if is_member {
            Decision::allow()
        } else {
            Decision::deny(format!("`{user}` is no member of vault `{vault}`"))
        })
    }
}

register!(VaultMembers: authorizer);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    fn context(vault: &str, user: Option<&str>) -> Context {
        Context {
            params: vec![(VAULT_PARAM.to_owned(), vault.to_owned())],
            user: user.map(testing::user),
            ..testing::context(&format!("vault.{vault}"))
        }
    }

    #[test]
    fn members_are_let_in_and_nobody_else() {
        testing::set_config("members", &serde_json::json!({ "v1": ["alice"] }));
        let allowed = |vault, user| {
            matches!(VaultMembers::authorize(&context(vault, user), &testing::subscribe()), Ok(Decision::Allow(_)))
        };
        assert!(allowed("v1", Some("alice")));
        assert!(!allowed("v1", Some("bob")));
        assert!(!allowed("v2", Some("alice")));
        assert!(!allowed("v1", None));
    }

    #[test]
    fn a_channel_without_a_vault_is_no_decision() {
        assert!(VaultMembers::authorize(&testing::context("lobby"), &testing::subscribe()).is_err());
    }
}
