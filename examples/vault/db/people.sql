-- Who and what there is to try, in an empty database.
insert into users (id, name, email)
select * from (values
  (1, 'Ada', 'ada@example.com'), (2, 'Ben', 'ben@example.com'), (3, 'Cleo', 'cleo@example.com'), (4, 'Dan', 'dan@example.com')) as people
where not exists (select from users);
select setval('users_id_seq', (select max(id) from users));

insert into vaults values ('tides', 'How tides work'), ('bees', 'Bees in cities') on conflict do nothing;

-- Ada owns both vaults, Ben works in one, Cleo reads along in it, Dan is in none.
insert into members
select * from (values ('tides', 1, 'owner'), ('tides', 2, 'contributor'), ('tides', 3, 'viewer'), ('bees', 1, 'owner')) as roles
where not exists (select from members);

insert into sources (vault_id, title, url)
select * from (values
  ('tides', 'Tides and currents', 'https://tides.example.com/currents'),
  ('tides', 'The moon''s pull, measured', 'https://moon.example.com/pull'),
  ('bees', 'Hives on roofs', 'https://bees.example.com/roofs')) as found
where not exists (select from sources);
