-- What must reach Tidegate whoever does it, the application or somebody with psql: it crosses when the transaction commits.

create or replace function member_removed() returns trigger language plpgsql as $$
begin
  perform tidegate_publish('vault.member.removed', jsonb_build_object('vaultId', old.vault_id, 'userId', old.user_id::text));
  return null;
end
$$;
create or replace trigger member_removed after delete on members for each row execute function member_removed();

-- A sign-out.
create or replace function session_deleted() returns trigger language plpgsql as $$
begin
  perform tidegate_publish('session.deleted', jsonb_build_object('token', old."sessionToken"));
  return null;
end
$$;
create or replace trigger session_deleted after delete on sessions for each row execute function session_deleted();
