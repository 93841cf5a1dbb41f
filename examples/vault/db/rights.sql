-- Two roles: `vault_app` is the application, `vault_realtime` is Tidegate, which only reads, and only what its queries name.
-- `tidegate schema outbox --server vault_realtime --application vault_app` adds what the outbox needs.
do $$
begin
  if not exists (select from pg_roles where rolname = 'vault_app') then create role vault_app login; end if;
  if not exists (select from pg_roles where rolname = 'vault_realtime') then create role vault_realtime login; end if;
end
$$;
grant usage on schema public to vault_app, vault_realtime;
grant select, insert, update, delete on users, sessions, vaults, members, sources to vault_app;
grant usage on all sequences in schema public to vault_app;
grant select on users, sessions, members to vault_realtime;
-- The server's own tables.
create schema if not exists tidegate authorization vault_realtime;
