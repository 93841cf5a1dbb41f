//! `GET /v1/reloads`

use serde_json::json;
use tidegate_core::flow::{Reload, ReloadOutcome};

use crate::{Site, get, refusal, server};

#[tokio::test]
async fn the_last_reloads_are_listed_the_newest_first() {
    let server = server().start();
    let site = Site::of(&server);
    assert_eq!(get("/v1/reloads").key("operate").of(&site).await.json(), json!({ "reloads": [] }));
    site.reloads.note(Reload::new(5, ReloadOutcome::Applied, 7).applied(2, &[]).by(["channels/a.yaml".to_owned()]));
    site.reloads.note(Reload::new(6, ReloadOutcome::RolledBack, 1).saying("it trapped"));
    let expected = json!({ "reloads": [
        { "at_ms": 6, "outcome": "rolled_back", "took_ms": 1, "changes": [], "kinds": [], "files": [], "errors": [{ "message": "it trapped" }] },
        { "at_ms": 5, "outcome": "applied", "generation": 2, "took_ms": 7, "changes": [], "kinds": [], "files": ["channels/a.yaml"], "errors": [] },
    ] });
    assert_eq!(get("/v1/reloads").key("operate").of(&site).await.json(), expected);
    assert_eq!(get("/v1/reloads").key("read").of(&site).await.refused(), refusal(403, "forbidden"));
}
