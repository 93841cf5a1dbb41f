// The system does what its README says: real server, real PostgreSQL, the stock client, and three tabs of a browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { tidegate } from "@tidegate/client";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, next, until } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

import { System } from "./testing.mjs";

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
const TIDES = "vault.tides";
const SOME_ID = "0b8d4f6e-3a62-4c3b-9a55-0d2f8f1f7c11";
const SOURCE = { title: "Neap tides", url: "https://tides.example.com/neap" };

describe("vault", () => {
  let postgres, system, browser;
  before(async () => {
    [postgres, browser] = await Promise.all([PostgresServer.start(), openBrowser()]);
    system = await System.start(postgres);
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
    await postgres?.stop();
  });

  const add = (session, vaultId = "tides", title = SOURCE.title) =>
    system.api(session, "POST", `vaults/${vaultId}/sources`, { ...SOURCE, title });

  test("a change reaches every member with its actor and time, in order, and nobody in another vault", async () => {
    const [ada, ben, cleo, bees] = await Promise.all([
      system.member("ada", "tides"), system.member("ben", "tides"), system.member("cleo", "tides", { transports: ["polling"] }),
      system.member("ada", "bees"),
    ]);
    const { body: made } = await add(ben.session);
    await system.api(ada.session, "PUT", `vaults/tides/sources/${made.id}`, { ...SOURCE, title: "Spring tides" });
    assert.equal((await system.api(ada.session, "DELETE", `vaults/tides/sources/${made.id}`)).status, 200);
    await add(bees.session, "bees", "Wild bees");
    const [actorBen, actorAda] = [{ id: "2", name: "Ben", role: "contributor" }, { id: "1", name: "Ada", role: "owner" }];
    for (const { publications } of [ada, ben, cleo]) {
      await until("three publications", () => publications.length >= 3);
      assert.deepEqual(publications.map(({ kind, actor, source }) => ({ kind, actor, source })), [
        { kind: "created", actor: actorBen, source: { id: made.id, ...SOURCE, version: 1 } },
        { kind: "updated", actor: actorAda, source: { id: made.id, ...SOURCE, title: "Spring tides", version: 2 } },
        { kind: "deleted", actor: actorAda, source: { id: made.id } },
      ]);
      for (const { at } of publications) assert.match(at, /^20\d\d-.*Z$/);
    }
    await until("the bees' own", () => bees.publications.length > 0);
    assert.deepEqual(bees.publications.map(({ source }) => source.title), ["Wild bees"]);
  });

  test("what a transaction rolls back nobody hears of, and what it commits everybody", async () => {
    const { publications } = await system.member("cleo", "tides");
    const actor = { id: "1", name: "Ada", role: "owner" };
    const publish = (title, end) => {
      const change = { kind: "created", source: { id: SOME_ID, version: 1, ...SOURCE, title }, actor, at: new Date().toISOString() };
      const data = JSON.stringify({ vaultId: "tides", change });
      return postgres.sql(`begin; select tidegate_publish('vault.source.created', '${data}'); ${end}`);
    };
    await publish("rolled back", "rollback");
    await publish("committed", "commit");
    await until("a publication", () => publications.length > 0);
    assert.deepEqual(publications.map(({ source }) => source.title), ["committed"]);
  });

  test("a viewer receives, and is refused when it sends: with a code, and a line in the log that says who and where", async () => {
    const [ben, cleo] = await Promise.all([system.member("ben", "tides"), system.member("cleo", "tides")]);
    const editing = { editing: SOME_ID };
    const heard = next(cleo.socket, TIDES);
    assert.deepEqual(await ask(ben.socket, TIDES, editing), { ok: true });
    const [{ kind, actor, source }] = await heard;
    const actorBen = { id: "2", name: "Ben", role: "contributor" };
    assert.deepEqual({ kind, actor, source }, { kind: "editing", actor: actorBen, source: { id: SOME_ID } });
    const { ok, error } = await ask(cleo.socket, TIDES, editing);
    assert.deepEqual([ok, error.code, error.retry], [false, "forbidden", false]);
    const [{ gate, channel, code }] = await system.logged("realtime.boundary_violation", ({ user }) => user === "3");
    assert.deepEqual({ gate, channel, code }, { gate: "inbound", channel: "vault.{vaultId}", code: "forbidden" });
    assert.deepEqual(await add(cleo.session), { status: 403, body: { code: "forbidden" } });
    // A change is not a client's to publish, whoever it is.
    assert.equal((await ask(ben.socket, TIDES, { kind: "deleted", source: { id: SOME_ID } })).error.code, "invalid_payload");
  });

  test("without a session nobody connects, and a user who is no member does not join", async () => {
    for (const session of [undefined, { cookie: "authjs.session-token=made-up" }]) {
      const [error] = await next(system.client(session).socket, "connect_error");
      assert.deepEqual([error.message, error.data.retry], ["unauthenticated", false]);
    }
    const { socket } = await system.connected(await system.signIn("dan"));
    for (const [channel, code] of [[TIDES, "forbidden"], ["vault.no-such", "forbidden"], ["vaults", "unknown_channel"]]) {
      assert.equal((await ask(socket, "subscribe", { channel })).error.code, code);
    }
  });

  test("a member who is removed in the database is out at once, and who is made a viewer sends no more", async () => {
    const [ada, ben] = await Promise.all([system.member("ada", "tides"), system.member("ben", "tides")]);
    await postgres.sql("update members set role = 'viewer' where user_id = 2");
    assert.equal((await ask(ben.socket, TIDES, { editing: SOME_ID })).error.code, "forbidden");
    // By itself the server would ask after five minutes.
    const gone = next(ben.socket, "tidegate");
    await postgres.sql("delete from members where user_id = 2");
    assert.deepEqual(await gone, [{ type: "revoked", channel: TIDES, reason: "forbidden" }]);
    await add(ada.session);
    await until("Ada's own change", () => ada.publications.length > 0);
    assert.equal((await ask(ben.socket, "subscribe", { channel: TIDES })).error.code, "forbidden");
    assert.deepEqual(ben.publications, []);
    await postgres.sql("insert into members values ('tides', 2, 'contributor')");
    assert.equal((await ask(ben.socket, "subscribe", { channel: TIDES })).ok, true);
  });

  test("a session that rolls goes on beyond its old end, and one that does not ends", async () => {
    const sessions = [await system.signIn("ben"), await system.signIn("cleo")];
    const tokens = sessions.map(({ token }) => token);
    await system.pool.query(`update sessions set expires = now() + interval '4 s' where "sessionToken" = any($1)`, [tokens]);
    const [rolls, ends] = await Promise.all(sessions.map((session) => system.connected(session)));
    // A page that is used asks for its session, and Auth.js moves the end.
    const { body } = await system.api(sessions[0], "GET", "session");
    assert.ok(Date.parse(body.expires) > Date.now() + 29 * 86_400_000);
    const over = once(ends.socket, "disconnect");
    await until("the end", () => ends.tidegate.length >= 2);
    assert.deepEqual(ends.tidegate.map(({ type }) => type), ["expiring", "expired"]);
    assert.deepEqual((await over)[0], "io server disconnect");
    assert.deepEqual(rolls.tidegate, []);
    assert.equal((await ask(rolls.socket, "subscribe", { channel: TIDES })).ok, true);
    assert.ok((await ask(rolls.socket, "authenticate", {})).expires_at > Date.now() / 1000 + 29 * 86_400);
  });

  test("a sign-out ends every connection of the session, and no other", async () => {
    const other = await system.member("ben", "tides");
    const { session, socket } = await system.member("ben", "tides");
    const told = next(socket, "tidegate");
    const over = once(socket, "disconnect");
    await system.api(session, "POST", "sign-out", {});
    assert.deepEqual(await told, [{ type: "revoked", reason: "token_revoked" }]);
    assert.equal((await over)[0], "io server disconnect");
    const [{ message }] = await next(system.client(session).socket, "connect_error");
    assert.match(message, /^(token_revoked|unauthenticated)$/);
    assert.equal((await ask(other.socket, "subscribe", { channel: TIDES })).ok, true);
  });

  test("with @tidegate/client, as the README shows it, a member has the changes, and hears when it is over", async (t) => {
    const [, lines] = /```js\n(.*?)```/s.exec(readFileSync(new URL("README.md", import.meta.url), "utf8"));
    const session = await system.signIn("cleo");
    const heard = { states: [], changes: [], loads: 0, refusals: [] };
    const asked = [];
    const page = {
      // Node keeps no cookies: in place of `withCredentials`.
      tidegate: (url, { socket, ...options }) => {
        assert.deepEqual(socket, { withCredentials: true });
        return tidegate(url, { ...options, socket: { extraHeaders: { cookie: session.cookie } } });
      },
      url: system.url,
      topic: TIDES,
      useSession: async (why) => {
        asked.push(why);
        await system.api(session, "GET", "session");
        return {};
      },
      showState: (state) => heard.states.push(state),
      take: (change) => heard.changes.push(change.source.title),
      load: async () => (heard.loads += 1),
      refuse: ({ code }) => heard.refusals.push(code),
    };
    const run = new AsyncFunction(...Object.keys(page), `${lines}; return client`);
    const client = await run(...Object.values(page));
    t.after(() => client.close());
    assert.deepEqual([heard.loads, heard.refusals, asked], [1, [], ["connect"]]);
    await add(await system.signIn("ben"), "tides", "By the package");
    await until("the change", () => heard.changes.length > 0);
    assert.deepEqual(heard.changes, ["By the package"]);
    await postgres.sql("delete from members where user_id = 3");
    await until("the refusal", () => heard.refusals.length > 0);
    assert.deepEqual(heard.refusals, ["forbidden"]);
    await postgres.sql("insert into members values ('tides', 3, 'viewer')");
  });

  test("a page that is told of a gap asks for what it missed, and has everything once", async () => {
    const tab = await (await browser.newContext()).newPage();
    await tab.goto(`http://ada.localhost:${system.app.port}/test/realtime?vaultId=tides&as=ada`);
    await tab.locator("#state", { hasText: /^live$/ }).waitFor();
    const { socket } = await system.member("ada", "tides");
    const told = next(socket, "tidegate");
    // Where Tidegate was in the outbox is lost, and its connections are.
    await postgres.sql(`delete from tidegate_outbox_cursors;
      select pg_terminate_backend(pid) from pg_stat_activity where usename = 'vault_realtime'`);
    assert.deepEqual(await told, [{ type: "gap", channel: TIDES }]);
    const session = await system.signIn("ben");
    for (const title of ["Gap 1", "Gap 2"]) await add(session, "tides", title);
    await tab.locator("#events li", { hasText: "Gap 2" }).waitFor();
    const events = await tab.locator("#events li", { hasText: "Gap" }).allTextContents();
    assert.deepEqual(events.map((text) => text.slice(-5)), ["Gap 2", "Gap 1"]);
    await tab.context().close();
  });

  describe("in three tabs", () => {
    let line, context;
    const tabs = {};
    before(async () => {
      line = await Line.start(new URL(system.url).host);
      system.way = new URL(line.url).port;
      context = await browser.newContext({ viewport: { width: 760, height: 560 } });
      context.setDefaultTimeout(20_000);
      for (const person of ["ada", "ben", "cleo"]) tabs[person] = await open(person);
    });
    after(async () => {
      const folder = process.env.SCREENSHOTS;
      for (const [person, tab] of Object.entries(tabs)) if (folder) await tab.screenshot({ path: `${folder}/${person}.png` });
      await context?.close();
      line?.stop();
    });

    async function open(person) {
      const tab = await context.newPage();
      tab.errors = [];
      tab.on("pageerror", ({ message }) => tab.errors.push(message));
      await tab.goto(`http://${person}.localhost:${system.app.port}/test/realtime?vaultId=tides&as=${person}`);
      return tab;
    }
    const shows = (tab, text) => tab.locator("#sources li", { hasText: text }).waitFor();
    const state = (tab, text) => tab.locator("#state", { hasText: new RegExp(`^${text}$`) }).waitFor();
    const says = (tab, text) => tab.locator("#said", { hasText: text }).waitFor();
    async function save(tab, title) {
      // A tab behind another one draws once a second, and a click waits for that.
      await tab.bringToFront();
      await tab.getByLabel("Title").fill(title);
      await tab.getByLabel("Address").fill(SOURCE.url);
      await tab.getByRole("button", { name: "Save" }).click();
    }

    test("each sees at once what the others change, and a viewer's attempts are refused", async () => {
      for (const tab of Object.values(tabs)) await state(tab, "live");
      await save(tabs.ben, "Tidal locks");
      for (const tab of Object.values(tabs)) await shows(tab, "Tidal locks");
      const row = (tab) => tab.locator("#sources li", { hasText: "Tidal locks" });
      await tabs.ada.bringToFront();
      await row(tabs.ada).getByRole("button", { name: "Edit" }).click();
      await tabs.cleo.locator("#events li", { hasText: "Ada (owner) editing Tidal locks" }).waitFor();
      await tabs.ada.getByLabel("Title").fill("Tidal locking");
      await tabs.ada.getByRole("button", { name: "Save" }).click();
      for (const tab of Object.values(tabs)) await shows(tab, "Tidal locking");
      await tabs.cleo.bringToFront();
      await tabs.cleo.getByRole("button", { name: "Edit" }).first().click();
      await says(tabs.cleo, "not told to the others: forbidden");
      await save(tabs.cleo, "Mine");
      await says(tabs.cleo, "not saved: forbidden");
    });

    test("who is not signed in, or no member, reads why", async () => {
      const tab = await open("dan");
      await state(tab, "refused: forbidden");
      const visitor = await context.newPage();
      await visitor.goto(`http://visitor.localhost:${system.app.port}/test/realtime?vaultId=tides`);
      await state(visitor, "refused: unauthenticated");
      await Promise.all([tab.close(), visitor.close()]);
    });

    test("after a cut the page has everything that happened meanwhile", async () => {
      line.isDown = true;
      line.cut();
      for (const tab of Object.values(tabs)) await state(tab, "connecting");
      const session = await system.signIn("ben");
      for (let n = 1; n <= 5; n += 1) await add(session, "tides", `While away ${n}`);
      line.isDown = false;
      for (const tab of Object.values(tabs)) await state(tab, "live");
      // As events, by the history: each once and in order.
      for (const tab of Object.values(tabs)) {
        const events = await tab.locator("#events li", { hasText: "While away" }).allTextContents();
        assert.deepEqual(events.map((text) => text.at(-1)), ["5", "4", "3", "2", "1"]);
      }
    });

    test("while the application is away the page stays live and says what it cannot save", async () => {
      await system.app.stop();
      await save(tabs.ada, "Not to be");
      await says(tabs.ada, "not saved: unreachable");
      await state(tabs.ada, "live");
      await system.startApp();
      await save(tabs.ada, "Saved in the end");
      for (const tab of Object.values(tabs)) await shows(tab, "Saved in the end");
    });

    test("while the database is away nobody is thrown out, newcomers wait, and all goes on by itself", async () => {
      const member = await system.member("cleo", "tides");
      const waiting = await system.connected(await system.signIn("ada"));
      await postgres.kill();
      const ack = await ask(waiting.socket, "subscribe", { channel: TIDES });
      assert.deepEqual([ack.error.code, ack.error.retry], ["unavailable", true]);
      const newcomer = await open("ada");
      await state(newcomer, "connecting");
      await system.logged("realtime.auth_failed", ({ code }) => code === "unavailable");
      assert.equal((await add(member.session)).status, 503);
      await save(tabs.ben, "Not to be");
      await says(tabs.ben, "not saved: unavailable");
      await state(tabs.ben, "live");
      await postgres.restart();
      await state(newcomer, "live");
      await until("a subscription", async () => (await ask(waiting.socket, "subscribe", { channel: TIDES })).ok);
      const ben = await until("a session", () => system.signIn("ben").catch(() => undefined));
      await until("a saved source", async () => (await add(ben, "tides", "After the database")).status === 200);
      for (const tab of Object.values(tabs)) await shows(tab, "After the database");
      assert.deepEqual(member.tidegate.filter(({ type }) => type !== "gap"), []);
      await newcomer.close();
    });

    test("while Tidegate is away the page works on what the application says, and is live again by itself", async () => {
      await system.realtime.stop();
      await state(tabs.ada, "connecting");
      await save(tabs.ada, "Saved without realtime");
      await says(tabs.ada, "saved");
      await shows(tabs.cleo, "Saved without realtime");
      await system.startRealtime();
      for (const tab of Object.values(tabs)) await state(tab, "live");
      await save(tabs.ada, "Live again");
      for (const tab of Object.values(tabs)) await shows(tab, "Live again");
      for (const tab of Object.values(tabs)) assert.deepEqual(tab.errors, []);
    });

    test("a removed member and a signed-out one read so, and the others go on", async () => {
      await postgres.sql("delete from members where user_id = 3");
      await state(tabs.cleo, "refused: forbidden");
      await tabs.ben.bringToFront();
      await tabs.ben.getByRole("button", { name: "Sign out" }).click();
      await state(tabs.ben, "ended: token_revoked");
      await state(tabs.ada, "live");
    });
  });

  test("`npm start` alone starts everything, and Ctrl-C ends it", async (t) => {
    const { DATABASE_URL: _, ...env } = process.env;
    const directory = fileURLToPath(new URL(".", import.meta.url));
    const start = spawn(process.execPath, ["start.mjs"], {
      cwd: directory, env: { ...env, PORT: "0", LISTEN: "127.0.0.1:0" }, stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(start, "exit");
    t.after(() => start.kill("SIGKILL"));
    let printed = "";
    start.stdout.on("data", (chunk) => (printed += chunk));
    const url = await until("the address of a page", () => /http:\/\/ada\.\S+/.exec(printed)?.[0]);
    const tab = await browser.newPage();
    await tab.goto(url);
    await tab.locator("#state", { hasText: /^live$/ }).waitFor();
    await tab.close();
    start.kill("SIGINT");
    assert.equal((await ended)[0], 0);
  });
});
