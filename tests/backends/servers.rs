//! The servers of the kit themselves: what other tests rely on.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use redis::Commands as _;

use tidegate_testkit::{NatsServer, PostgresServer, RedisServer};

fn connect(redis: &RedisServer) -> redis::Connection {
    redis::Client::open(redis.url()).unwrap().get_connection().unwrap()
}

fn value(redis: &RedisServer) -> Option<String> {
    connect(redis).get("key").unwrap()
}

#[test]
fn a_redis_forgets_everything_when_it_is_killed() {
    let mut redis = RedisServer::start();
    let _: () = connect(&redis).set("key", "kept").unwrap();
    assert_eq!(value(&redis).as_deref(), Some("kept"));
    redis.kill();
    assert!(redis::Client::open(redis.url()).unwrap().get_connection().is_err());
    redis.restart();
    assert_eq!(value(&redis), None);
}

#[test]
fn a_persistent_redis_keeps_what_it_answered() {
    let mut redis = RedisServer::persistent();
    let _: () = connect(&redis).set("key", "kept").unwrap();
    redis.kill();
    redis.restart();
    assert_eq!(value(&redis).as_deref(), Some("kept"));
    redis.restart();
    assert_eq!(value(&redis).as_deref(), Some("kept"));
}

#[test]
fn a_frozen_redis_keeps_its_connections_and_answers_later() {
    let redis = RedisServer::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).unwrap();
    redis.freeze();
    stream.write_all(b"HELLO\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut byte = [0];
    assert!(stream.read(&mut byte).is_err(), "it answered");
    redis.thaw();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(stream.read(&mut byte).unwrap(), 1);
}

/// What the JetStream of a NATS answers to a request.
fn ask(nats: &NatsServer, subject: &str, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, nats.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let url = nats.url();
    let (user, password) = url.trim_start_matches("nats://").split_once('@').unwrap().0.split_once(':').unwrap();
    let hello = format!(r#"CONNECT {{"verbose":false,"user":"{user}","pass":"{password}"}}"#);
    write!(stream, "{hello}\r\nSUB answers 1\r\nPUB {subject} answers {}\r\n{request}\r\n", request.len()).unwrap();
    let mut answer = String::new();
    let mut part = [0; 4096];
    while !answer.contains("io.nats.jetstream.api") {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    answer
}

fn has_stream(nats: &NatsServer) -> bool {
    !ask(nats, "$JS.API.STREAM.INFO.KEPT", "").contains("stream not found")
}

#[test]
fn a_nats_forgets_everything_when_it_is_killed_and_a_persistent_one_nothing() {
    for (mut nats, keeps) in [(NatsServer::start(), false), (NatsServer::persistent(), true)] {
        ask(&nats, "$JS.API.STREAM.CREATE.KEPT", r#"{"name":"KEPT","subjects":["kept"],"storage":"file"}"#);
        assert!(has_stream(&nats));
        nats.kill();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, nats.port())).is_err());
        nats.restart();
        assert_eq!(has_stream(&nats), keeps);
    }
}

#[test]
fn a_postgres_keeps_what_was_committed_however_it_ends() {
    let mut postgres = PostgresServer::start();
    postgres.sql("create table kept (n int)");
    postgres.sql("insert into kept values (1)");
    postgres.kill();
    postgres.restart();
    postgres.sql("insert into kept values (2)");
    postgres.restart();
    assert_eq!(postgres.sql("select n from kept order by n"), "1\n2");
}

#[test]
fn a_frozen_postgres_answers_nobody_until_it_is_thawed() {
    let postgres = PostgresServer::start();
    assert_eq!(postgres.sql("select 1"), "1");
    postgres.freeze();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| postgres.sql("select 2"));
        // Nothing can be awaited that does not happen; a server that goes on would answer in this time.
        std::thread::sleep(Duration::from_millis(300));
        assert!(!asked.is_finished());
        postgres.thaw();
        assert_eq!(asked.join().unwrap(), "2");
    });
}
