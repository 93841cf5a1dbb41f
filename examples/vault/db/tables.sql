-- The application's tables. Runs at every start: what is there stays.

-- As Auth.js has them (@auth/pg-adapter). A sign-out deletes the row, a rolling session moves `expires`.
create table if not exists users (
  id serial primary key, name varchar(255), email varchar(255), "emailVerified" timestamptz, image text
);
create table if not exists sessions (
  id serial primary key, "userId" integer not null references users on delete cascade,
  expires timestamptz not null, "sessionToken" varchar(255) not null
);
create unique index if not exists sessions_token on sessions ("sessionToken");

-- A vault's id stands in the name of its topic, `vault.{id}`: no dot.
create table if not exists vaults (
  id text primary key check (id ~ '^[A-Za-z0-9_-]+$'), title text not null
);
create table if not exists members (
  vault_id text not null references vaults on delete cascade,
  user_id integer not null references users on delete cascade,
  role text not null check (role in ('owner', 'contributor', 'viewer')),
  primary key (vault_id, user_id)
);
-- `version` grows with every change of a source: a page that has a newer one leaves an older one out.
create table if not exists sources (
  id uuid primary key default gen_random_uuid(), vault_id text not null references vaults on delete cascade,
  title text not null, url text not null, version integer not null default 1, updated_at timestamptz not null default now()
);
create index if not exists sources_vault on sources (vault_id);
