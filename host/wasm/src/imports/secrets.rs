//! `tidegate:host/secrets`: the granted environment variables of the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::contract::secrets;
use crate::run::Guest;
use crate::tape::{answered, missed, secret};
use tidegate_core::config::Secret;

/// The source of secrets.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// The environment of the process.
    Environment,
    /// These, for tests and for calls outside a server.
    Given(Arc<BTreeMap<String, Secret>>),
}

impl Secrets {
    /// The secret of this name. An empty variable counts as missing.
    pub(crate) fn find(&self, name: &str) -> Option<Secret> {
        match self {
            Self::Environment => std::env::var(name).ok().filter(|value| !value.is_empty()).map(Secret::from),
            Self::Given(secrets) => secrets.get(name).cloned(),
        }
    }
}

impl secrets::Host for Guest {
    fn get(&mut self, name: String) -> Result<String, secrets::Error> {
        let call = self.begin_host_call("secrets");
        let answer = match self.capabilities.secrets.get(&name) {
            None => Err(secrets::Error::Denied),
            Some(own) => answered(
                "secrets.get",
                || json!([name]),
                || {
                    let own = || own.as_ref().map(|secret| secret.expose().to_owned());
                    secret(&name).unwrap_or_else(own).ok_or_else(|| {
                        missed(|| format!("secret `{name}` is missing: set it in the vector's `secrets`"));
                        secrets::Error::Missing
                    })
                },
            ),
        };
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(secrets::Error::Missing) => "missing",
            Err(secrets::Error::Denied) => "denied",
        };
        self.end_host_call(call, outcome);
        answer
    }
}
