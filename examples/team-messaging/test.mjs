// The whole example: PostgreSQL, Tidegate, the application, stock clients, and pages in a browser.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { freePort } from "@tidegate/example-start/local-server.mjs";
import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, io, next, subscribe, until, within } from "@tidegate/kit/harness.mjs";
import { binary } from "@tidegate/kit/paths.mjs";

import { PASSWORD } from "./app/people.mjs";
import { Feed } from "./page/feed.js";
import { Scene, signIn } from "./scene.mjs";
import { config, environment } from "./start.mjs";

process.env.TIDEGATE_BIN ??= binary();

let scene;
let browser;
let keys = 0;
const key = () => `test-${Date.now()}-${(keys += 1)}`;
const draft = (text, to) => ({ text, key: key(), ...(to ? { to } : {}) });

before(async () => {
  [scene, browser] = await Promise.all([Scene.start(), openBrowser()]);
}, { timeout: 300_000 });
after(async () => {
  await browser?.close();
  await scene?.stop();
});

/** A stock client with a token, connected. */
async function client(t, token) {
  const socket = io(scene.realtime.url, { forceNew: true, transports: ["websocket"], auth: { token } });
  t.after(() => socket.close());
  await next(socket, "connect");
  return socket;
}

/** A page on which somebody is signed in; `page.texts()` are the messages it shows. */
async function open(t, user, url = scene.url) {
  const context = await browser.newContext({ viewport: { width: 760, height: 640 } });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  t.after(() => assert.deepEqual(complaints, []));
  await page.clock.install();
  await page.goto(url);
  await page.getByLabel("Name").fill(user);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  return Object.assign(page, {
    texts: () => page.locator("#messages .text").allTextContents(),
    shows: (text) => page.locator("#messages .text", { hasText: text }).waitFor(),
    is: (state) => page.locator(`#state[data-state=${state}]`).waitFor(),
    banner: (text) => page.locator("#banner", { hasText: text }).waitFor(),
  });
}

async function write(page, text, to = "") {
  await page.getByLabel("To").selectOption(to);
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const sent = (page, text) => page.locator("#sent", { hasText: text }).waitFor();
const screenshot = (page, name) => process.env.SCREENSHOTS && page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });

/** A line of Tidegate's log with all of these fields. */
const logged = (fields) =>
  until(`a line of the log with ${JSON.stringify(fields)}`, () =>
    scene.log.split("\n").some((line) => Object.entries(fields).every(([name, value]) => line.includes(`"${name}":"${value}"`))));

test("one command starts everything, and Ctrl-C ends it", async () => {
  const env = { ...process.env, PORT: String(await freePort()), LISTEN: "127.0.0.1:0" };
  delete env.DATABASE_URL;
  const npm = spawn("npm", ["start"], { cwd: import.meta.dirname, env, stdio: ["ignore", "pipe", "ignore"], detached: true });
  const ended = once(npm, "exit");
  try {
    const opened = (async () => {
      for await (const line of createInterface({ input: npm.stdout })) if (line.startsWith("open ")) return line.slice("open ".length);
      throw new Error("it ended");
    })();
    const url = await within("an address to open", opened, 120_000);
    assert.equal((await signIn(url, "nora")).me.area, "north");
  } finally {
    // To the whole group, as a terminal does.
    process.kill(-npm.pid, "SIGINT");
    await within("the end of everything", ended, 60_000);
  }
});

test("the declarations hold: configuration, channels and their examples, the plugin and its golden vectors", () => {
  const env = { ...process.env, ...environment(scene.parts) };
  execFileSync(process.env.TIDEGATE_BIN, ["check", "--config", config], { env, stdio: ["ignore", "ignore", "inherit"] });
});

test("a supervisor writes to all of the area, or to one, on pages", async (t) => {
  const [nora, ali, bea] = await Promise.all(["nora", "ali", "bea"].map((user) => open(t, user)));
  await Promise.all([nora, ali, bea].map((page) => page.is("live")));
  await write(nora, "Come back by four.");
  await bea.shows("Come back by four.");
  await write(nora, "Call me, please.", "ali");
  await ali.shows("Call me, please.");
  await write(nora, "Take water with you.");
  await Promise.all([nora, ali, bea].map((page) => page.shows("Take water with you.")));
  const all = ["Come back by four.", "Call me, please.", "Take water with you."];
  assert.deepEqual(await nora.texts(), all);
  assert.deepEqual(await ali.texts(), all);
  assert.deepEqual(await bea.texts(), [all[0], all[2]]);
  assert.equal(await ali.locator("#composer").isVisible(), false);
  await screenshot(nora, "supervisor");
  await screenshot(ali, "enumerator");
});

test("another area, another role and another channel are forbidden, and logged with who and what", async (t) => {
  const [nora, sam, ali, olga] = await Promise.all(["nora", "sam", "ali", "olga"].map(async (user) => client(t, (await signIn(scene.url, user)).token)));
  const forbidden = async (answer, user, topic, gate) => {
    assert.equal((await answer).error?.code, "forbidden", `${user} on ${topic}`);
    const channel = topic.replace(/\.\w+$/, topic.startsWith("team") ? ".{areaId}" : ".{userId}");
    await logged({ event: "realtime.boundary_violation", user, channel, gate, code: "forbidden" });
  };
  await forbidden(ask(sam, "subscribe", { channel: "team.north" }), "sam", "team.north", "subscribe");
  await forbidden(ask(olga, "subscribe", { channel: "team.north" }), "olga", "team.north", "subscribe");
  await forbidden(ask(nora, "subscribe", { channel: "inbox.ali" }), "nora", "inbox.ali", "subscribe");
  await subscribe(ali, "team.north");
  await forbidden(ask(ali, "team.north", draft("from an enumerator")), "ali", "team.north", "inbound");
  await forbidden(ask(ali, "inbox.bea", draft("past the team")), "ali", "inbox.bea", "inbound");
  await subscribe(sam, "team.south");
  await forbidden(ask(sam, "team.south", draft("to the other area", "ali")), "sam", "team.south", "inbound");
  // Who may not hold a topic does not come as far as sending there.
  assert.equal((await ask(sam, "team.north", draft("from the other area"))).error.code, "not_subscribed");
  await subscribe(nora, "team.north");
  await forbidden(ask(nora, "team.north", draft("to the other area", "cem")), "nora", "team.north", "inbound");
  // The plugin says on which topic.
  await logged({ message: "not of this area user=sam topic=team.north action=subscribe" });
  await logged({ message: "only supervisors write user=ali topic=team.north action=send" });
  assert.equal(await scene.postgres.sql("select count(*) from messages where text like 'to the %' or text like 'from %' or text like 'past %'"), "0");
});

test("a message that is sent again with its key is stored once", async (t) => {
  const { token, session } = await signIn(scene.url, "nora");
  const nora = await client(t, token);
  await subscribe(nora, "team.north");
  const once = draft("Only once.");
  const first = await ask(nora, "team.north", once);
  assert.deepEqual(await ask(nora, "team.north", once), first);
  assert.equal((await session.call("/api/messages", { method: "POST", body: JSON.stringify(once) })).number, first.reply.number);
  assert.equal(await scene.postgres.sql(`select count(*) from messages where key = '${once.key}'`), "1");
});

describe("the end of a login", { concurrency: true }, () => {
  test("a sign-out ends the socket, and the token is refused from then on", async (t) => {
    const { session, token } = await signIn(scene.url, "ali");
    const socket = await client(t, token);
    const [told, gone] = [next(socket, "tidegate"), next(socket, "disconnect")];
    await session.signOut();
    assert.equal((await told)[0].reason, "token_revoked");
    assert.equal((await gone)[0], "io server disconnect");
    const again = io(scene.realtime.url, { forceNew: true, auth: { token } });
    t.after(() => again.close());
    assert.equal((await next(again, "connect_error"))[0].message, "token_revoked");
    const history = await fetch(`${scene.realtime.url}/v1/channels/inbox.ali/history`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(history.status, 401);
    await assert.rejects(session.renew(), { code: "unauthenticated" });
  });

  test("a new password cuts off every token that was issued before, and the one who changed it goes on", async (t) => {
    const [here, there] = [await signIn(scene.url, "bea"), await signIn(scene.url, "bea")];
    const sockets = await Promise.all([here, there].map(({ token }) => client(t, token)));
    const ends = sockets.map((socket) => next(socket, "disconnect"));
    const { token } = await here.session.changePassword(PASSWORD, "a new password");
    await Promise.all(ends);
    await client(t, token);
    await assert.rejects(there.session.renew(), { code: "unauthenticated" });
    await assert.rejects(signIn(scene.url, "bea"), { code: "unauthenticated" });
    const back = await signIn(scene.url, "bea", "a new password");
    await back.session.changePassword("a new password", PASSWORD);
  });

  test("on pages: a new password signs out every other page of the user, and a page that is loaded anew goes on", async (t) => {
    const [here, there] = await Promise.all([open(t, "cem"), open(t, "cem")]);
    await Promise.all([here, there].map((page) => page.is("live")));
    await here.locator("summary").click();
    await here.getByLabel("Old").fill(PASSWORD);
    await here.getByLabel("New").fill("another password");
    await here.getByRole("button", { name: "Change" }).click();
    await there.getByText("You are signed out (token_revoked).").waitFor();
    await here.getByText("everybody else with your name is signed out").waitFor();
    await here.is("live");
    await here.reload();
    await here.is("live");
    await here.getByRole("button", { name: "Sign out" }).click();
    await here.getByRole("button", { name: "Sign in" }).waitFor();
    await here.reload();
    await here.getByRole("button", { name: "Sign in" }).waitFor();
    await screenshot(there, "signed-out");
  });

  // The feed of the page without a page, on an application with short times; whose hands are on the page or not.
  async function life(t, user, times, hasHands) {
    const brief = await scene.startApplication({ port: await freePort(), ...times });
    t.after(() => brief.stop());
    const { session, token } = await signIn(brief.url, user);
    if (hasHands) {
      const hands = setInterval(() => session.touch(), 100);
      t.after(() => clearInterval(hands));
    }
    const seen = { session, token, states: [] };
    seen.ended = new Promise((resolve) => {
      const onState = ({ state }) => seen.states.push(state);
      const feed = new Feed({ topics: [`inbox.${user}`], session, realtime: scene.door.url, onMessage: () => {}, onState, onEnd: resolve });
      t.after(() => feed.stop());
      feed.start();
    });
    return seen;
  }

  test("a token is renewed on the open socket, which outlives the first token", async (t) => {
    const { token, states } = await life(t, "ali", { idle_s: 6, absolute_s: 60 }, true);
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    // Tidegate looks at the clock every 2 s.
    await until("the end of the first token", () => Date.now() / 1000 > exp + 2.5);
    assert.deepEqual(states, ["connecting", "live"]);
  });

  test("a login ends without a hand on the page, and in any case when its whole time is over", async (t) => {
    const [silent, active] = [
      await life(t, "nora", { idle_s: 3, absolute_s: 60 }, false), await life(t, "sam", { idle_s: 60, absolute_s: 3 }, true),
    ];
    for (const { ended, session } of [silent, active]) {
      assert.equal(await within("the end of a login", ended), "token_expired");
      await assert.rejects(session.renew(), { code: "unauthenticated" });
    }
  });
});

/** Somebody of the area's supervisors who writes over HTTP whatever happens to sockets, and remembers everything. */
async function writer(user = "nora") {
  const { session } = await signIn(scene.url, user);
  const texts = [];
  return {
    texts,
    async write(text, to) {
      texts.push(text);
      await session.call("/api/messages", { method: "POST", body: JSON.stringify(draft(text, to)) });
    },
  };
}

// What a page shows from its first of these on: nothing missing, nothing twice, in order.
const since = async (page, first) => {
  const texts = await page.texts();
  return texts.slice(texts.indexOf(first));
};

test("without a socket the page asks the history after 5, 10, 30, 60 s, and has every message once and in order afterwards", async (t) => {
  const { door } = scene;
  t.after(() => door.only());
  const { write, texts } = await writer();
  const ali = await open(t, "ali");
  await ali.is("live");
  await write("live");
  await ali.shows("live");

  // Everything is shut, and the application is out of reach, too: each look takes longer to come.
  await ali.route("**/api/topics/**", (route) => route.abort());
  door.only("websocket", "polling", "history");
  await write("while everything is shut", "ali");
  await ali.is("offline");
  for (const [now_s, later_s] of [[5, 10], [10, 30], [30, 60], [60, 60]]) {
    await ali.banner(`asks again in ${now_s} s`);
    const before = door.refused.history;
    await ali.clock.fastForward(now_s * 1000);
    await until("the next look", () => door.refused.history > before);
    await ali.banner(`asks again in ${later_s} s`);
  }
  await screenshot(ali, "offline");

  // Sockets are shut, history is not.
  door.only("websocket", "polling");
  await write("while sockets are shut");
  await ali.clock.fastForward(60_000);
  await ali.shows("while sockets are shut");
  await ali.is("degraded");
  await ali.banner("Tidegate's history; the page asks again in 5 s");
  await screenshot(ali, "degraded");
  await write("a second one while sockets are shut");
  await ali.clock.fastForward(5_000);
  await ali.shows("a second one while sockets are shut");

  // Websockets are shut: the client polls, live.
  await write("before the poll");
  door.only("websocket");
  await ali.clock.fastForward(5_000);
  await ali.is("live");
  await write("by long polling", "ali");
  await ali.shows("by long polling");
  assert.equal(door.passed.websocket > 0, true);

  // Nothing is shut.
  const websockets = door.passed.websocket;
  door.only();
  await write("while it comes back");
  await ali.clock.fastForward(5_000);
  await until("a websocket", () => door.passed.websocket > websockets);
  await ali.is("live");
  await write("live again");
  await ali.shows("live again");
  assert.deepEqual(await since(ali, "live"), texts);
});

test("with realtime off, for one page or for everybody, pages ask the application now and then and send over HTTP", async (t) => {
  const without = await scene.startApplication({ port: await freePort(), realtime: null });
  t.after(() => without.stop());
  const [nora, ali] = await Promise.all([open(t, "nora"), open(t, "ali", without.url)]);
  await nora.is("live");
  await nora.getByLabel("Realtime").uncheck();
  await Promise.all([nora, ali].map((page) => page.is("off")));
  const asked = { ...scene.door.passed };
  await write(nora, "Without realtime.");
  await sent(nora, "stored as");
  await ali.clock.fastForward(5_000);
  await ali.shows("Without realtime.");
  await screenshot(nora, "realtime-off");
  assert.deepEqual(scene.door.passed, asked);
  await nora.getByLabel("Realtime").check();
  await nora.is("live");
  await nora.shows("Without realtime.");
});

describe("what is away", () => {
  test("the database: the sender hears `unavailable`, and sends the same again when it is back", async (t) => {
    const nora = await open(t, "nora");
    await nora.is("live");
    scene.postgres.freeze();
    t.after(() => scene.postgres.thaw());
    await write(nora, "Through a frozen database.");
    await sent(nora, "unavailable");
    await nora.is("live");
    await screenshot(nora, "database-away");
    scene.postgres.thaw();
    await until("it is stored", async () => {
      await nora.getByRole("button", { name: "Send" }).click();
      await nora.locator("#sent", { hasText: /stored|unavailable/ }).waitFor();
      return (await nora.locator("#sent").textContent()).includes("stored");
    });
    await nora.shows("Through a frozen database.");
    assert.deepEqual(await since(nora, "Through a frozen database."), ["Through a frozen database."]);
  });

  test("the application: the ack says `unavailable`, and pages stay live", async (t) => {
    const { token } = await signIn(scene.url, "nora");
    const socket = await client(t, token);
    await subscribe(socket, "team.north");
    const ali = await open(t, "ali");
    await ali.is("live");
    await scene.application.stop();
    const lost = draft("Nobody stores this now.");
    const { ok, error } = await ask(socket, "team.north", lost);
    assert.deepEqual([ok, error?.code, error?.retry], [false, "unavailable", true]);
    await ali.is("live");
    scene.application = await scene.startApplication({ port: scene.port });
    assert.equal((await ask(socket, "team.north", lost)).ok, true);
    await ali.shows("Nobody stores this now.");
  });

  test("Tidegate: pages get messages from the application, and a sign-out takes effect when Tidegate is back", async (t) => {
    const { write, texts } = await writer();
    const ali = await open(t, "ali");
    await ali.is("live");
    await write("before Tidegate goes");
    await ali.shows("before Tidegate goes");
    const bea = await signIn(scene.url, "bea");

    scene.realtime.child.kill("SIGKILL");
    await once(scene.realtime.child, "exit");
    await ali.banner("New messages come from the application");
    await write("while Tidegate is away");
    await ali.clock.fastForward(60_000);
    await ali.shows("while Tidegate is away");
    await ali.is("degraded");
    await screenshot(ali, "tidegate-away");
    await write("found by Tidegate later", "ali");
    await bea.session.signOut();

    await scene.startRealtime();
    await ali.clock.fastForward(60_000);
    await ali.is("live");
    await write("after Tidegate came back");
    await ali.shows("after Tidegate came back");
    assert.deepEqual(await since(ali, "before Tidegate goes"), texts);
    await until("Tidegate knows of the sign-out", async () => {
      const socket = io(scene.realtime.url, { forceNew: true, reconnection: false, auth: { token: bea.token } });
      const answer = await Promise.race([next(socket, "connect_error"), next(socket, "connect").then(() => [{ message: "let in" }])]);
      socket.close();
      return answer[0].message === "token_revoked";
    });
  });
});
