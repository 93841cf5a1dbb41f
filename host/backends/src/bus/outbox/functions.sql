-- The functions of an outbox, and its trigger. They are made anew where they are of an earlier version: nothing here locks
-- the table while the trigger is there, so that no insert waits for it.

-- Wakes readers when the transaction commits. They look by themselves, too: nothing depends on it.
create or replace function OUTBOX_wake() returns trigger language plpgsql as $$
begin
  perform pg_notify('OUTBOX', '');
  return null;
end
$$;
do $$
begin
  if not exists (select from pg_trigger where tgrelid = 'OUTBOX'::regclass and tgname = 'BASE_wake') then
    create trigger BASE_wake after insert on OUTBOX for each statement execute function OUTBOX_wake();
  end if;
end
$$;

-- Publishes an event when the transaction that calls it commits, and not at all when it rolls back. Returns its id.
create or replace function PUBLISH(
  type text,
  data jsonb default 'null',
  key text default null,
  source text default '/postgres',
  subject text default null,
  id text default null
) returns text language sql as $$
  -- Not by `returning`, which asks for the right to read the table.
  with made as (select coalesce($6, gen_random_uuid()::text) as event_id), inserted as (
    insert into OUTBOX (type, data, key, source, subject, event_id)
    select $1, coalesce($2, 'null'), $3, coalesce($4, '/postgres'), $5, event_id from made
  )
  select event_id from made
$$;

-- By this the server knows whether the functions are of its own version.
comment on function PUBLISH(text, jsonb, text, text, text, text) is 'tidegate outbox, version VERSION';
