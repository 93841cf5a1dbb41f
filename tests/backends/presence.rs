//! The members of all nodes that share a real Redis or a real NATS: each turn is told once, and a dead node's members leave.

use std::time::Duration;

use serde_json::json;
use tidegate_backends::broker::{NatsBrokerSettings, NatsSharedMembers, RedisBrokerSettings, RedisSharedMembers};
use tidegate_core::config::{Limits, NatsUrl, RedisUrl};
use tidegate_core::flow::ports::{
    Elsewhere, MemberThere, MembersAway, MembersNews, MembersUpdate, SharedMembers, TopicUpdate,
};
use tidegate_core::protocol::{MemberId, Payload, PresenceTurn, Topic};
use tokio::time::{Instant, sleep};

use tidegate_testkit::{BrokerKind, BrokerServer, on_each_broker};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One node: what is on it is said by the test.
struct Node(Box<dyn SharedMembers>);

impl Node {
    fn start(server: &BrokerServer) -> Self {
        let limits = Limits { broker_timeout: Duration::from_secs(1), ..Limits::default() };
        match server {
            BrokerServer::Redis(redis) => {
                let settings = RedisBrokerSettings::new(RedisUrl::parse(&redis.url()).unwrap(), "test", &limits);
                Self(Box::new(RedisSharedMembers::new(&settings).unwrap()))
            }
            BrokerServer::Nats(nats) => {
                let settings = NatsBrokerSettings::new(NatsUrl::parse(&nats.url()).unwrap(), "test", &limits);
                Self(Box::new(NatsSharedMembers::new(&settings)))
            }
        }
    }

    /// One that holds its lease.
    async fn ready(server: &BrokerServer) -> Self {
        let node = Self::start(server);
        node.whole(&[], 0).await.unwrap();
        node
    }

    /// Tells everybody who is on the hall.
    async fn whole(&self, users: &[&str], anonymous: usize) -> Result<MembersNews, MembersAway> {
        let users = users.iter().map(|user| (id(user), Some(there(1, None)))).collect();
        let is_on = |update: &TopicUpdate| !update.users.is_empty() || update.anonymous > 0;
        let topics: Vec<_> = [TopicUpdate { topic: hall(), users, anonymous }].into_iter().filter(is_on).collect();
        let watched = topics.iter().map(|update| update.topic.clone()).collect();
        self.0.exchange(MembersUpdate { topics, is_whole: true, watched }).await
    }

    /// Tells that users came to the hall or left it.
    async fn tell(&self, users: &[(&str, Option<MemberThere>)], anonymous: usize) -> MembersNews {
        let users = users.iter().map(|(user, there)| (id(user), there.clone())).collect();
        let topics = vec![TopicUpdate { topic: hall(), users, anonymous }];
        self.0.exchange(MembersUpdate { topics, is_whole: false, watched: vec![hall()] }).await.unwrap()
    }

    async fn quiet(&self) -> Result<MembersNews, MembersAway> {
        let watched = vec![hall()];
        self.0.exchange(MembersUpdate { topics: Vec::new(), is_whole: false, watched }).await
    }

    async fn elsewhere(&self) -> Elsewhere {
        self.0.read(&hall()).await.unwrap()
    }
}

fn hall() -> Topic {
    Topic::parse("hall").unwrap()
}

fn id(user: &str) -> MemberId {
    MemberId { user: user.into(), tenant: None }
}

fn there(at_unix_ms: u64, mood: Option<&str>) -> MemberThere {
    MemberThere { at_unix_ms, info: mood.map(|mood| Payload::from(json!({ "mood": mood }))) }
}

fn here() -> Option<MemberThere> {
    Some(there(1, None))
}

/// What became of the hall: `occupied`, `joined alice`.
fn turned(news: &MembersNews) -> Vec<String> {
    let word = |turn| match turn {
        PresenceTurn::Occupied => "occupied",
        PresenceTurn::Vacated => "vacated",
        PresenceTurn::Joined => "joined",
        PresenceTurn::Left => "left",
    };
    let show = |who: &Option<MemberId>| who.as_ref().map(|who| format!(" {}", who.user)).unwrap_or_default();
    news.turned.iter().map(|(_, turn, who)| format!("{}{}", word(*turn), show(who))).collect()
}

fn users(elsewhere: &Elsewhere) -> Vec<String> {
    let mut users: Vec<String> = elsewhere.users.keys().map(|who| who.user.to_string()).collect();
    users.sort();
    users
}

on_each_broker!(
    a_user_comes_with_the_first_node_and_leaves_with_the_last,
    a_node_hears_of_the_topics_that_changed_and_of_no_others,
    a_user_who_comes_and_leaves_on_two_nodes_at_the_same_instant_turns_once,
    the_members_of_a_node_that_died_leave_within_15_s_and_those_who_are_elsewhere_stay,
    a_node_whose_lease_was_over_has_to_tell_everything_again,
    nobody_leaves_because_the_broker_was_away_and_another_node_came_back_later,
);

async fn a_user_comes_with_the_first_node_and_leaves_with_the_last(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    assert_eq!(turned(&a.tell(&[("alice", here())], 0).await), ["occupied", "joined alice"]);
    assert_eq!(turned(&b.tell(&[("alice", here()), ("bob", here())], 2).await), ["joined bob"]);
    assert_eq!(turned(&a.tell(&[("alice", here())], 0).await), [""; 0], "told again it is the same");
    assert_eq!(turned(&a.tell(&[("alice", None)], 0).await), [""; 0]);
    let on_b = a.elsewhere().await;
    assert_eq!((users(&on_b), on_b.anonymous), (vec!["alice".to_owned(), "bob".to_owned()], 2));
    assert_eq!(users(&b.elsewhere().await), [""; 0]);
    assert_eq!(turned(&b.tell(&[("alice", None), ("bob", None)], 1).await), ["left alice", "left bob"]);
    assert_eq!(turned(&b.tell(&[], 0).await), ["vacated"]);
}

async fn a_node_hears_of_the_topics_that_changed_and_of_no_others(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    a.tell(&[("alice", Some(there(5, Some("calm"))))], 0).await;
    let heard = b.quiet().await.unwrap().elsewhere;
    assert_eq!(heard[0].1.users[&id("alice")], there(5, Some("calm")));
    assert_eq!(b.quiet().await.unwrap().elsewhere, []);
    a.tell(&[("alice", Some(there(6, Some("busy"))))], 0).await;
    assert_eq!(b.quiet().await.unwrap().elsewhere[0].1.users[&id("alice")], there(6, Some("busy")));
}

async fn a_user_who_comes_and_leaves_on_two_nodes_at_the_same_instant_turns_once(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    let (comes, leaves) = ([("alice", here())], [("alice", None)]);
    for _ in 0..50 {
        let (one, other) = tokio::join!(a.tell(&comes, 0), b.tell(&comes, 0));
        let mut both = [turned(&one), turned(&other)].concat();
        both.sort();
        assert_eq!(both, ["joined alice", "occupied"]);
        let (one, other) = tokio::join!(a.tell(&leaves, 0), b.tell(&leaves, 0));
        let mut both = [turned(&one), turned(&other)].concat();
        both.sort();
        assert_eq!(both, ["left alice", "vacated"]);
    }
}

async fn the_members_of_a_node_that_died_leave_within_15_s_and_those_who_are_elsewhere_stay(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    a.tell(&[("alice", here()), ("bob", here())], 3).await;
    b.tell(&[("alice", here())], 0).await;
    drop(a);
    let died = Instant::now();
    let mut seen = Vec::new();
    while !seen.contains(&"left bob".to_owned()) {
        sleep(Duration::from_millis(200)).await;
        seen.extend(turned(&b.quiet().await.unwrap()));
        assert!(died.elapsed() < Duration::from_secs(15), "{seen:?}");
    }
    assert_eq!(seen, ["left bob"]);
    assert!(died.elapsed() > Duration::from_secs(5), "a node that is slow for a moment is not dead");
    assert_eq!(b.elsewhere().await, Elsewhere::default());
    assert_eq!(turned(&b.tell(&[("alice", None)], 0).await), ["left alice", "vacated"]);
}

async fn a_node_whose_lease_was_over_has_to_tell_everything_again(kind: BrokerKind) {
    let mut server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    a.tell(&[("alice", here()), ("bob", here())], 0).await;
    server.restart();
    let began = Instant::now();
    // The connection is made anew, and then the lease is not there.
    while a.quiet().await.unwrap_err().0 != "the lease of this node was over" {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(turned(&a.whole(&["alice"], 1).await.unwrap()), ["occupied", "joined alice"]);
    while b.whole(&[], 0).await.is_err() {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    let on_a = b.elsewhere().await;
    assert_eq!((users(&on_a), on_a.anonymous), (vec!["alice".to_owned()], 1));
    assert_eq!(turned(&a.whole(&["carol"], 0).await.unwrap()), ["joined carol", "left alice"]);
    assert_eq!(turned(&a.whole(&[], 0).await.unwrap()), ["left carol", "vacated"]);
}

async fn nobody_leaves_because_the_broker_was_away_and_another_node_came_back_later(kind: BrokerKind) {
    let mut server = BrokerServer::start(kind);
    let (a, b) = (Node::ready(&server).await, Node::ready(&server).await);
    a.tell(&[("alice", here())], 0).await;
    b.tell(&[("bob", here())], 0).await;
    assert_eq!(users(&a.quiet().await.unwrap().elsewhere[0].1), ["bob"]);
    server.restart();
    let began = Instant::now();
    while a.whole(&["alice"], 0).await.is_err() {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(a.quiet().await.unwrap().elsewhere.is_empty(), "b has not told anything yet");
    while b.whole(&["bob"], 0).await.is_err() {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    let heard = loop {
        assert!(began.elapsed() < PATIENCE);
        if let Some((_, heard)) = a.quiet().await.unwrap().elsewhere.pop() {
            break heard;
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(users(&heard), ["bob"]);
}
