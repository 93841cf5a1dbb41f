-- The application's tables. Tidegate only reads, and only what stands at the end.
create table if not exists organisations (id text primary key, name text not null);
create table if not exists users (
  id uuid primary key default gen_random_uuid(),
  email text not null unique,
  password text not null,
  role text not null,
  organisation text not null references organisations
);
create table if not exists sessions (
  token text primary key,
  user_id uuid not null references users on delete cascade,
  expires timestamptz not null
);
create table if not exists events (id text primary key, organisation text not null references organisations, name text not null, road jsonb not null, notices int not null default 0);
create table if not exists entries (
  id bigint generated always as identity primary key,
  event text not null references events,
  number int not null,
  crew text not null,
  unique (event, number)
);
create table if not exists entry_devices (entry bigint not null references entries, device text not null, primary key (entry, device));
create table if not exists notices (
  event text not null references events,
  n int not null,
  flag text not null check (flag in ('green', 'yellow', 'red')),
  text text not null,
  said_by uuid not null references users,
  primary key (event, n)
);
create table if not exists positions (
  event text not null,
  device text not null,
  at bigint not null,          -- of the device, in ms
  lat float8 not null,
  lon float8 not null,
  speed float4 not null,
  heading int not null,
  primary key (event, device, at)
);
