//! What a real authorizer grants, kept by the gates.

use std::sync::Arc;

use tidegate_core::flow::Serving;
use tidegate_core::protocol::{Code, Generation, User};
use tidegate_wasm::PluginSet;

use crate::kit::{KINDS_MANIFEST, kinds, load};
use tidegate_testkit::{Server, catalog, user};

const CHANNELS: &str = "
feature: tests
channels:
  vault.{vaultId}: { scope: authenticated, authorizer: members, payload: {} }
";

/// Puts the authorizer in force that grants a minute once and denies whoever asks again.
async fn serve(server: &Server, plugin_yaml: &str) {
    let set = PluginSet::new([load(kinds("members", plugin_yaml)).await]);
    let generation = Generation(server.gates.generation().0 + 1);
    server.gates.replace(Serving { catalog: catalog(CHANNELS, None, generation), plugins: Arc::new(set) });
}

async fn subscribe(server: &Server, user: User) -> Result<(), Code> {
    server.client(user).subscribe("vault.v1").await.map(drop).map_err(|refusal| refusal.code)
}

#[tokio::test]
async fn a_component_is_not_asked_again_for_the_time_it_granted() {
    let server = Server::declaring(CHANNELS).start();
    serve(&server, KINDS_MANIFEST).await;
    assert_eq!(subscribe(&server, user("alice")).await, Ok(()));
    assert_eq!(subscribe(&server, user("alice")).await, Ok(()), "it would have denied");
    let promoted = User { roles: vec!["editor".to_owned()], ..user("alice") };
    assert_eq!(subscribe(&server, promoted).await, Err(Code::Forbidden), "with other roles it was asked");
}

#[tokio::test]
async fn a_changed_plugin_yaml_is_another_plugin_that_has_granted_nothing() {
    let server = Server::declaring(CHANNELS).start();
    serve(&server, KINDS_MANIFEST).await;
    assert_eq!(subscribe(&server, user("alice")).await, Ok(()));
    assert_eq!(subscribe(&server, user("bob")).await, Err(Code::Forbidden), "the one yes is spent");
    serve(&server, &format!("{KINDS_MANIFEST}\n# the same, but for this line")).await;
    assert_eq!(subscribe(&server, user("bob")).await, Ok(()), "a fresh instance was asked");
    assert_eq!(subscribe(&server, user("alice")).await, Err(Code::Forbidden), "what the old one granted is gone");
}
