//! The outbox: what a transaction published crosses once it has committed, in order, whatever happens to PostgreSQL.
//!
//! `psql` blocks the thread that waits for it; the node goes on in others.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use crate::sources::{Node, until};
use tidegate_testkit::PostgresServer;

/// `poll` is so long that only notifications wake the node, where a test does not say otherwise.
fn bus(postgres: &PostgresServer, more: &str) -> String {
    let poll = if more.contains("poll:") { "" } else { ", poll: 30s" };
    format!("[postgres: {{ url: '{}'{poll}{more} }}]", postgres.url())
}

fn publish(postgres: &PostgresServer, numbers: impl IntoIterator<Item = i64>) {
    let calls: Vec<String> = numbers.into_iter().map(call).collect();
    postgres.sql(&calls.join(";"));
}

fn call(number: i64) -> String {
    format!("select tidegate_publish('told', jsonb_build_object('n', {number}), key => 'k', source => '/test')")
}

/// Waits until the node has its cursor: from then on rows are for it.
async fn cursor(postgres: &PostgresServer, node: &str) {
    until("the table", async || postgres.sql("select to_regclass('tidegate_outbox_cursors') is not null") == "t").await;
    let is_there = format!("select count(*) from tidegate_outbox_cursors where node = '{node}'");
    until("the cursor", async || postgres.sql(&is_there) == "1").await;
}

async fn empty(postgres: &PostgresServer) {
    until("every row's end", async || postgres.sql("select count(*) from tidegate_outbox") == "0").await;
}

/// A session of an application that stays open.
struct Session {
    psql: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn open(postgres: &PostgresServer) -> Self {
        let mut command = postgres.psql();
        let mut psql = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(psql.stdout.take().unwrap());
        Self { psql, answers }
    }

    /// Runs statements, and returns once they are done.
    fn run(&mut self, statements: &str) {
        writeln!(self.psql.stdin.as_mut().unwrap(), "{statements};\n\\echo done").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "psql ended: {statements}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_crosses_in_order_once_it_is_committed_and_is_deleted_then() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ", batch: 10"));
    cursor(&postgres, "a").await;
    publish(&postgres, 1..=45);
    assert_eq!(node.numbers(45).await, (1..=45).collect::<Vec<_>>());
    // Rolled back, it never was; a row inserted by hand is as good.
    postgres.sql(&format!("begin; {}; rollback", call(46)));
    postgres.sql("insert into tidegate_outbox (type, data) values ('told', '{\"n\": 47}')");
    assert_eq!(node.numbers(46).await.last(), Some(&47));
    empty(&postgres).await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_commits_late_with_a_lower_id_is_not_passed_over_and_holds_up_nothing() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ", batch: 2"));
    cursor(&postgres, "a").await;
    let (mut older, mut late) = (Session::open(&postgres), Session::open(&postgres));
    // A transaction that has a number before all others, and inserts nothing yet.
    older.run("begin; select pg_current_xact_id()");
    late.run(&format!("begin; {}", call(1)));
    publish(&postgres, [2, 3, 4]);
    assert_eq!(node.numbers(3).await, [2, 3, 4]);
    older.run(&format!("{}; commit", call(5)));
    assert_eq!(node.numbers(4).await, [2, 3, 4, 5]);
    publish(&postgres, [6]);
    assert_eq!(node.numbers(5).await, [2, 3, 4, 5, 6]);
    late.run("commit");
    assert_eq!(node.numbers(6).await, [2, 3, 4, 5, 6, 1]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_one_key_keep_the_order_that_their_transactions_have() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    postgres.sql("create table account (id int primary key, n int); insert into account values (1, 0)");
    // Each changes the same row and then publishes what it made of it; one has its number long before it comes to that.
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let mut session = Session::open(&postgres);
            std::thread::spawn(move || {
                for _ in 0..25 {
                    session.run(
                        "begin; select pg_current_xact_id(); update account set n = n + 1 where id = 1;
                        select tidegate_publish('told', jsonb_build_object('n', n), key => '1') from account; commit",
                    );
                }
            })
        })
        .collect();
    assert_eq!(node.numbers(100).await, (1..=100).collect::<Vec<_>>());
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fan_out_every_node_gets_every_row_and_a_row_is_kept_until_then() {
    let postgres = PostgresServer::start();
    let nodes = ["a", "b"].map(|name| Node::start(name, &bus(&postgres, "")));
    cursor(&postgres, "a").await;
    cursor(&postgres, "b").await;
    publish(&postgres, [1, 2]);
    for node in &nodes {
        assert_eq!(node.numbers(2).await, [1, 2]);
    }
    let [a, b] = nodes;
    b.end().await;
    publish(&postgres, [3]);
    assert_eq!(a.numbers(3).await, [1, 2, 3]);
    a.end().await;
    let b = Node::start("b", &bus(&postgres, ""));
    assert_eq!(b.numbers(1).await, [3]);
    empty(&postgres).await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_shared_one_node_reads_and_another_takes_over_when_it_is_gone() {
    let postgres = PostgresServer::start();
    let shared = bus(&postgres, ", mode: shared, poll: 1s");
    let first = Node::start("a", &shared);
    cursor(&postgres, "*").await;
    let second = Node::start("b", &shared);
    publish(&postgres, 1..=10);
    assert_eq!(first.numbers(10).await, (1..=10).collect::<Vec<_>>());
    // Killed sooner it might not have let go of them, and they would be read again.
    empty(&postgres).await;
    // What was published while no node was there waits for the first one.
    first.kill();
    publish(&postgres, 11..=20);
    assert_eq!(second.numbers(10).await, (11..=20).collect::<Vec<_>>());
    second.end().await;
    publish(&postgres, [21]);
    let third = Node::start("c", &shared);
    assert_eq!(third.numbers(1).await, [21]);
    third.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_of_one_name_do_not_take_rows_from_one_another() {
    let postgres = PostgresServer::start();
    let first = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    let second = Node::start("a", &bus(&postgres, ", poll: 1s"));
    publish(&postgres, 1..=10);
    assert_eq!(first.numbers(10).await, (1..=10).collect::<Vec<_>>());
    first.end().await;
    publish(&postgres, [11]);
    assert_eq!(second.numbers(1).await, [11]);
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_for_a_node_that_is_gone_for_too_long_nor_for_ever() {
    let postgres = PostgresServer::start();
    for name in ["gone", "slow"] {
        let node = Node::start(name, &bus(&postgres, ""));
        cursor(&postgres, name).await;
        node.end().await;
    }
    publish(&postgres, [1, 2]);
    postgres.sql("update tidegate_outbox_cursors set seen_at = seen_at - interval '2 hours' where node = 'gone'");
    postgres.sql("update tidegate_outbox set created_at = created_at - interval '8 days' where data->>'n' = '1'");
    let node = Node::start("a", &bus(&postgres, ""));
    until("the old row's end", async || postgres.sql("select data->>'n' from tidegate_outbox") == "2").await;
    assert_eq!(postgres.sql("select node from tidegate_outbox_cursors order by node"), "a\nslow");
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_restarted_killed_or_stands_still_is_read_on() {
    let mut postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ", timeout: 1s, poll: 100ms, outbox: still"));
    until("the table", async || postgres.sql("select to_regclass('still_cursors') is not null") == "t").await;
    until("the cursor", async || postgres.sql("select count(*) from still_cursors") == "1").await;
    let publish = |postgres: &PostgresServer, numbers: std::ops::RangeInclusive<i64>| {
        let calls: Vec<String> = numbers.map(|n| call(n).replace("tidegate_publish", "still_publish")).collect();
        postgres.sql(&calls.join(";"));
    };
    publish(&postgres, 1..=10);
    node.numbers(10).await;
    postgres.restart();
    publish(&postgres, 11..=20);
    node.numbers(20).await;
    postgres.kill();
    postgres.restart();
    publish(&postgres, 21..=30);
    node.numbers(30).await;
    postgres.freeze();
    let is_away = r#"tidegate_bus_source_up{source="postgres:still"} 0"#;
    until("the node to notice", async || tidegate_core::telemetry::render().contains(is_away)).await;
    postgres.thaw();
    publish(&postgres, 31..=40);
    assert_eq!(node.numbers(40).await, (1..=40).collect::<Vec<_>>());
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_may_insert_and_nothing_else_publishes_and_learns_the_id() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    postgres.sql("create role shop; grant insert on tidegate_outbox to shop");
    let id = postgres.sql("set role shop; select tidegate_publish('told', '{\"n\": 1}')");
    assert_eq!(uuid::Uuid::parse_str(id.trim()).map(|_| ()), Ok(()), "{id}");
    let named = postgres.sql("set role shop; select tidegate_publish('told', '{\"n\": 2}', id => 'mine')");
    assert_eq!(named.trim(), "mine");
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}

/// The function of the first version, which asks for more rights than an application has.
const EARLIER: &str =
    "create or replace function tidegate_publish(type text, data jsonb default 'null', key text default null,
    source text default '/postgres', subject text default null, id text default null) returns text language sql as $$
    insert into tidegate_outbox (type, data, key, source, subject, event_id)
    values ($1, coalesce($2, 'null'), $3, coalesce($4, '/postgres'), $5, coalesce($6, gen_random_uuid()::text))
    returning event_id $$;
    comment on function tidegate_publish is null";
const VERSION: &str = "select obj_description('tidegate_publish'::regproc, 'pg_proc')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_of_an_outbox_that_an_earlier_version_made_is_renewed_and_no_insert_waits_for_it() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    node.end().await;
    let version = postgres.sql(VERSION);
    postgres.sql(EARLIER);
    // An application in the middle of a transaction.
    let mut application = Session::open(&postgres);
    application.run(&format!("begin; {}", call(1)));
    let node = Node::start("a", &bus(&postgres, ""));
    until("the version", async || postgres.sql(VERSION) == version).await;
    application.run("commit");
    postgres.sql("create role shop; grant insert on tidegate_outbox to shop");
    postgres.sql("set role shop; select tidegate_publish('told', '{\"n\": 2}')");
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_could_not_be_renewed_in_time_are_renewed_as_soon_as_they_can() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    node.end().await;
    let version = postgres.sql(VERSION);
    postgres.sql(EARLIER);
    // Another node renews them, and takes longer than this one waits.
    let mut other = Session::open(&postgres);
    other.run("begin; select pg_advisory_xact_lock(hashtext('tidegate outbox'), hashtext('tidegate_outbox'))");
    let node = Node::start("a", &bus(&postgres, ", timeout: 500ms"));
    // The second connection that waits is of the second session: the first one did not give the functions up.
    let waiting = "select coalesce(string_agg(pid::text, ','), '') from pg_stat_activity where wait_event = 'advisory'";
    let mut seen = BTreeSet::new();
    until("a second try", async || {
        seen.extend(postgres.sql(waiting).trim().split(',').filter(|pid| !pid.is_empty()).map(str::to_owned));
        seen.len() >= 2
    })
    .await;
    other.run("commit");
    until("the version", async || postgres.sql(VERSION) == version).await;
    publish(&postgres, [1]);
    assert_eq!(node.numbers(1).await, [1]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_the_role_may_not_renew_hold_up_no_row() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    node.end().await;
    postgres.sql(EARLIER);
    let earlier = postgres.sql(VERSION);
    postgres.sql(
        "create role guest login password 'guest'; grant select, update, delete on tidegate_outbox to guest;
        grant select, insert, update, delete on tidegate_outbox_cursors to guest",
    );
    let url = postgres.url();
    let (_, at) = url.split_once('@').unwrap();
    let node = Node::start("a", &format!("[postgres: {{ url: 'postgres://guest:guest@{at}', poll: 100ms }}]"));
    publish(&postgres, [1]);
    assert_eq!(node.numbers(1).await, [1]);
    node.end().await;
    assert_eq!(postgres.sql(VERSION), earlier);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_of_a_later_version_is_left_alone() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    node.end().await;
    postgres.sql("comment on function tidegate_publish is 'tidegate outbox, version 999'");
    let node = Node::start("a", &bus(&postgres, ""));
    publish(&postgres, [1]);
    assert_eq!(node.numbers(1).await, [1]);
    node.end().await;
    assert_eq!(postgres.sql(VERSION), "tidegate outbox, version 999");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_counts_as_unread_until_it_was_read_once() {
    let postgres = PostgresServer::start();
    let url = postgres.url().replace("tidegate:", "stranger:");
    let node = Node::start("a", &format!("[postgres: {{ url: '{url}' }}]"));
    assert_eq!(node.unread(), ["postgres:tidegate_outbox"]);
    node.kill();
    let mut node = Node::start("a", &bus(&postgres, ""));
    until("the first reading", async || node.unread().is_empty()).await;
    node.end().await;
    // Another process under its name reads it.
    node = Node::start("a", &bus(&postgres, ""));
    until("the first reading", async || node.unread().is_empty()).await;
    let twin = Node::start("a", &bus(&postgres, ""));
    until("the twin's knowledge", async || twin.unread().is_empty()).await;
    twin.end().await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_no_event_is_a_dead_letter_and_stops_nothing() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    publish(&postgres, [1]);
    postgres.sql("select tidegate_publish('', '{}')");
    postgres.sql("select tidegate_publish('told', '{}', source => 'no uri')");
    postgres.sql("select tidegate_publish('told', to_jsonb(repeat('x', 100000)))");
    postgres.sql("select tidegate_publish('told', '{}')");
    postgres.sql("insert into tidegate_outbox (type, time) values ('told', 'infinity'), ('told', '-infinity')");
    postgres.sql("insert into tidegate_outbox (type, created_at) values ('', 'infinity')");
    publish(&postgres, [2]);
    assert_eq!(node.numbers(2).await, [1, 2]);
    empty(&postgres).await;
    let letters = node.end().await.dead_letters.list();
    let reasons: Vec<&str> = letters.iter().rev().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons.len(), 7, "{reasons:#?}");
    const PARTS: [&str; 7] =
        ["`type`", "`source`", "limits.payload", "invalid_payload", "not a valid time", "not a valid time", "`type`"];
    for (reason, part) in reasons.iter().zip(PARTS) {
        assert!(reason.contains(part), "{reason}");
    }
}

/// Rows with these ids, which are their numbers.
fn with_ids(from: i64, to: i64) -> String {
    format!(
        "insert into tidegate_outbox (id, type, data)
        select n, 'told', jsonb_build_object('n', n) from generate_series({from}, {to}) n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_ids_are_zero_and_below_cross_in_order_as_any_other() {
    let postgres = PostgresServer::start();
    let bus = bus(&postgres, ", batch: 2");
    let node = Node::start("a", &bus);
    cursor(&postgres, "a").await;
    // With batches of two, one begins behind -2, one behind 0.
    postgres.sql(&with_ids(-3, 3));
    assert_eq!(node.numbers(7).await, (-3..=3).collect::<Vec<_>>());
    node.end().await;
    postgres.sql("delete from tidegate_outbox");
    // A cursor that has begun nothing stands at no row, whatever number is beside it; one that has stands at any.
    assert_eq!(postgres.sql("select reading_to is null, after_id from tidegate_outbox_cursors"), "t|0");
    postgres.sql(&with_ids(-12, -10));
    let node = Node::start("a", &bus);
    assert_eq!(node.numbers(3).await, [-12, -11, -10]);
    node.end().await;
    postgres.sql("delete from tidegate_outbox");
    for (after, rest) in [(-1, vec![0, 1]), (0, vec![1])] {
        postgres.sql(&with_ids(-1, 1));
        postgres
            .sql(&format!("update tidegate_outbox_cursors set reading_to = pg_current_snapshot(), after_id = {after}"));
        let node = Node::start("a", &bus);
        assert_eq!(node.numbers(rest.len()).await, rest);
        assert_eq!(node.end().await.delivered().len(), rest.len());
        postgres.sql("delete from tidegate_outbox");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_that_was_dropped_is_made_again_and_read_by_those_that_run() {
    let postgres = PostgresServer::start();
    let nodes = ["a", "b"].map(|name| Node::start(name, &bus(&postgres, ", poll: 100ms")));
    for name in ["a", "b"] {
        cursor(&postgres, name).await;
    }
    publish(&postgres, [1]);
    for node in &nodes {
        node.numbers(1).await;
    }
    // Its function and the cursors stay.
    postgres.sql("drop table tidegate_outbox");
    until("the table", async || postgres.sql("select to_regclass('tidegate_outbox') is not null") == "t").await;
    publish(&postgres, [2, 3]);
    for node in nodes {
        assert_eq!(node.numbers(3).await, [1, 2, 3]);
        node.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_cursors_were_lost_no_row_is_and_whoever_runs_goes_on_where_it_was() {
    let postgres = PostgresServer::start();
    let polling = bus(&postgres, ", poll: 100ms");
    // One that remembers no event: what it read twice would arrive twice.
    let runs = Node::limited("runs", &polling, |limits| limits.duplicates_max = 0);
    cursor(&postgres, "runs").await;
    let rests = Node::start("rests", &polling);
    cursor(&postgres, "rests").await;
    rests.end().await;
    publish(&postgres, [1, 2]);
    assert_eq!(runs.numbers(2).await, [1, 2]);
    postgres.sql(&format!("drop table tidegate_outbox_cursors; {}", call(3)));
    assert_eq!(runs.numbers(3).await, [1, 2, 3]);
    until("the gap", async || runs.server.rooms.gaps() == ["positions"]).await;
    let rests = Node::start("rests", &polling);
    assert_eq!(rests.numbers(3).await, [1, 2, 3]);
    publish(&postgres, [4]);
    assert_eq!(rests.numbers(4).await, [1, 2, 3, 4]);
    assert_eq!(runs.numbers(4).await, [1, 2, 3, 4]);
    rests.end().await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_forgotten_while_it_ran_goes_on_where_it_was_and_tells_a_gap() {
    let postgres = PostgresServer::start();
    let node = Node::limited("a", &bus(&postgres, ", poll: 100ms"), |limits| limits.duplicates_max = 0);
    cursor(&postgres, "a").await;
    publish(&postgres, [1]);
    node.numbers(1).await;
    postgres.sql(&format!("begin; delete from tidegate_outbox_cursors where node = 'a'; {}; commit", call(2)));
    assert_eq!(node.numbers(2).await, [1, 2]);
    cursor(&postgres, "a").await;
    publish(&postgres, [3]);
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    until("the gap", async || node.server.rooms.gaps() == ["positions"]).await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_is_read_from_its_beginning() {
    let postgres = PostgresServer::start();
    let node = Node::start("a", &bus(&postgres, ""));
    cursor(&postgres, "a").await;
    node.end().await;
    // As a dump looks in another cluster: its numbers are from a life that was longer.
    publish(&postgres, [1]);
    postgres.sql("update tidegate_outbox set xid = '900000000'");
    postgres.sql("update tidegate_outbox_cursors set read_to = '800000000:800000000:'");
    let node = Node::start("a", &bus(&postgres, ""));
    assert_eq!(node.numbers(1).await, [1]);
    publish(&postgres, [2]);
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}
