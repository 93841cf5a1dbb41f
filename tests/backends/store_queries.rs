//! Named queries of a PostgreSQL store: of the company's own tables, in its own types, and never more than a question.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_backends::store::{PostgresLook, PostgresStore};
use tidegate_core::flow::queries::{ColumnKind, Queries, Query, QueryBounds, QueryError, QueryMistake, QueryParam};
use tokio::time::timeout;

use crate::store_kit::{SETTINGS, node};
use tidegate_testkit::PostgresServer;

const BOUNDS: QueryBounds = QueryBounds { rows_max: 100, bytes_max: 1024, time_max: Duration::from_secs(10) };
const TABLES: &str = "create type role as enum ('reader', 'editor');
    create table members (vault uuid, person text, role role, since timestamptz, active boolean, share numeric);
    insert into members values
        ('7f1f3a1e-0000-4000-8000-000000000001', 'u1', 'editor', '2026-01-02 03:04:05+00', true, 0.5),
        ('7f1f3a1e-0000-4000-8000-000000000001', 'u2', 'reader', null, false, 'NaN');";
const VAULT: &str = "7f1f3a1e-0000-4000-8000-000000000001";

fn text(text: &str) -> QueryParam {
    QueryParam::Text(text.to_owned())
}

async fn run(queries: &dyn Queries, query: &Query, params: &[QueryParam]) -> Result<Value, QueryError> {
    let answer = queries.run(query, params, BOUNDS).await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

async fn ask(queries: &dyn Queries, sql: &str, params: &[QueryParam]) -> Result<Value, QueryError> {
    let query = queries.prepare(sql).await.unwrap_or_else(|mistake| panic!("{sql}: {mistake}"));
    run(queries, &query, params).await
}

fn company() -> (PostgresServer, PostgresStore) {
    let postgres = PostgresServer::start();
    postgres.sql(TABLES);
    let store = node(&postgres.url());
    (postgres, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_take_the_types_of_the_columns_and_values_keep_theirs() {
    let (postgres, store) = company();
    let mine = "select role, since, active from members where vault = $1 and person = $2; -- mine";
    let answer = ask(&store, mine, &[text(VAULT), text("u1")]).await;
    let expected = json!([{ "role": "editor", "since": "2026-01-02T03:04:05+00:00", "active": true }]);
    assert_eq!(answer, Ok(expected));
    assert_eq!(ask(&store, mine, &[text(VAULT), text("' or true --")]).await, Ok(json!([])));
    let of_role = "select person from members where role = $1 and active = $2 and share < $3 limit $4";
    let params = [text("editor"), QueryParam::Bool(true), QueryParam::Real(0.75), QueryParam::Integer(5)];
    assert_eq!(ask(&store, of_role, &params).await, Ok(json!([{ "person": "u1" }])));
    let any = "with wanted as (select unnest($1::text[]) as person) select share from members join wanted using (person) order by 1";
    assert_eq!(ask(&store, any, &[text("{u1,u2}")]).await, Ok(json!([{ "share": 0.5 }, { "share": null }])));
    let echo = "select $1::int8 as a, $2::bool as b, $3 as c, $4::float8 as d, $5::jsonb as e, '\\x00ff'::bytea as f, \
                'infinity'::float8 as g, array[1, 2] as h, null::text as \"i'\"\"\"";
    let params = [
        QueryParam::Integer(-9_007_199_254_740_993),
        QueryParam::Null,
        text("ü\"\n"),
        QueryParam::Real(1.5),
        text("[1]"),
    ];
    let expected = json!([{
        "a": -9_007_199_254_740_993_i64, "b": null, "c": "ü\"\n", "d": 1.5, "e": [1], "f": "AP8=", "g": null,
        "h": [1, 2], "i'\"": null,
    }]);
    assert_eq!(ask(&store, echo, &params).await, Ok(expected));
    let star = store.prepare("select * from members where person = $1").await.unwrap();
    postgres.sql("alter table members add column note text default 'n'");
    assert_eq!(run(&store, &star, &[text("u1")]).await.unwrap()[0]["note"], "n");
    postgres.sql("drop table members");
    let gone = run(&store, &star, &[text("u1")]).await;
    assert_eq!(gone, Err(QueryError::Unavailable("relation \"members\" does not exist".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_of_another_type_is_told_and_not_guessed() {
    let (_postgres, store) = company();
    for (sql, param, told) in [
        ("select 1 as one from members where vault = $1", text("v1"), "invalid input syntax for type uuid"),
        ("select 1 as one from members where role = $1", text("owner"), "invalid input value for enum role"),
        ("select $1::int4 as n", QueryParam::Integer(1 << 40), "out of range for type integer"),
        ("select $1::text as t", text("\0"), "invalid byte sequence"),
    ] {
        match ask(&store, sql, &[param]).await {
            Err(QueryError::Params(why)) => assert!(why.contains(told), "{sql}: {why}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_before_it_is_asked() {
    let (postgres, store) = company();
    postgres.sql(
        "create table hidden (a int); create role guest login password 'guest';
         create sequence numbers",
    );
    let url = postgres.url().replace("tidegate:a-postgres-password", "guest:guest");
    let guest = PostgresLook::at(url.parse().unwrap(), SETTINGS);
    for (sql, told) in [
        ("selec role from members", "is not a query"),
        ("select role fro members", "syntax error"),
        ("select team from members", "column \"team\" does not exist"),
        ("select role from nowhere", "relation \"nowhere\" does not exist"),
        ("select role from members; select 1", "is more than one statement"),
        ("delete from members", "is not a query"),
        ("with gone as (delete from members returning 1) select * from gone", "data-modifying"),
        ("with made as (insert into members default values returning 1) select 1 as x", "data-modifying"),
        ("select * into copied from members", "not allowed here"),
        ("select person from members for update", "read-only transaction"),
        ("select person from members for share", "read-only transaction"),
        ("set role postgres", "is not a query"),
        ("copy members to stdout", "is not a query"),
        ("listen x", "is not a query"),
        ("do $$ begin end $$", "is not a query"),
        ("select set_config('transaction_read_only', 'off', false) as x", "does more than read"),
        ("select pg_sleep(1) as x", "does more than read"),
        ("select pg_advisory_lock(1) as x", "does more than read"),
        ("select nextval('numbers') as x", "does more than read"),
        ("select role, vault as role from members", "has two columns `role`"),
        ("select $2::int as a", "has `$2` but no `$1`"),
        ("select 1) as a, (select 2", "syntax error"),
    ] {
        match store.prepare(sql).await {
            Err(QueryMistake::Refused(why)) => assert!(why.contains(told), "{sql}: {why}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    match guest.prepare("select a from hidden").await {
        Err(QueryMistake::Refused(why)) => assert!(why.contains("permission denied for table hidden"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(postgres.sql("select count(*) from members"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_the_company_writes_nothing_either_and_leaves_nothing_behind() {
    let (postgres, store) = company();
    postgres.sql(
        "create function writes() returns int language plpgsql as $$ begin delete from members; return 1; end $$;
         create function sets() returns text language sql as $$ select set_config('default_transaction_read_only', 'off', false) $$;
         create function locks() returns text language sql as $$ select pg_advisory_lock(7)::text $$;",
    );
    match ask(&store, "select writes() as x", &[]).await {
        Err(QueryError::Unavailable(why)) => assert!(why.contains("read-only transaction"), "{why}"),
        other => panic!("{other:?}"),
    }
    for _ in 0..4 {
        ask(&store, "select sets() as x, locks() as y", &[]).await.unwrap();
    }
    let setting = "select current_setting('default_transaction_read_only') as x";
    assert_eq!(ask(&store, setting, &[]).await, Ok(json!([{ "x": "off" }])), "of the server itself");
    assert_eq!(postgres.sql("select count(*) from pg_locks where locktype = 'advisory'"), "0");
    assert!(ask(&store, "select writes() as x", &[]).await.is_err());
    assert_eq!(postgres.sql("select count(*) from members"), "2");
}

const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n where i < 0";
const UNDER_WAY: &str = "select count(*) from pg_stat_activity where state = 'active' and query like '%recursive n%' and pid <> pg_backend_pid()";

/// Until the server works on no such query any more.
async fn until_idle(postgres: &PostgresServer) {
    let idle = async {
        while postgres.sql(UNDER_WAY) != "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), idle).await.expect("a query went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_an_end_is_ended_by_its_time_and_by_whoever_goes_away() {
    let (postgres, store) = company();
    let endless = store.prepare(ENDLESS).await.unwrap();
    let bounds = QueryBounds { time_max: Duration::from_millis(100), ..BOUNDS };
    match store.run(&endless, &[], bounds).await {
        Err(QueryError::Unavailable(why)) => assert!(why.contains("statement timeout"), "{why}"),
        other => panic!("{other:?}"),
    }
    // More of them than there are connections, with all the time of the world.
    for _ in 0..5 {
        timeout(Duration::from_millis(100), store.run(&endless, &[], BOUNDS)).await.unwrap_err();
    }
    until_idle(&postgres).await;
    assert_eq!(ask(&store, "select 1 as one", &[]).await, Ok(json!([{ "one": 1 }])));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_bounded_in_rows_and_bytes() {
    let (_postgres, store) = company();
    let count = "select i from generate_series(1, $1::int) as i";
    assert_eq!(ask(&store, count, &[QueryParam::Integer(100)]).await.unwrap().as_array().unwrap().len(), 100);
    assert_eq!(ask(&store, count, &[QueryParam::Integer(101)]).await, Err(QueryError::TooManyRows));
    let without_end = "select generate_series(1, $1::int) as i";
    assert_eq!(ask(&store, without_end, &[QueryParam::Integer(2_000_000_000)]).await, Err(QueryError::TooManyRows));
    let long = "select repeat('x', $1::int) as x";
    // `[{"x":"` and `"}]` are ten bytes.
    assert!(ask(&store, long, &[QueryParam::Integer(1014)]).await.is_ok());
    assert_eq!(ask(&store, long, &[QueryParam::Integer(1015)]).await, Err(QueryError::TooManyBytes));
    assert_eq!(ask(&store, long, &[QueryParam::Integer(100_000_000)]).await, Err(QueryError::TooManyBytes));
    let no_columns = ask(&store, "select from members", &[]).await;
    assert_eq!(no_columns, Ok(json!([{}, {}])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_from_outside_asks_as_well_and_makes_nothing() {
    let (mut postgres, _) = company();
    let look = Arc::new(PostgresLook::at(postgres.url().parse().unwrap(), SETTINGS));
    assert_eq!(ask(&*look, "select person from members where active", &[]).await, Ok(json!([{ "person": "u1" }])));
    assert!(matches!(look.prepare("select x from nowhere").await, Err(QueryMistake::Refused(_))));
    assert_eq!(postgres.sql("select count(*) from pg_namespace where nspname = 'tidegate'"), "0");
    postgres.kill();
    let nowhere = PostgresLook::at(postgres.url().parse().unwrap(), SETTINGS);
    match nowhere.prepare("select 1 as one").await {
        Err(QueryMistake::Unavailable(why)) => assert!(why.contains("Connection refused"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_answers_is_known_before_it_is_asked() {
    let (_postgres, store) = company();
    let sql = "select 1 as a, 1.5 as b, 1.5::float8 as c, 'x'::text as d, person as e, vault as f, active as g, '{}'::jsonb as h, \
               array['x'] as i, 'x'::bytea as j, since as k, since at time zone 'UTC' as l, current_date as m, role as n from members";
    let columns = store.prepare(sql).await.unwrap().columns.unwrap();
    let kinds: Vec<ColumnKind> = columns.iter().map(|column| column.kind).collect();
    use ColumnKind::{Bool, Bytes, Decimal, Float, Integer, Json, List, LocalTime, Moment, Text, Unknown};
    let expected =
        [Integer, Decimal, Float, Text, Text, Text, Bool, Json, List, Bytes, Moment, LocalTime, LocalTime, Unknown];
    assert_eq!(kinds, expected, "{columns:?}");
    assert_eq!((columns[10].name.as_str(), columns[10].called.as_str()), ("k", "timestamptz"));
}
