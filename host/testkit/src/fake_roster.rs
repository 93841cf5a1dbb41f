//! Versions of plugins, faked.

use serde_json::json;
use tidegate_core::flow::ports::{
    BreakerStatus, LastFault, NoRecording, PluginRoster, PluginService, PluginState, PluginStatus, RecordingEnd,
    RecordingPage, RecordingState, RecordingWish, RememberedFault, ShadowDifference, ShadowStatus,
};
use tidegate_core::protocol::Payload;

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

    fn record(&self, wish: RecordingWish<'_>) -> Result<Payload, NoRecording> {
        match wish.plugin {
            "ping" => Ok(json!({ "tidegate_recording": 1, "plugin": "ping", "by": wish.by }).into()),
            "busy" => Err(NoRecording::Running { by: "ops".to_owned() }),
            "full" => Err(NoRecording::Full),
            "pointers" => Err(NoRecording::Pointers("`x` is not a JSON Pointer".to_owned())),
            _ => Err(NoRecording::NoPlugin),
        }
    }

    fn recording(&self, plugin: &str, after: usize) -> Option<RecordingPage> {
        let calls = vec![json!({ "kind": "handler" }).into(); usize::from(after == 0)];
        (plugin == "ping").then(|| RecordingPage { calls, next: 1, ended: self.end_recording("ping") })
    }

    fn recording_file(&self, plugin: &str) -> Option<Vec<Payload>> {
        (plugin == "ping").then(|| vec![json!({ "tidegate_recording": 1 }).into(), json!({ "kind": "handler" }).into()])
    }

    fn end_recording(&self, plugin: &str) -> Option<RecordingEnd> {
        (plugin == "ping").then_some(RecordingEnd { reason: "calls", calls: 1, skipped: 0, bytes: 18 })
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
        let shown = Some(vec!["/reply/pong: expected 7, found 8".to_owned()]);
        let difference = ShadowDifference { at_ms: 5_000, of: "handler", kind: "reply", shown };
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
            recording: Some(RecordingState { by: "ops".to_owned(), calls: 3, ended: None }),
            shadow: Some(ShadowStatus {
                component: "ping.next.wasm".to_owned(),
                share: "5%".to_owned(),
                calls: 2,
                same: 1,
                differences: [("reply", 1)].into(),
                last_differences: vec![difference],
                ..ShadowStatus::default()
            }),
        };
        let rejected = PluginStatus {
            state: PluginState::Rejected,
            reasons: vec!["is empty".to_owned()],
            service: None,
            last_faults: Vec::new(),
            shadow: None,
            recording: None,
            ..active.clone()
        };
        vec![active, rejected]
    }
}
