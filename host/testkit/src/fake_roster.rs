//! Versions of plugins, faked.

use tidegate_core::flow::ports::{
    BreakerStatus, LastFault, PluginRoster, PluginService, PluginState, PluginStatus, RememberedFault,
};

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
        let fault = RememberedFault {
            at_ms: 5_000,
            kind: "trap",
            message: "panicked at src/lib.rs:7:9".to_owned(),
            channel: Some("realtime-ping".to_owned()),
            place: Some("src/lib.rs:7:9".to_owned()),
            log: vec!["begins".to_owned()],
            input: Some(r#"{"n":"secret"}"#.to_owned()),
        };
        let kinds = vec!["handler"];
        let service = PluginService {
            kinds,
            cached: true,
            vectors: 2,
            instances: 3,
            paused: Vec::new(),
            calls: 7,
            faults: 1,
            breaker: BreakerStatus { authorizer: "closed", worker: "open" },
            memory_bytes: 65_536,
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
            last_faults: vec![fault],
        };
        let rejected = PluginStatus {
            state: PluginState::Rejected,
            reasons: vec!["is empty".to_owned()],
            service: None,
            last_faults: Vec::new(),
            ..active.clone()
        };
        vec![active, rejected]
    }
}
