//! Who may follow the live data: whoever brings the cookie of an operator's session.

use std::sync::Arc;

use async_trait::async_trait;

use crate::operator::Operators;
use tidegate_core::flow::Shown;
use tidegate_core::flow::ports::{Identity, Provider};
use tidegate_core::protocol::{Code, User};

/// The role of operators in the scopes of the dashboard's channels. It exists in this world only.
const ROLE: &str = "operator";

/// Knows the sessions of operators.
pub(super) struct Entry(pub(super) Arc<Operators>);

#[async_trait]
impl Provider for Entry {
    async fn identify(&self, shown: &Shown<'_>) -> Identity {
        // A script could bring what it read elsewhere as a token; no script can read the cookie.
        let cookie = shown.token.filter(|_| shown.is_ambient);
        let Some(session) = cookie.and_then(|value| self.0.session_of(value)) else {
            return Identity::Refused(Code::Unauthenticated);
        };
        Identity::User(User {
            expires_at: Some(session.ends_at_unix_s),
            token_id: Some(session.id.clone()),
            ..User::new(session.key.name.clone(), vec![ROLE.to_owned()], None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::config::{ApiKey, ApiKeys, Permission, Secret};
    use tidegate_testkit::FakeClock;

    #[tokio::test]
    async fn the_cookie_of_a_session_admits_its_operator_and_the_same_text_as_a_token_does_not() {
        let key =
            ApiKey { name: "ann".to_owned(), key: Secret::from("a key".to_owned()), may: vec![Permission::Operate] };
        let operators = Arc::new(Operators::new(Arc::new(ApiKeys(vec![key])), Arc::new(FakeClock::stopped())));
        let (value, session) = operators.sign_in("a key").unwrap();
        let (id, entry) = (session.id.clone(), Entry(operators.clone()));
        let cookie = Shown { is_ambient: true, ..Shown::token(&value) };
        let Identity::User(user) = entry.identify(&cookie).await else { panic!("no user") };
        assert_eq!((user.id.as_str(), user.roles, user.token_id), ("ann", vec![ROLE.to_owned()], Some(id)));
        assert_eq!(user.expires_at, Some(session.ends_at_unix_s));
        let refused = Identity::Refused(Code::Unauthenticated);
        assert_eq!(entry.identify(&Shown::token(&value)).await, refused);
        operators.end(&session);
        assert_eq!(entry.identify(&cookie).await, refused);
    }
}
