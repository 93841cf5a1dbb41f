//! What is revoked: who is meant, what gate 1 says to it, what is asked again, and how long it is remembered.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::flow::Handshake;
use tidegate_core::flow::revoke::{RevocationStore, Revocations, RevokeRequest, StoreAway};
use tidegate_core::protocol::{Code, User};
use tokio_util::sync::CancellationToken;

use tidegate_testkit::{
    CHANNELS, FakeClock, FakePlugins, FakeProvider, FakeRevocationStore, Server, ServerBuilder, code, connection, user,
};

const NOW: u64 = FakeClock::START_UNIX_S;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn of(id: &str, token_id: Option<&str>, issued_at: Option<u64>) -> User {
    User { token_id: token_id.map(str::to_owned), issued_at, ..user(id) }
}

fn server() -> ServerBuilder {
    let known = [
        ("old", of("alice", Some("t1"), Some(NOW - 100))),
        ("of now", of("alice", Some("t2"), Some(NOW))),
        ("new", of("alice", Some("t3"), Some(NOW + 1))),
        ("undated", of("alice", None, None)),
        ("bob", of("bob", Some("t4"), Some(NOW - 100))),
    ];
    Server::declaring(CHANNELS).provider(Arc::new(FakeProvider::knowing(known)))
}

/// `POST /v1/revoke` with these fields.
fn asking(fields: serde_json::Value) -> RevokeRequest {
    serde_json::from_value(fields).unwrap()
}

async fn connects(server: &Server, token: &str) -> Result<(), Code> {
    let handshake = Handshake { token: Some(token.to_owned()), ..Handshake::default() };
    server.gates.connect(&connection(), &handshake).await.map(|_| ()).map_err(|refusal| refusal.code)
}

/// The user that comes in with this token.
async fn admitted(server: &Server, token: &str) -> Arc<User> {
    let handshake = Handshake { token: Some(token.to_owned()), ..Handshake::default() };
    server.gates.connect(&connection(), &handshake).await.unwrap().user.unwrap()
}

const REVOKED: Result<(), Code> = Err(Code::TokenRevoked);

#[tokio::test]
async fn whom_no_revocation_could_name_is_not_let_in() {
    let long = "a".repeat(1025);
    let known = [
        ("long id", of(&long, None, None)),
        ("id with NUL", of("a\0b", None, None)),
        ("long token id", of("alice", Some(&long), None)),
        ("just so", of(&long[1..], Some(&long[1..]), None)),
    ];
    let server = Server::declaring(CHANNELS).provider(Arc::new(FakeProvider::knowing(known))).start();
    for token in ["long id", "id with NUL", "long token id"] {
        assert_eq!(connects(&server, token).await, Err(Code::Unauthenticated), "{token}");
    }
    assert_eq!(connects(&server, "just so").await, Ok(()));
}

#[tokio::test]
async fn a_credential_of_the_far_future_is_older_than_every_revocation() {
    let known = [("in milliseconds", of("alice", None, Some(NOW * 1000)))];
    let server = Server::declaring(CHANNELS).provider(Arc::new(FakeProvider::knowing(known))).start();
    assert_eq!(connects(&server, "in milliseconds").await, Ok(()));
    server.revoke(serde_json::json!({ "user": "alice" }));
    assert_eq!(connects(&server, "in milliseconds").await, REVOKED);
}

/// Tokens of an issuer whose clock is so many seconds ahead: one of now, and those of the next ten seconds.
fn issuer_ahead(seconds: i64) -> ServerBuilder {
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let issued = |age: i64| Some(NOW.checked_add_signed(seconds + age).unwrap());
    let known = names.into_iter().zip(0..).map(|(name, age)| (name, of("alice", None, issued(age))));
    Server::declaring(CHANNELS).provider(Arc::new(FakeProvider::knowing(known)))
}

#[tokio::test]
async fn whatever_the_issuers_clock_says_a_session_of_before_ends_and_its_token_is_refused_and_a_new_one_is_not() {
    for ahead in [0, 3, 30, 300] {
        let server = issuer_ahead(ahead).start();
        let user = admitted(&server, "0").await;
        let client = server.client((*user).clone());
        assert_eq!(server.gates.still_good(&client.session), Ok(()));
        server.revoke(serde_json::json!({ "user": "alice" }));
        assert_eq!(server.gates.still_good(&client.session), Err(Code::TokenRevoked), "{ahead} s ahead");
        server.clock.advance(1);
        for later in [0, 10, 290, 100_000] {
            assert_eq!(connects(&server, "0").await, REVOKED, "{ahead} s ahead, {later} s later");
            assert_eq!(connects(&server, "1").await, Ok(()), "{ahead} s ahead, {later} s later");
            server.clock.advance(later);
            server.gates.sweep();
        }
    }
}

#[tokio::test]
async fn who_logs_in_again_comes_in_as_soon_as_an_issuer_whose_clock_is_behind_has_come_to_the_revocation() {
    let server = issuer_ahead(-2).start();
    server.revoke(serde_json::json!({ "user": "alice" }));
    for (seconds_later, expected) in [("1", REVOKED), ("2", REVOKED), ("3", Ok(()))] {
        assert_eq!(connects(&server, seconds_later).await, expected, "{seconds_later} s later");
    }
}

#[tokio::test]
async fn a_session_of_before_ends_even_where_the_revocation_is_heard_of_when_its_token_is_forgotten() {
    let (here, there) = (issuer_ahead(3).start(), issuer_ahead(3).start());
    let of_before = there.client((*admitted(&there, "0").await).clone());
    here.clock.advance(1);
    there.clock.advance(1);
    here.revoke(serde_json::json!({ "user": "alice" }));
    there.clock.advance(1);
    let of_after = there.client((*admitted(&there, "2").await).clone());
    there.clock.advance(1000);
    there.gates.sweep();
    here.broker.play_to(&*there.gates);
    assert_eq!(there.gates.still_good(&of_before.session), Err(Code::TokenRevoked));
    assert_eq!(there.gates.still_good(&of_after.session), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_one_node_saw_before_is_refused_by_every_node_and_after_a_restart() {
    let (mine, theirs) = (Arc::new(FakeRevocationStore::default()), Arc::new(FakeRevocationStore::default()));
    let ((saw_it, _runs), (asked, _runs_too)) =
        (keeping_with(issuer_ahead(30), &mine), keeping_with(issuer_ahead(30), &theirs));
    until(|| saw_it.gates.knows_revocations() && asked.gates.knows_revocations()).await;
    assert_eq!(connects(&saw_it, "0").await, Ok(()));
    asked.revoke(serde_json::json!({ "user": "alice" }));
    asked.broker.play_to(&*saw_it.gates);
    saw_it.broker.play_to(&*asked.gates);
    until(|| mine.stored().len() == 2 && theirs.stored().len() == 2).await;
    for store in [&mine, &theirs] {
        let (restarted, _runs) = keeping_with(issuer_ahead(30), store);
        until(|| restarted.gates.knows_revocations()).await;
        for node in [&saw_it, &asked, &restarted] {
            assert_eq!(connects(node, "0").await, REVOKED);
            assert_eq!(connects(node, "1").await, Ok(()));
        }
    }
}

#[tokio::test]
async fn a_revoked_user_is_refused_with_every_credential_up_to_now_and_let_in_with_a_later_one() {
    let server = server().start();
    assert_eq!(connects(&server, "old").await, Ok(()));
    server.revoke(serde_json::json!({ "user": "alice" }));
    for token in ["old", "of now", "undated"] {
        assert_eq!(connects(&server, token).await, REVOKED, "{token}");
    }
    assert_eq!(connects(&server, "new").await, Ok(()));
    assert_eq!(connects(&server, "bob").await, Ok(()));
}

#[tokio::test]
async fn with_a_time_only_credentials_issued_before_it_are_meant() {
    let server = server().start();
    server.revoke(serde_json::json!({ "user": "alice", "issued_before": NOW }));
    assert_eq!(connects(&server, "old").await, REVOKED);
    assert_eq!(connects(&server, "undated").await, REVOKED);
    assert_eq!(connects(&server, "of now").await, Ok(()));
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_no_other() {
    let server = server().start();
    server.revoke(serde_json::json!({ "token": "t1" }));
    assert_eq!(connects(&server, "old").await, REVOKED);
    assert_eq!(connects(&server, "of now").await, Ok(()));
    server.revoke(serde_json::json!({ "token": "t2", "user": "bob" }));
    assert_eq!(connects(&server, "of now").await, Ok(()), "the token of that id is not bob's");
}

#[tokio::test]
async fn a_revoked_token_renews_no_session() {
    let server = server().start();
    let client = server.client(of("alice", Some("t3"), Some(NOW + 1)));
    server.revoke(serde_json::json!({ "user": "alice" }));
    assert_eq!(code(client.authenticate("old").await), Code::TokenRevoked);
    assert!(client.authenticate("new").await.is_ok());
}

#[tokio::test]
async fn a_subscription_revoked_keeps_nobody_out() {
    let server = server().start();
    server.revoke(serde_json::json!({ "user": "alice", "topic": "vault.v1" }));
    assert_eq!(connects(&server, "old").await, Ok(()));
    assert_eq!(server.clients.revoked()[0].topic.as_ref().map(|topic| topic.as_str()), Some("vault.v1"));
}

#[tokio::test]
async fn what_is_no_revocation_is_told_apart() {
    let server = server().start();
    let wrong = |fields| server.gates.revocation(asking(fields)).unwrap_err().to_string();
    assert_eq!(wrong(serde_json::json!({})), "at least one of `user`, `token` and `topic` is needed");
    assert_eq!(wrong(serde_json::json!({ "user": "" })), "`user` must be a text of 1 to 1024 bytes, without NUL");
    for pattern in ["vault.*", "*.v1", "*"] {
        let told = wrong(serde_json::json!({ "topic": pattern, "user": "alice" }));
        assert_eq!(
            told,
            "`topic` must be one topic, never a pattern; to end all sessions of a user, revoke `{ \"user\": \"…\" }`"
        );
    }
    assert_eq!(
        wrong(serde_json::json!({ "topic": "a b" })),
        "`topic` is not a valid topic: holds white space, a control character or a brace"
    );
    assert_eq!(
        wrong(serde_json::json!({ "token": "t", "issued_before": 5 })),
        "`issued_before` needs a `user`: it selects this user's credentials"
    );
    assert_eq!(
        wrong(serde_json::json!({ "user": "a", "issued_before": NOW * 1000 })),
        "`issued_before` is in the future; give it in seconds since the Unix epoch"
    );
}

#[tokio::test]
async fn it_is_forgotten_when_it_matters_no_more() {
    let revocations = Arc::new(Revocations::unkept(10, DAY));
    let server = server().revocations(revocations).start();
    server.revoke(serde_json::json!({ "token": "t1" }));
    server.clock.advance(DAY.as_secs() - 1);
    server.gates.sweep();
    assert_eq!(connects(&server, "old").await, REVOKED);
    server.clock.advance(1);
    assert_eq!(connects(&server, "old").await, Ok(()));
}

#[tokio::test]
async fn beyond_the_limit_there_is_no_room_until_some_matter_no_more() {
    let server = server().revocations(Arc::new(Revocations::unkept(2, DAY))).start();
    server.revoke(serde_json::json!({ "token": "a" }));
    assert!(server.gates.has_room_for_revocations());
    server.revoke(serde_json::json!({ "token": "b" }));
    assert!(!server.gates.has_room_for_revocations());
    server.clock.advance(DAY.as_secs());
    server.gates.sweep();
    assert!(server.gates.has_room_for_revocations());
}

#[tokio::test]
async fn decisions_of_before_answer_for_the_revoked_user_no_more() {
    let plugins = FakePlugins::granting(DAY);
    let server = server().plugins(plugins).start();
    let (alice, bob) = (server.client(user("alice")), server.client(user("bob")));
    alice.subscribe("vault.v1").await.unwrap();
    bob.subscribe("vault.v1").await.unwrap();
    server.revoke(serde_json::json!({ "user": "alice", "topic": "news" }));
    assert_eq!(server.plugins.asked().len(), 2);
    assert_eq!(alice.reauthorize().await, []);
    assert_eq!(bob.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 3, "alice's is asked about again, bob's is not");
    assert_eq!(alice.reauthorize().await, []);
    alice.subscribe("vault.v1").await.unwrap();
    assert_eq!(server.plugins.asked().len(), 3, "and the new answer serves again");
    server.revoke(serde_json::json!({ "topic": "vault.v1" }));
    assert_eq!(bob.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 4, "a topic's revocation is about everybody");
}

#[tokio::test]
async fn a_join_decided_before_a_revocation_is_asked_about_again_after_it() {
    let (plugins, latch) = FakePlugins::silent().held();
    let server = server().plugins(plugins).start();
    let client = server.client(user("alice"));
    let (joined, ()) = tokio::join!(client.subscribe("vault.v1"), async {
        latch.call_arrived().await;
        server.revoke(serde_json::json!({ "user": "alice", "topic": "vault.v1" }));
        latch.release();
        latch.call_arrived().await;
        assert!(client.is_in_room("vault.v1"), "the second question is about a topic that is held");
        latch.release();
    });
    assert!(joined.is_ok());
    assert_eq!(server.plugins.asked(), ["subscribe", "subscribe"]);
}

/// A server with this store, whose keeper runs until the guard is dropped.
fn keeping(store: &Arc<FakeRevocationStore>) -> (Server, tokio_util::sync::DropGuard) {
    keeping_with(server(), store)
}

fn keeping_with(server: ServerBuilder, store: &Arc<FakeRevocationStore>) -> (Server, tokio_util::sync::DropGuard) {
    let revocations = Arc::new(Revocations::kept(10, DAY));
    let server = server.revocations(revocations.clone()).start();
    let shutdown = CancellationToken::new();
    let keeper = revocations.keeper(store.clone()).unwrap();
    tokio::spawn(keeper.run(server.gates.clone(), shutdown.clone()));
    (server, shutdown.drop_guard())
}

/// Waits for what a task does meanwhile.
async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_started_anew_knows_what_was_revoked_before() {
    let store = Arc::new(FakeRevocationStore::default());
    let (first, _runs) = keeping(&store);
    until(|| first.gates.knows_revocations()).await;
    let revocation = first.gates.revocation(asking(serde_json::json!({ "user": "alice" }))).unwrap();
    first.gates.enforce(revocation, "http").kept().await.unwrap();
    let (second, _runs) = keeping(&store);
    until(|| second.gates.knows_revocations()).await;
    assert_eq!(connects(&second, "old").await, REVOKED);
    assert_eq!(connects(&second, "bob").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn until_they_are_loaded_nobody_with_a_credential_is_let_in() {
    let store = Arc::new(FakeRevocationStore::default());
    store.set_away(true);
    let (server, _runs) = keeping(&store);
    assert!(!server.gates.knows_revocations());
    assert_eq!(connects(&server, "bob").await, Err(Code::Unavailable));
    assert!(server.gates.connect(&connection(), &Handshake::default()).await.is_ok(), "nobody's is not revoked");
    store.set_away(false);
    until(|| server.gates.knows_revocations()).await;
    assert_eq!(connects(&server, "bob").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_a_revocation_is_in_force_and_kept_as_soon_as_it_is_back() {
    let store = Arc::new(FakeRevocationStore::default());
    let (server, _runs) = keeping(&store);
    until(|| server.gates.knows_revocations()).await;
    store.set_away(true);
    let revocation = server.gates.revocation(asking(serde_json::json!({ "token": "t1" }))).unwrap();
    let enforced = server.gates.enforce(revocation.clone(), "http");
    assert_eq!(connects(&server, "old").await, REVOKED);
    assert_eq!(enforced.kept().await, Err(StoreAway("the disk is gone".to_owned())));
    store.set_away(false);
    until(|| !store.stored().is_empty()).await;
    assert_eq!(store.stored(), [revocation]);
}

#[tokio::test(start_paused = true)]
async fn what_another_node_keeps_is_acted_on_once() {
    let store = Arc::new(FakeRevocationStore::default());
    let (server, _runs) = keeping(&store);
    until(|| server.gates.knows_revocations()).await;
    let revocation = server.gates.revocation(asking(serde_json::json!({ "token": "t1" }))).unwrap();
    store.keep(&revocation).await.unwrap();
    store.tell_news();
    until(|| !server.clients.revoked().is_empty()).await;
    assert_eq!(connects(&server, "old").await, REVOKED);
    store.tell_news();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.clients.revoked(), [revocation]);
}

#[tokio::test(start_paused = true)]
async fn other_nodes_are_told_and_act_once_each_and_keep_it_themselves() {
    let (mine, theirs) = (Arc::new(FakeRevocationStore::default()), Arc::new(FakeRevocationStore::default()));
    let ((here, _runs), (there, _runs_too)) = (keeping(&mine), keeping(&theirs));
    until(|| here.gates.knows_revocations() && there.gates.knows_revocations()).await;
    let revocation = here.gates.revocation(asking(serde_json::json!({ "token": "t1" }))).unwrap();
    here.gates.enforce(revocation.clone(), "http").kept().await.unwrap();
    for _ in 0..2 {
        here.broker.play_to(&*there.gates);
        here.broker.play_to(&*here.gates);
    }
    assert_eq!(connects(&there, "old").await, REVOKED);
    assert_eq!(there.clients.revoked(), std::slice::from_ref(&revocation));
    assert_eq!(here.clients.revoked(), std::slice::from_ref(&revocation));
    until(|| !theirs.stored().is_empty()).await;
    assert_eq!(theirs.stored(), [revocation]);
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_the_others_are_told_as_soon_as_it_is_back_and_the_caller_hears_of_it() {
    let store = Arc::new(FakeRevocationStore::default());
    let (server, _runs) = keeping(&store);
    until(|| server.gates.knows_revocations()).await;
    server.broker.set_away(true);
    let revocation = server.gates.revocation(asking(serde_json::json!({ "token": "t1" }))).unwrap();
    assert!(server.gates.enforce(revocation, "http").kept().await.is_err());
    assert_eq!(connects(&server, "old").await, REVOKED);
    let tries = server.broker.told();
    server.broker.set_away(false);
    until(|| server.broker.told() > tries).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(server.broker.told(), tries + 1, "once it took it, it is not told again");
}

#[tokio::test]
async fn what_another_version_says_is_no_harm() {
    let server = server().start();
    use tidegate_core::flow::broker::HearsNodes as _;
    for word in [&b"no json"[..], b"{}", br#"{"unheard_of":{}}"#, br#"{"revoke":{"id":"1"}}"#] {
        server.gates.hear_control(word);
    }
    assert_eq!(server.clients.revoked(), []);
}
