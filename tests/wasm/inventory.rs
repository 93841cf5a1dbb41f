//! The inventory: versions, states, calls and faults of plugins.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::flow::ports::{PluginRoster as _, PluginState};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;
use tidegate_wasm::{Inventory, PluginSource};

use crate::kit::{BAD_MANIFEST, bad, load, order};

fn states(inventory: &Inventory) -> Vec<PluginState> {
    inventory.list().into_iter().map(|status| status.state).collect()
}

#[tokio::test]
async fn a_version_tells_its_calls_its_faults_and_the_last_of_them() {
    let inventory = Inventory::default();
    let plugin = load(bad(BAD_MANIFEST)).await;
    inventory.serve(std::slice::from_ref(&plugin), Vec::new());
    order(&plugin, "count").await.unwrap().unwrap();
    order(&plugin, "panic").await.unwrap_err();
    let [status] = inventory.list().try_into().unwrap();
    let service = status.service.unwrap();
    assert_eq!((service.calls, service.faults), (2, 1));
    let last = service.last_fault.unwrap();
    assert_eq!(last.kind, "trap");
    assert!(last.at_unix_s >= status.since_unix_s && last.detail.len() <= 1024, "{last:?}");
}

#[tokio::test]
async fn a_replaced_version_drains_as_long_as_someone_holds_it() {
    let inventory = Inventory::default();
    let (old, new) = (load(bad(BAD_MANIFEST)).await, load(bad(BAD_MANIFEST)).await);
    inventory.serve(std::slice::from_ref(&old), Vec::new());
    inventory.serve(&[new], Vec::new());
    assert_eq!(states(&inventory), [PluginState::Active, PluginState::Draining]);
    assert_eq!(Arc::strong_count(&old), 1);
    drop(old);
    assert_eq!(states(&inventory), [PluginState::Active]);
}

#[tokio::test]
async fn a_replaced_version_that_does_not_end_is_told_until_it_does() {
    let inventory = Inventory::default();
    let source = || PluginSource { name: PluginName::new("lingering"), ..bad(BAD_MANIFEST) };
    let (old, new) = (load(source()).await, load(source()).await);
    inventory.serve(std::slice::from_ref(&old), Vec::new());
    inventory.serve(&[new], Vec::new());
    let lingering = |drain_max| {
        inventory.sweep(drain_max);
        let told = telemetry::render();
        let line = told
            .lines()
            .find_map(|line| line.strip_prefix("tidegate_plugin_versions_lingering{plugin=\"lingering\"} "));
        line.map(str::to_owned)
    };
    assert_eq!(lingering(Duration::from_secs(60)), None);
    assert_eq!(lingering(Duration::ZERO), Some("1".to_owned()));
    drop(old);
    assert_eq!(lingering(Duration::ZERO), Some("0".to_owned()));
}
