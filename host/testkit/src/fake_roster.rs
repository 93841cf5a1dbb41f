//! Versions of plugins, faked.

use tidegate_core::flow::ports::{LastFault, PluginRoster, PluginService, PluginState, PluginStatus};

/// `ping`, which serves, and the version that was to replace it. To clear `ping` re-admits that version; to clear `full`
/// fails.
pub struct FakeRoster;

impl PluginRoster for FakeRoster {
    fn clear(&self, what: &str) -> std::io::Result<Vec<PluginStatus>> {
        match what {
            "ping" => Ok(vec![PluginStatus { state: PluginState::Quarantined, ..self.list().remove(1) }]),
            "full" => Err(std::io::Error::other("no space left on device")),
            _ => Ok(Vec::new()),
        }
    }

    fn list(&self) -> Vec<PluginStatus> {
        let last_fault = LastFault { kind: "trap", detail: "unreachable".to_owned(), at_unix_s: 5 };
        let kinds = vec!["handler"];
        let service = PluginService {
            kinds,
            cached: true,
            vectors: 2,
            instances: 3,
            paused: Vec::new(),
            calls: 7,
            faults: 1,
            last_fault: Some(last_fault),
        };
        let active = PluginStatus {
            name: "ping".to_owned(),
            state: PluginState::Active,
            version: Some("a".repeat(64)),
            digest: Some("b".repeat(64)),
            since_unix_s: 1,
            reasons: Vec::new(),
            service: Some(service),
        };
        let rejected = PluginStatus {
            state: PluginState::Rejected,
            reasons: vec!["is empty".to_owned()],
            service: None,
            ..active.clone()
        };
        vec![active, rejected]
    }
}
