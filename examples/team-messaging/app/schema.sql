create table if not exists areas (
  id text primary key,
  name text not null,
  -- The number of the newest message. Whoever writes holds this row until the commit, so numbers are in the order of commits.
  last_number bigint not null default 0
);
create table if not exists users (
  id text primary key,
  name text not null,
  role text not null check (role in ('supervisor', 'enumerator', 'office')),
  area text references areas,
  password text not null
);
-- A sign-in on one device. Its id is the `jti` of every token that comes from it.
create table if not exists logins (
  id uuid primary key default gen_random_uuid(),
  -- A hash of what the cookie holds.
  cookie text not null unique,
  user_id text not null references users,
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now(),
  ended_at timestamptz
);
create table if not exists messages (
  area text not null references areas,
  number bigint not null,
  author text not null references users,
  recipient text references users,
  text text not null,
  -- The author's own name for the message.
  key text not null,
  sent_at timestamptz not null default now(),
  primary key (area, number),
  unique (author, key)
);
-- What Tidegate has to refuse from now on and has not confirmed yet.
create table if not exists revocations_due (
  id bigint generated always as identity primary key,
  body jsonb not null
);
