// Every page of the dashboard, and every button, against a server that works: clients, publications, a bridge whose rule
// fails, a plugin that faults, a reload that is rejected and one that is applied.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";

import { NARROW_KEY, openBrowser, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { ask, collect, next, subscribe, token } from "@tidegate/kit/harness.mjs";
import { components } from "@tidegate/kit/paths.mjs";

const CHANNELS = `
feature: shop
channels:
  shop.order.{orderId}:
    description: What happens to one order.
    scope: authenticated
    presence: true
    history: { messages: 100 }
    payload:
      type: object
      required: [state]
      properties:
        state: { type: string, enum: [paid, shipped], description: How far it is }
        weight: { type: integer, minimum: 1 }
  shop.price.{item}:
    scope: public
    delivery: { mode: latest, key: /item }
    snapshot: { retain: latest }
    payload: {}
`;

describe("the pages of the dashboard", () => {
  let server, browser, visitor, page, socket;
  before(async () => {
    server = await startWithDashboard({
      channels: { "shop.yaml": CHANNELS },
      config: (config) => ({ ...config, limits: { ...config.limits, recordings: 1 } }),
      // As fast as they get answers.
      files(directory) {
        const manifest = join(directory, "channels/realtime-ping.yaml");
        writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/rate: .*/, "rate: 10000/s"));
      },
    });
    browser = await openBrowser();
    visitor = await Visitor.open(browser, server);
    page = visitor.page;
    await visitor.signIn();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  beforeEach(async () => {
    socket?.close();
    socket = await server.connect({ token: token("ann") });
  });

  const clean = (name, act) =>
    test(name, async () => {
      await act();
      visitor.isClean();
    });

  clean("the channels show who may subscribe, and are searched; one shows its schema and its topics", async () => {
    await subscribe(socket, "shop.order.o1");
    await visitor.go("/channels");
    await visitor.heading("Channels");
    await visitor.sees(visitor.row("vault.{vaultId}").filter({ hasText: "every user, if vault-members allows" }));
    await page.getByLabel("Search").fill("shop.");
    await page.getByRole("row").filter({ hasText: "vault." }).waitFor({ state: "detached" });
    await visitor.link("shop.order.{orderId}").click();
    await visitor.heading("shop.order.{orderId}");
    await visitor.sees("What happens to one order.");
    await visitor.sees('one of "paid", "shipped"');
    await visitor.sees("100 publications");
    await page.getByText("As JSON Schema").first().click();
    await visitor.sees(page.getByRole("region", { name: "What subscribers receive as JSON Schema" }));
    await visitor.link("shop.order.o1").click();
    await visitor.heading("shop.order.o1");
  });

  clean("one topic shows its subscribers, who is present, its history and what it retains", async () => {
    await subscribe(socket, "shop.order.o2");
    await server.publish("shop.order.o2", { state: "paid" });
    await server.publish("shop.price.tea", { item: "tea", cents: 250 });
    await visitor.go("/topics/shop.order.o2");
    await visitor.heading("shop.order.o2");
    await visitor.sees("1 publication");
    const subscribers = page.getByRole("region", { name: "Subscribers" });
    await visitor.sees(subscribers.getByRole("link", { name: "ann" }));
    await visitor.sees(page.getByRole("region", { name: "Present" }).getByRole("link", { name: "ann" }));
    await server.publish("shop.order.o2", { state: "shipped" });
    await visitor.button("Refresh").click();
    await visitor.sees("2 publications");
    const reader = await server.connect();
    await subscribe(reader, "shop.price.tea");
    await visitor.go("/topics/shop.price.tea");
    await visitor.sees(page.getByRole("region", { name: "Retained values" }).getByText('"cents":250'));
    reader.close();
    visitor.expect(/status of 404 .*\/v1\/topics\//);
    await visitor.go("/topics/nobody.knows");
    await visitor.sees(page.getByRole("alert").filter({ hasText: "unknown_channel" }));
  });

  clean("a live tail shows publications as they happen, with payloads where they are asked for", async () => {
    await subscribe(socket, "shop.order.o3");
    await visitor.go("/channels/shop.order.{orderId}");
    await visitor.button("Watch publications").click();
    await visitor.sees("Watching.");
    await visitor.sees("Nothing was published since you began to watch.");
    await server.publish("shop.order.o3", { state: "paid", weight: 12345 });
    await visitor.sees(visitor.row("shop.order.o3").filter({ hasText: "–" }));
    assert.equal(await page.getByText("12345").count(), 0, "no payload was asked for");
    await visitor.button("Pause").click();
    await visitor.sees("Paused.");
    await visitor.button("Stop").click();
    await page.getByLabel("with their payloads").check();
    await visitor.button("Watch publications").click();
    await visitor.sees("Watching.");
    await server.publish("shop.order.o3", { state: "paid", weight: 12345 });
    await visitor.sees('"weight":12345');
    await visitor.button("Stop").click();
    await visitor.sees(visitor.button("Watch publications"));
  });

  clean("a key that may not read is told so when it asks for payloads, and watches without", async () => {
    const narrow = await Visitor.open(browser, server);
    narrow.expect(/status of 403 .*\/v1\/tails/);
    await narrow.signIn(NARROW_KEY, "/topics/e2e.open");
    await narrow.page.getByLabel("with their payloads").check();
    await narrow.button("Watch publications").click();
    await narrow.sees(narrow.page.getByRole("alert").filter({ hasText: "forbidden" }));
    await narrow.page.getByLabel("with their payloads").uncheck();
    await narrow.button("Watch publications").click();
    await narrow.sees("Watching.");
    narrow.isClean();
    await narrow.close();
  });

  const openClient = async (user) => {
    await visitor.go(`/clients?user=${user}`);
    await visitor.heading("Clients");
    await visitor.row(user).getByRole("link").first().click();
    await visitor.sees(page.getByRole("heading", { level: 1, name: user }));
  };

  clean("a client is found by its user, shows what it holds and what was refused, and is unsubscribed", async () => {
    const bob = await server.connect({ token: token("bob") });
    await subscribe(bob, "shop.order.o4");
    assert.equal((await ask(bob, "subscribe", { channel: "e2e.editors" })).ok, false);
    await openClient("bob");
    await visitor.sees(visitor.row("shop.order.o4"));
    await visitor.sees(visitor.row("e2e.editors").filter({ hasText: "forbidden" }));
    const heard = collect(bob, "tidegate", ({ type }) => type === "revoked");
    await visitor.button("Unsubscribe from shop.order.o4").click();
    await visitor.confirm("Unsubscribe", "moved to another order");
    await visitor.sees("not subscribed to shop.order.o4 any more");
    const [told] = await heard.count(1);
    assert.equal(told.channel, "shop.order.o4");
    await visitor.sees("It is subscribed to nothing.");
    await server.printed("moved to another order");
    bob.close();
  });

  clean("a client is disconnected with a reason, and the page says that it is gone", async () => {
    const cy = await server.connect({ token: token("cy") });
    const gone = next(cy, "disconnect");
    await openClient("cy");
    await visitor.button("Disconnect").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Disconnect", exact: true }).click();
    assert.equal(await dialog.isVisible(), true, "without a reason nothing happens");
    await visitor.button("Cancel", dialog).click();
    await dialog.waitFor({ state: "detached" });
    assert.equal(cy.connected, true);
    await visitor.button("Disconnect").click();
    await visitor.confirm("Disconnect", "a lost phone");
    assert.deepEqual((await gone)[0], "io server disconnect");
    await visitor.sees("The client is disconnected.");
    await visitor.button("Refresh").click();
    await visitor.sees("This connection is not open on this node");
    await server.printed("a lost phone");
    cy.close();
  });

  clean("a user is revoked, and its token is good for nothing afterwards", async () => {
    const credential = token("dee");
    const dee = await server.connect({ token: credential });
    const gone = next(dee, "disconnect");
    await openClient("dee");
    await visitor.button("Revoke the user").click();
    await visitor.confirm("Revoke", "left the company");
    await gone;
    await visitor.sees("Every credential of dee");
    assert.equal(await server.refused({ token: credential }), "token_revoked");
    dee.close();
  });

  clean("explain shows each gate's answer, for a user, a token and nobody", async () => {
    await visitor.go("/explain?user=ann&topic=e2e.editors");
    await visitor.heading("Explain");
    await visitor.button("Explain").click();
    await visitor.sees("refused: forbidden");
    await visitor.sees(page.getByRole("table").getByText("scope").first());
    await page.getByLabel("Roles").fill("editor");
    await visitor.button("Explain").click();
    await visitor.sees(page.getByText("allowed", { exact: true }));
    await page.getByLabel("the user of a token").check();
    await page.getByLabel("Token", { exact: true }).fill(token("ann", { roles: ["editor"] }));
    await visitor.button("Explain").click();
    await visitor.sees(page.getByText("allowed", { exact: true }));
    assert.ok(!page.url().includes("ey"), "a token does not get into the address");
    await page.getByLabel("nobody").check();
    await visitor.button("Explain").click();
    await visitor.sees("refused: unauthenticated");
  });

  clean("explain holds a payload against the schema, and says where it is no JSON", async () => {
    await visitor.go("/explain?user=ann&topic=realtime-ping");
    await page.getByLabel("Wants to").selectOption("send");
    await page.getByLabel("Payload").fill("{n:");
    await visitor.button("Explain").click();
    await visitor.sees(page.getByRole("alert").filter({ hasText: "the payload is no JSON" }));
    await page.getByLabel("Payload").fill('{"n": "one"}');
    await visitor.button("Explain").click();
    await visitor.sees("refused: invalid_payload");
  });

  clean("the bridge counts what its rules do; dead letters are searched, read, retried and discarded", async () => {
    await visitor.go("/bridge");
    await visitor.sees("No dead letter: every event that a rule matched has crossed.");
    const event = (id, data) => ({ specversion: "1.0", id, source: "/e2e", type: "order.shipped", data });
    await server.post("/v1/events", event("good", { customer: "ann", order: "9" }));
    // The expression of the rule needs `order`.
    await server.post("/v1/events", ["first", "second", "third"].map((name) => event(name, { customer: name })));
    await visitor.sees(visitor.row("No such key: order"));
    const rule = page.getByRole("region", { name: "Rules" }).getByRole("row").filter({ hasText: "order.shipped" });
    await visitor.sees(rule.getByRole("cell").filter({ hasText: /^3$/ }));
    await page.getByLabel("Search").fill("second");
    await page.waitForFunction(() => document.querySelectorAll('table:has([type=checkbox]) tbody tr').length === 1);
    await page.getByText("The event").click();
    await visitor.sees(page.getByRole("region", { name: "The event" }).getByText('"customer": "second"'));
    await visitor.button(/^Retry the letter/).click();
    await visitor.sees("1 letter could not cross again.");
    await visitor.button(/^Discard the letter/).click();
    await visitor.confirm("Discard", "sent twice");
    await visitor.sees("1 letter discarded.");
    await server.printed("sent twice");
    // The rule is mended, and the rest crosses.
    await server.reload(() => {
      const rules = readFileSync(join(server.directory, "config/bridge.yaml"), "utf8");
      server.write("config/bridge.yaml", rules.replace("event.data.order}", '"again"}'));
    });
    await page.getByLabel("Search").fill("");
    await page.waitForFunction(() => document.querySelectorAll('table:has([type=checkbox]) tbody tr').length === 2);
    await page.getByLabel("Choose all that are shown").check();
    await visitor.button("Retry 2 chosen").click();
    await visitor.sees("2 letters crossed.");
    await visitor.sees("No dead letter: every event that a rule matched has crossed.");
  });

  clean("many dead letters are discarded at once", async () => {
    const events = ["a", "b"].map((id) => ({ specversion: "1.0", id, source: "/e2e", type: "sensor.heat", data: { n: "hot", room: id } }));
    await visitor.go("/bridge");
    await server.post("/v1/events", events);
    await page.waitForFunction(() => document.querySelectorAll('table:has([type=checkbox]) tbody tr').length === 2);
    await page.getByLabel("Choose all that are shown").check();
    await visitor.button("Discard 2 chosen").click();
    await visitor.confirm("Discard", "a broken sensor");
    await visitor.sees("2 letters discarded.");
  });

  clean("the calls of a plugin are recorded, saved as a file, and forgotten", async () => {
    await subscribe(socket, "realtime-ping");
    await visitor.go("/plugins");
    const ping = page.getByRole("region", { name: "ping", exact: true });
    await visitor.button("Record calls", ping).click();
    await page.getByRole("dialog").getByLabel("Calls").fill("2");
    await page.getByRole("dialog").getByLabel(/JSON Pointers/).fill("/payload/n");
    await visitor.confirm("Record");
    await visitor.sees(ping.getByText("Records: 0 calls so far."));
    for (const n of [7, 8]) await ask(socket, "realtime-ping", { n });
    await visitor.sees(ping.getByText("Recorded 2 calls: it has all the calls that were asked for."));
    const saved = page.waitForEvent("download");
    await visitor.link("Save the file", ping).click();
    const lines = readFileSync(await (await saved).path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual([lines.length, lines[0].plugin, lines[1].payload, lines[3].end.reason], [4, "ping", { n: 0 }, "calls"]);
    await visitor.button("Forget", ping).click();
    await visitor.sees(visitor.button("Record calls", ping));
  });

  clean("a plugin that faults shows why, is taken back, and is admitted again", async () => {
    await subscribe(socket, "realtime-ping");
    await visitor.go("/plugins");
    const ping = page.getByRole("region", { name: "ping", exact: true });
    await visitor.sees(ping.getByText("active", { exact: true }));
    const back = server.logged("plugin.rolled_back");
    await server.reload(() => server.plugin("ping", components.faulty));
    let isBack = false;
    back.then(() => (isBack = true));
    // Every other number is one that it panics at.
    while (!isBack) await ask(socket, "realtime-ping", { n: 2 });
    await visitor.sees(ping.getByText("quarantined", { exact: true }));
    await visitor.sees(ping.getByText(/calls after the swap failed/).first());
    const fault = ping.locator("summary").filter({ hasText: "trap" }).first();
    await visitor.sees(fault);
    await fault.click();
    await visitor.sees(ping.getByRole("region", { name: "What it was given" }));
    server.plugin("ping");
    await visitor.button("Clear the quarantine", ping).click();
    await visitor.confirm("Admit again");
    await visitor.sees("is admitted again");
    await ping.getByText("quarantined", { exact: true }).waitFor({ state: "detached" });
  });

  clean("a reload that is rejected shows place and reason, and one that is applied says what changed", async () => {
    await visitor.go("/reloads");
    await server.reload(() => server.write("channels/shop.yaml", CHANNELS.replace("scope: public", "scop: public")), "reload.rejected");
    const rejected = page.getByRole("article", { name: "Reload, rejected" }).first();
    await visitor.sees(rejected.getByText(/shop\.yaml/).first());
    await visitor.sees(rejected.getByText("scop").first());
    await server.reload(() => server.write("channels/shop.yaml", CHANNELS.replace("scope: public", "scope: authenticated")));
    const applied = page.getByRole("article", { name: "Reload, applied" }).first();
    await visitor.sees(applied.getByRole("listitem").filter({ hasText: "shop.price.{item}: scope public → authenticated" }));
    await page.reload();
    await visitor.sees(rejected);
    await visitor.sees(applied);
  });

  test("every request of the page is of an operation that scripts find in /openapi.json", async () => {
    const { body } = await server.get("/openapi.json");
    const known = Object.entries(body.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => new RegExp(`^${method.toUpperCase()} ${path.replace(/\{\w+\}/g, "[^/]+")}$`)),
    );
    const unknown = [...visitor.asked].filter((asked) => !known.some((operation) => operation.test(asked)));
    assert.deepEqual(unknown, []);
    assert.ok(visitor.asked.size > 15, "the tests above have asked");
  });
});
