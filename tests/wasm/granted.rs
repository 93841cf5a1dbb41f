//! What a plugin reaches by grant, and what stays out of its reach.

use std::sync::Arc;

use tidegate_core::config::Secret;
use tidegate_wasm::{HostSettings, Plugin, PluginHost, Secrets, Services};

use crate::kit::{order, reaching, reply};

/// A host of few instances with these services.
fn host(services: Services) -> PluginHost {
    PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, services).unwrap()
}

fn secrets(secrets: &[(&str, &str)]) -> Services {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::from((*value).to_owned())));
    Services { secrets: Secrets::Given(Arc::new(secrets.collect())), ..Services::in_memory() }
}

/// What the guest was answered.
async fn told(plugin: &Plugin, what: &str) -> String {
    serde_json::from_str(&reply(order(plugin, what).await)).unwrap()
}

#[tokio::test]
async fn a_granted_secret_is_told_and_no_other() {
    let services = secrets(&[("API_TOKEN", "s3cret"), ("OTHER", "x")]);
    let plugin = host(services).load(reaching("grants: { secrets: [API_TOKEN] }")).await.unwrap();
    assert_eq!(told(&plugin, "secret API_TOKEN").await, r#"Ok("s3cret")"#);
    assert_eq!(told(&plugin, "secret OTHER").await, "Err(Error::Denied)");
    assert!(!format!("{plugin:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_granted_secret_that_is_not_set_is_named_at_load() {
    let source = reaching("grants:\n  secrets: [API_TOKEN]");
    let mistakes = host(Services::in_memory()).load(source.clone()).await.unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        mistakes[0].message,
        "component `reach.wasm`: is granted the secret `API_TOKEN`, but this variable is not set"
    );
    assert_eq!(mistakes[0].place.as_ref().unwrap().line, 3);
    // Where nothing is served it may be missing: a change is checked without the secrets of production.
    let lenient = host(Services { may_lack_secrets: true, ..Services::in_memory() });
    let plugin = lenient.load(source).await.unwrap();
    assert_eq!(plugin.secrets_missing().collect::<Vec<_>>(), ["API_TOKEN"]);
    assert_eq!(told(&plugin, "secret API_TOKEN").await, "Err(Error::Missing)");
}
