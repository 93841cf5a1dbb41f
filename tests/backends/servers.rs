//! The servers of the kit themselves: what other tests rely on.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use redis::Commands as _;

use tidegate_testkit::{PostgresServer, RedisServer};

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
