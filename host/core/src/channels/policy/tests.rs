//! What is told of changes, kind by kind.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::channels::{PluginKinds, compile};
use crate::config::SourceFile;
use crate::protocol::{Generation, PluginName};

const MANIFEST: &str = "\
feature: vault
channels:
  vault.{vaultId}:
    scope: authenticated
    payload: { type: object, properties: { at: { type: integer } }, required: [at] }
    inbound: { relay: others, rate: 5/s }
    history: { messages: 100 }
  news: { scope: public, payload: true }
";
const BRIDGE: &str = "rules:\n  - { on: a.b, to: news, payload: event.data }\n";

fn policy(manifest: &str, bridge: &str, plugins: &[(&str, Value)]) -> Policy {
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() });
    let named = ["members", "guards", "ping", "pong"].map(PluginName::new);
    let sources = Sources {
        manifests: vec![file("vault.yaml", manifest)],
        bridge: Some(file("bridge.yaml", bridge)),
        plugins: named.into_iter().map(|name| (name, PluginKinds::ALL)).collect(),
        ..Sources::default()
    };
    let catalog = compile(&sources, Generation(1)).unwrap_or_else(|mistakes| unreachable!("{}", mistakes[0].render()));
    Policy::of(&catalog, &sources, plugins.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
}

/// The kind of each change, and what it is.
fn told(old: &Policy, new: &Policy) -> Vec<(ChangeKind, String)> {
    diff(old, new).into_iter().map(|change| (change.kind, format!("{}: {}", change.subject, change.what))).collect()
}

fn replaced(edits: &[(&str, &str)]) -> Policy {
    let replace = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    policy(&edits.iter().fold(MANIFEST.to_owned(), replace), BRIDGE, &[])
}

/// The changes when each text of the manifest is replaced by the other.
fn edited(edits: &[(&str, &str)]) -> Vec<(ChangeKind, String)> {
    told(&replaced(&[]), &replaced(edits))
}

/// The same, from one edit to another.
fn between(old: (&str, &str), new: (&str, &str)) -> Vec<(ChangeKind, String)> {
    told(&replaced(&[old]), &replaced(&[new]))
}

fn shown_of(change: &Change) -> &Shown {
    change.shown.as_ref().unwrap_or_else(|| unreachable!("{change} shows nothing"))
}

fn one(kind: ChangeKind, what: &str) -> Vec<(ChangeKind, String)> {
    vec![(kind, what.to_owned())]
}

#[test]
fn who_may_join_is_told_as_public_wider_narrower_or_another() {
    use ChangeKind::{Access, Narrower, Public, Wider};
    let scope = "scope: authenticated";
    for (from, to, kind) in [
        ("scope: authenticated", "scope: public", Public),
        ("scope: { role: a }", "scope: public", Public),
        ("scope: { role: a }", "scope: authenticated", Wider),
        ("scope: { role: a }", "scope: { roles: [b, a] }", Wider),
        ("scope: { roles: [a, b] }", "scope: { role: b }", Narrower),
        ("scope: { user: vaultId }", "scope: authenticated", Wider),
        ("scope: public", "scope: { user: vaultId }", Narrower),
        ("scope: { role: a }", "scope: { role: b }", Access),
        ("scope: { role: a }", "scope: { user: vaultId }", Access),
        ("scope: authenticated", "scope: public\n    authorizer: members", Access),
    ] {
        let told = between((scope, from), (scope, to));
        assert!(told.iter().any(|(told, what)| *told == kind && what.contains(": scope ")), "{from} → {to}: {told:?}");
    }
    assert_eq!(edited(&[(scope, "scope: public")]), one(Public, "`vault.{vaultId}`: scope authenticated → public"));
    let roles = [("scope: { roles: [a, b] }"), ("scope: { roles: [b, a] }")];
    assert_eq!(between((scope, roles[0]), (scope, roles[1])), [], "the order of roles says nothing");
}

#[test]
fn an_authorizer_that_comes_goes_or_changes_is_a_change_of_who_may_join() {
    let scope = "scope: authenticated";
    let [members, guards] = ["members", "guards"].map(|name| format!("{scope}\n    authorizer: {name}"));
    let what = |from: &str, to: &str| format!("`vault.{{vaultId}}`: authorizer {from} → {to}");
    assert_eq!(edited(&[(scope, &members)]), one(ChangeKind::Narrower, &what("none", "members")));
    assert_eq!(between((scope, &members), (scope, scope)), one(ChangeKind::Wider, &what("members", "none")));
    assert_eq!(between((scope, &members), (scope, &guards)), one(ChangeKind::Access, &what("members", "guards")));
    let open = ("scope: public", "scope: public\n    authorizer: members");
    assert_eq!(between((scope, open.1), (scope, open.0)), one(ChangeKind::Public, &what("members", "none")));
    let told = edited(&[(scope, "scope: { role: keeper }\n    authorizer: members")]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(kind, _)| *kind == ChangeKind::Narrower));
}

#[test]
fn a_channel_that_is_new_or_gone_is_told() {
    let with = |scope: &str| {
        let more = format!("  press.{{id}}: {{ scope: {scope}, payload: true }}\n  news:");
        policy(&MANIFEST.replace("  news:", &more), BRIDGE, &[])
    };
    let none = replaced(&[]);
    assert_eq!(told(&none, &with("{ user: id }")), one(ChangeKind::New, "`press.{id}`: new, scope user id"));
    assert_eq!(told(&none, &with("public")), one(ChangeKind::Public, "`press.{id}`: new, scope public"));
    assert_eq!(told(&with("public"), &none), one(ChangeKind::Gone, "`press.{id}`: gone"));
}

#[test]
fn who_may_send_is_told() {
    let inbound = "inbound: { relay: others, rate: 5/s }";
    let handled = "inbound: { handler: ping, payload: true }";
    let change = |from, to| between((inbound, from), (inbound, to));
    assert_eq!(change("description: x", inbound)[0].0, ChangeKind::Sends);
    assert_eq!(change(inbound, "description: x")[0].0, ChangeKind::Gone);
    assert_eq!(change(handled, "inbound: { relay: all, payload: true }")[0].0, ChangeKind::Sends);
    let other = change(handled, "inbound: { handler: pong, payload: true }");
    assert_eq!(other, one(ChangeKind::Wiring, "`vault.{vaultId}`: inbound handler ping → handler pong"));
    assert_eq!(
        change(inbound, "inbound: { relay: all }"),
        [
            (ChangeKind::Wiring, "`vault.{vaultId}`: inbound relay others → relay all".to_owned()),
            (ChangeKind::Other, "`vault.{vaultId}`: rate 5/s → none".to_owned()),
        ]
    );
}

#[test]
fn what_is_kept_and_seen_is_told_where_it_is_more() {
    let history = "history: { messages: 100 }";
    let change = |from, to| between((history, from), (history, to));
    assert_eq!(
        change(history, "history: { messages: 200, ttl: 1m }"),
        [
            (ChangeKind::Kept, "`vault.{vaultId}`: history.messages 100 → 200".to_owned()),
            (ChangeKind::Other, "`vault.{vaultId}`: history.ttl 10m → 1m".to_owned()),
        ]
    );
    for (from, to, kind) in [
        ("description: x", history, ChangeKind::Kept),
        (history, "description: x", ChangeKind::Other),
        ("snapshot: { retain: latest }", "snapshot: { retain: latest, ttl: 2d }", ChangeKind::Kept),
        ("presence: false", "presence: true", ChangeKind::Visible),
        ("presence: true", "presence: false", ChangeKind::Other),
        ("presence: true", "presence: { members: 1000 }", ChangeKind::Visible),
        ("presence: true", "presence: { info: { type: string } }", ChangeKind::Visible),
        ("presence: true", "presence: { debounce: 1s }", ChangeKind::Other),
        ("presence: { info: { type: string } }", "presence: { info: { type: integer } }", ChangeKind::Breaking),
        ("snapshot: { plugin: ping }", "snapshot: { plugin: pong }", ChangeKind::Wiring),
        ("delivery: { mode: all }", "delivery: { mode: latest }", ChangeKind::Other),
    ] {
        let told = change(from, to);
        assert_eq!(told.first().map(|(kind, _)| *kind), Some(kind), "{from} → {to}: {told:?}");
    }
}

#[test]
fn a_schema_breaks_publishers_where_it_is_stricter_and_receivers_where_it_is_looser() {
    let payload = "payload: { type: object, properties: { at: { type: integer } }, required: [at] }";
    let changes = |to: &str| diff(&replaced(&[]), &replaced(&[(payload, to)]));
    type Found = (ChangeKind, Option<(Affected, Side, Value)>);
    let shown = |to: &str| -> Vec<Found> {
        let one =
            |change: Change| (change.kind, change.shown.map(|shown| (shown.affects, shown.refused_by, shown.payload)));
        changes(to).into_iter().map(one).collect()
    };
    let stricter = "payload: { type: object, properties: { at: { type: integer, minimum: 0 } }, required: [at] }";
    assert_eq!(
        shown(stricter),
        [(ChangeKind::Breaking, Some((Affected::PublishersAndSenders, Side::New, json!({ "at": -1 }))))]
    );
    let looser = "payload: { type: object, properties: { at: { type: number } } }";
    assert_eq!(shown(looser), [(ChangeKind::Breaking, Some((Affected::Receivers, Side::Old, json!({}))))]);
    let described = "payload: { type: object, properties: { at: { type: integer, title: When } }, required: [at] }";
    assert_eq!(shown(described), [(ChangeKind::Compatible, None)]);
    let change = changes(stricter).remove(0);
    let words = change.to_string();
    assert!(words.ends_with("a backend or a client that still sends this is refused: `{\"at\":-1}`"), "{words}");
    assert_eq!(change.what, "schema: properties.at.minimum none → 0");
    assert_eq!(shown_of(&change).violations[0].path, "/at");
    let both = shown("payload: { type: array }");
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.iter().all(|(kind, _)| *kind == ChangeKind::Breaking));
}

#[test]
fn what_clients_send_breaks_them_only_where_it_is_stricter() {
    let inbound = "inbound: { relay: others, rate: 5/s }";
    let handled = |schema: &str| format!("inbound: {{ handler: ping, payload: {schema} }}");
    let changes = |from: &str, to: &str| {
        let (from, to) = (handled(from), handled(to));
        diff(&replaced(&[(inbound, &from)]), &replaced(&[(inbound, &to)]))
    };
    let stricter = changes("{ type: string }", "{ type: string, maxLength: 3 }");
    assert_eq!((stricter[0].kind, stricter.len()), (ChangeKind::Breaking, 1));
    assert_eq!(shown_of(&stricter[0]).affects, Affected::Senders);
    let looser = changes("{ type: string, maxLength: 3 }", "{ type: string }");
    assert_eq!((looser[0].kind, looser.len()), (ChangeKind::Compatible, 1));
    assert_eq!(shown_of(&looser[0]).affects, Affected::Handlers);
    // Without a schema of its own a relay takes what the channel takes.
    let own = diff(
        &replaced(&[]),
        &replaced(&[(inbound, "inbound: { relay: others, rate: 5/s, payload: { type: string } }")]),
    );
    assert_eq!(own[0].kind, ChangeKind::Breaking);
    assert_eq!(shown_of(&own[0]).affects, Affected::Senders);
}

#[test]
fn what_neither_a_payload_nor_a_proof_shows_is_said_to_be_unknown() {
    // No pattern that is easy to meet, and lengths that nobody tries.
    let payload = "payload: { type: object, properties: { at: { type: integer } }, required: [at] }";
    let schema = |pattern: &str| format!("payload: {{ type: string, pattern: '{pattern}' }}");
    let (old, new) = (schema("^\\p{Lu}{3}Q\\p{Nd}{9}$"), schema("^\\p{Lu}{3}Q\\p{Nd}{8}$"));
    let told = between((payload, &old), (payload, &new));
    assert_eq!(told.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [ChangeKind::CannotTell; 2], "{told:?}");
}

#[test]
fn what_is_only_written_in_another_way_is_no_change() {
    let roles = ("scope: authenticated", "scope: { role: a }");
    let other =
        [roles, ("feature: vault", "# a comment\nfeature: vault"), ("messages: 100", "messages: 100, ttl: 600s")];
    assert_eq!(told(&replaced(&[roles]), &replaced(&other)), []);
}

#[test]
fn rules_by_which_events_cross_are_told_with_who_receives_them() {
    use ChangeKind::{Crosses, CrossesPublic, Narrower, Stops, Wider};
    let rules = |lines: &str| {
        let manifest = MANIFEST.replace("  news:", "  desk: { scope: { role: a }, payload: true }\n  news:");
        policy(&manifest, &format!("rules:\n{lines}"), &[])
    };
    let desk = "  - { on: a.b, to: desk }\n";
    for (from, to, kind) in [
        ("  []\n", desk, Crosses),
        ("  []\n", "  - { on: a.b, to: news }\n", CrossesPublic),
        (desk, "  []\n", Stops),
        (desk, "  - { on: a.b, to: news }\n", CrossesPublic),
        (desk, "  - { on: a.b, to: desk, when: event.data.x == 1 }\n", Stops),
        ("  - { on: a.b, to: desk, when: event.data.x == 1 }\n", desk, Crosses),
        (
            "  - { on: a.b, to: desk, when: event.data.x == 1 }\n",
            "  - { on: a.b, to: desk, when: event.data.x == 2 }\n",
            Crosses,
        ),
        ("  - { on: a.b, to: desk, payload: event.data.x }\n", desk, Crosses),
        (desk, "  - { on: a.b, to: desk, transform: ping }\n", Crosses),
        ("  []\n", "  - { on: a.b, revoke: desk }\n", Narrower),
        ("  - { on: a.b, revoke: desk }\n", "  []\n", Wider),
        ("  - { on: a.b, revoke: desk }\n", "  - { on: a.b, revoke: desk, user: event.data.user }\n", Wider),
        ("  - { on: a.b, end_sessions: { user: event.data.user } }\n", "  []\n", Wider),
    ] {
        let told = told(&rules(from), &rules(to));
        assert_eq!(told.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [kind], "{from} → {to}: {told:?}");
    }
    let moved = told(&rules(desk), &rules("  - { on: a.b, to: news }\n"));
    assert_eq!(moved, one(CrossesPublic, "rule `a.b` → `news`: to desk → news"));
    let change = diff(&rules("  []\n"), &rules(desk)).remove(0);
    assert_eq!(change.to_string(), "rule `a.b` → `desk`: new; `a.b` reaches users with the role `a`");
}

#[test]
fn a_channel_that_becomes_public_names_the_events_that_cross_to_it() {
    let narrow = policy(&MANIFEST.replace("news: { scope: public", "news: { scope: authenticated"), BRIDGE, &[]);
    let change = diff(&narrow, &replaced(&[])).remove(0);
    assert_eq!(
        change.to_string(),
        "`news`: scope authenticated → public; now everybody, signed in or not, may join, before every user; events that \
         cross to it: `a.b`"
    );
}

#[test]
fn plugins_are_told_by_what_they_may_do_more_or_less() {
    let plugin = |version: &str, grants: Value| json!({ "version": version, "kinds": ["handler"], "grants": grants });
    let with = |plugins: &[(&str, Value)]| policy(MANIFEST, BRIDGE, plugins);
    let change =
        |from: Value, to: Value| told(&with(&[("ping", plugin("a", from))]), &with(&[("ping", plugin("a", to))]));
    let http = |origins: &[&str]| json!({ "http": origins });
    assert_eq!(change(http(&["https://a"]), http(&["https://a", "https://b"]))[0].0, ChangeKind::Grants);
    assert_eq!(change(http(&["https://a", "https://b"]), http(&["https://b"]))[0].0, ChangeKind::GrantsLess);
    assert_eq!(
        change(http(&["https://a", "https://b"]), http(&["https://b", "https://a"])),
        [],
        "their order says nothing"
    );
    let query = |sql: &str| json!({ "queries": { "mine": sql } });
    assert_eq!(change(query("select 1"), query("select 2"))[0].0, ChangeKind::Grants);
    assert_eq!(
        change(json!({ "publish": ["ping.*"] }), json!({ "publish": ["ping.seen"] }))[0].0,
        ChangeKind::GrantsLess
    );
    assert_eq!(change(json!({}), json!({ "secrets": ["TOKEN"] }))[0].0, ChangeKind::Grants);
    let new = diff(&with(&[]), &with(&[("ping", plugin("a", json!({ "kv": ["b"], "secrets": ["TOKEN"] })))]));
    assert_eq!(
        new[0].to_string(),
        "plugin `ping`: new, version a; it may read and write the buckets `b`; it may read the secrets `TOKEN`"
    );
    let other = told(&with(&[("ping", plugin("a", json!({})))]), &with(&[("ping", plugin("b", json!({})))]));
    assert_eq!(other, one(ChangeKind::Plugin, "plugin `ping`: version a → b"));
    let unbuilt = told(
        &with(&[("ping", plugin("a", json!({})))]),
        &with(&[("ping", json!({ "kinds": ["handler"], "grants": {} }))]),
    );
    assert_eq!(unbuilt, [], "a component that is not built says nothing");
    assert_eq!(told(&with(&[("ping", json!({}))]), &with(&[])), one(ChangeKind::Plugin, "plugin `ping`: gone"));
}

#[test]
fn rights_of_the_configuration_are_told_and_secrets_are_not() {
    let with = |configuration: Value| Policy::default().with_configuration(&configuration);
    let change = |from: Value, to: Value| diff(&with(from), &with(to));
    let key = |name: &str, may: Value| json!({ "api_keys": [{ "name": name, "key": "hunter2", "may": may }] });
    let grown = change(key("a", json!(["publish"])), key("a", json!(["publish", "operate"])));
    assert_eq!(grown[0].to_string(), "configuration, `API key a`: may publish → publish, operate; it may `operate`");
    assert_eq!(grown[0].kind, ChangeKind::Grants);
    assert_eq!(change(key("a", json!(["publish", "read"])), key("a", json!(["read"])))[0].kind, ChangeKind::GrantsLess);
    assert_eq!(change(json!({}), key("a", json!(["read"])))[0].kind, ChangeKind::Grants);
    assert_eq!(change(key("a", json!(["read"])), json!({}))[0].kind, ChangeKind::GrantsLess);
    let jwt =
        |secret: &str| json!({ "auth": { "providers": [{ "jwt": { "algorithm": "HS256", "secret": secret } }] } });
    for changes in
        [change(json!({}), jwt("hunter2")), change(jwt("hunter2"), jwt("hunter3")), change(jwt("hunter2"), json!({}))]
    {
        assert_eq!(changes[0].kind, ChangeKind::Auth);
        assert!(!format!("{changes:?}").contains("hunter"), "{changes:?}");
    }
    let denied = json!({ "auth": { "anonymous": "deny" } });
    assert_eq!(change(denied, json!({}))[0].means, "who has no credential may connect");
    assert_eq!(change(json!({}), json!({ "private_origins": ["http://10.0.0.1"] }))[0].kind, ChangeKind::Grants);
}

#[test]
fn a_long_value_is_cut() {
    let long = format!("scope: {{ roles: [{}] }}", "abcdefgh, ".repeat(100));
    let told = &edited(&[("scope: authenticated", &long)])[0].1;
    assert!(told.ends_with('…') && told.chars().count() < 150, "{told}");
}
