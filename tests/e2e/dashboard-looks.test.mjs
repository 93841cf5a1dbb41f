// The dashboard for everybody: rules of accessibility, the keyboard, a narrow screen, a dark one, and a server with more
// topics than a page can show.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { openBrowser, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { ask, KEYS, subscribe, token } from "@tidegate/kit/harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TOPICS = 10_000;
const CLIENTS = 100;
const PAGES = ["/", "/channels", "/channels/vault.{vaultId}", "/topics", "/topics/e2e.room.r1-1", "/clients", "/clients?user=ann", "/explain?user=ann&topic=e2e.room.r1-1", "/plugins", "/bridge", "/reloads"];

describe("the dashboard for everybody", () => {
  let server, browser;
  before(async () => {
    server = await startWithDashboard();
    browser = await openBrowser();
    for (let client = 0; client < CLIENTS; client += 1) {
      const socket = await server.connect({ token: token("ann") });
      const rooms = Array.from({ length: TOPICS / CLIENTS }, (_, room) => subscribe(socket, `e2e.room.r${client}-${room}`));
      await Promise.all(rooms);
      if (client === 0) await ask(socket, "subscribe", { channel: "e2e.editors" });
    }
    await server.post("/v1/events", { specversion: "1.0", id: "1", source: "/e2e", type: "order.shipped", data: { customer: "ann" } });
    await server.reload(() => server.write("channels/wrong.yaml", "channels: 7"), "reload.rejected");
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** The page is there with its data, not only its frame. */
  const whole = async ({ page }) => {
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForFunction(() => !/Loading…|Waiting for the first/.test(document.body.innerText));
  };

  /** What breaks the rules of accessibility on the page as it is now. */
  const violations = async ({ page }) => {
    // Into the page's own world, which the policy does not rule.
    if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html} ${any[0]?.message ?? ""}`).join(" | ")}`);
  };

  for (const [dark, width] of [[false, 1280], [true, 390]]) {
    test(`every page is accessible and in its width at ${width} px, ${dark ? "dark" : "light"}`, async () => {
      const visitor = await Visitor.open(browser, server, { width, dark });
      await visitor.go("/");
      await visitor.sees(visitor.page.getByLabel("API key"));
      assert.deepEqual(await violations(visitor), [], "sign-in");
      await visitor.signIn();
      for (const fragment of PAGES) {
        await visitor.go(fragment);
        await whole(visitor);
        assert.deepEqual(await violations(visitor), [], fragment);
        assert.equal(await visitor.sideways(), 0, `${fragment} scrolls sideways`);
      }
      const ground = await visitor.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [red] = /\d+/.exec(ground);
      assert.equal(Number(red) < 128, dark, ground);
      visitor.isClean();
      await visitor.close();
    });
  }

  test("the question before a disconnect is accessible, and Escape leaves everything as it is", async () => {
    const visitor = await Visitor.open(browser, server);
    await visitor.signIn();
    await visitor.go("/clients?user=ann");
    await visitor.row("ann").getByRole("link").first().click();
    await visitor.button("Disconnect").click();
    assert.deepEqual(await violations(visitor), []);
    await visitor.page.keyboard.press("Escape");
    await visitor.page.getByRole("dialog").waitFor({ state: "detached" });
    const { body } = await server.get("/v1/clients?user=ann", { key: KEYS.operator });
    assert.equal(body.clients.length, CLIENTS);
    await visitor.close();
  });

  test("the keyboard alone signs in, skips to the page, and goes to another one, whose heading has the focus", async () => {
    const visitor = await Visitor.open(browser, server);
    await visitor.signIn();
    const { page } = visitor;
    await page.reload();
    await whole(visitor);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to the page");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "MAIN");
    await page.keyboard.press("Shift+Tab");
    while ((await page.evaluate(() => document.activeElement.textContent)) !== "Channels") await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await visitor.heading("Channels");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    await visitor.close();
  });

  test("10,000 topics are there page by page, and a search finds one among them", async () => {
    const visitor = await Visitor.open(browser, server);
    await visitor.signIn();
    await visitor.go("/topics");
    const { page } = visitor;
    await visitor.sees("Page 1, 50 rows");
    const first = await page.getByRole("row").nth(1).innerText();
    await visitor.button("Next").click();
    await visitor.sees("Page 2, 50 rows");
    assert.notEqual(await page.getByRole("row").nth(1).innerText(), first);
    await visitor.button("Previous").click();
    await visitor.sees("Page 1, 50 rows");
    assert.equal(await page.getByRole("row").nth(1).innerText(), first);
    await page.getByLabel("Search topics").fill("room.r98-76");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await visitor.link("e2e.room.r98-76").click();
    await visitor.heading("e2e.room.r98-76");
    await visitor.sees(visitor.link("ann"));
    visitor.isClean();
    await visitor.close();
  });
});
