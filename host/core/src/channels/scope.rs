//! Who may join a channel, decided only from the user and the topic's params.

use crate::protocol::{Code, Params, User};

/// A channel's scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Anyone, with or without a user.
    Public,
    /// Any user.
    Authenticated,
    /// A user with at least one of these roles.
    AnyRole(Vec<String>),
    /// The user whose id is the value of this param.
    User {
        /// The param's name, which was checked to be in the template.
        param: String,
    },
}

impl Scope {
    /// Decides.
    ///
    /// # Errors
    /// `unauthenticated` when the scope needs a user and there is none, `forbidden` when it refuses the one there is.
    pub fn admit(&self, user: Option<&User>, params: &Params) -> Result<(), Code> {
        if matches!(self, Self::Public) {
            return Ok(());
        }
        let user = user.ok_or(Code::Unauthenticated)?;
        let admitted = match self {
            Self::Public | Self::Authenticated => true,
            Self::AnyRole(roles) => roles.iter().any(|role| user.roles.contains(role)),
            Self::User { param } => params.get(param) == Some(user.id.as_str()),
        };
        if admitted { Ok(()) } else { Err(Code::Forbidden) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str, roles: &[&str]) -> User {
        User::new(id, roles.iter().map(ToString::to_string).collect(), None)
    }

    fn params(name: &str, value: &str) -> Params {
        [(name.into(), value.to_owned())].into_iter().collect()
    }

    #[test]
    fn a_public_channel_admits_everyone() {
        assert_eq!(Scope::Public.admit(None, &Params::default()), Ok(()));
    }

    #[test]
    fn a_scope_that_needs_a_user_says_unauthenticated_to_nobody_and_forbidden_to_the_wrong_one() {
        let own = Scope::User { param: "userId".to_owned() };
        let of_u1 = params("userId", "u1");
        assert_eq!(own.admit(None, &of_u1), Err(Code::Unauthenticated));
        assert_eq!(own.admit(Some(&user("u2", &[])), &of_u1), Err(Code::Forbidden));
        assert_eq!(own.admit(Some(&user("u1", &[])), &of_u1), Ok(()));
    }

    #[test]
    fn one_of_the_roles_is_enough() {
        let scope = Scope::AnyRole(vec!["editor".to_owned(), "admin".to_owned()]);
        assert_eq!(scope.admit(Some(&user("u", &["admin"])), &Params::default()), Ok(()));
        assert_eq!(scope.admit(Some(&user("u", &["reader"])), &Params::default()), Err(Code::Forbidden));
    }
}
