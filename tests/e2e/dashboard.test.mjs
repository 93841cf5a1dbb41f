// The dashboard's door: who is signed out sees only the sign-in, a session that ends leads there and back, and a server
// that is gone is told, until it is back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { NARROW_KEY, openBrowser, OPERATOR_KEY, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { Server, until } from "@tidegate/kit/harness.mjs";

describe("the dashboard", () => {
  let server, browser;
  before(async () => {
    server = await startWithDashboard({ plugins: false });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const visit = async (act, options) => {
    const visitor = await Visitor.open(browser, options?.server ?? server, options);
    try {
      await act(visitor, visitor.page);
      visitor.isClean();
    } finally {
      await visitor.close();
    }
  };

  test("a signed-out visitor sees the sign-in and nothing else, and comes to the page that the address names", () =>
    visit(async (visitor, page) => {
      await visitor.go("/explain?user=ann&topic=e2e.open");
      await visitor.heading("Tidegate");
      assert.equal(await page.getByRole("navigation").count(), 0);
      assert.equal(await page.evaluate(() => document.activeElement.id), "key", "the field has the focus");
      await page.getByLabel("API key").fill(OPERATOR_KEY);
      await page.keyboard.press("Enter");
      await visitor.heading("Explain");
      assert.equal(await page.getByLabel("Topic").inputValue(), "e2e.open");
    }));

  test("a wrong key is refused in plain words, and so is a key that may not operate", () =>
    visit(async (visitor, page) => {
      await visitor.go();
      for (const key of ["no such key", "e2e-backend-key-0123456789abcdef"]) {
        await page.getByLabel("API key").fill(key);
        await visitor.button("Sign in").click();
        await visitor.sees(page.getByRole("alert").filter({ hasText: "no API key that may" }));
        await page.getByLabel("API key").fill("");
      }
      assert.deepEqual(await visitor.context.cookies(), []);
    }));

  test("the cookie is out of reach of scripts, and signing out ends the session", () =>
    visit(async (visitor, page) => {
      await visitor.signIn();
      const [cookie] = await visitor.context.cookies();
      assert.equal(cookie.httpOnly, true);
      assert.equal(cookie.sameSite, "Strict");
      assert.equal(await page.evaluate(() => document.cookie), "");
      await visitor.button("Sign out").click();
      await visitor.sees("You are signed out.");
      await page.reload();
      await visitor.sees(page.getByLabel("API key"));
    }));

  test("a session that ends leads to the sign-in, and from there back to the same page", () =>
    visit(async (visitor, page) => {
      visitor.expect(/status of 401/);
      visitor.expect(/WebSocket connection .* failed/);
      await visitor.signIn(NARROW_KEY, "/explain?user=ann&topic=e2e.open");
      await visitor.heading("Explain");
      // As from another window of the same browser.
      await visitor.context.request.delete(`${server.url}/v1/operator/session`, { headers: { "x-tidegate-operator": "1" } });
      await visitor.sees("Your session has ended");
      await page.getByLabel("API key").fill(NARROW_KEY);
      await visitor.button("Sign in").click();
      await visitor.heading("Explain");
      assert.equal(await page.getByLabel("Topic").inputValue(), "e2e.open");
    }));

  test("a server that is gone is told, and the page is live again when the server is back", () =>
    visit(async (visitor, page) => {
      visitor.expect(/ERR_CONNECTION_REFUSED|WebSocket connection|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE/);
      // A restart may end the session; then the page asks for the key again.
      visitor.expect(/status of 401/);
      await visitor.signIn();
      const tile = page.getByRole("listitem").filter({ hasText: "with a subscriber" });
      await visitor.sees(tile);
      const { address, directory } = server;
      server.signal("SIGKILL");
      await server.ended();
      await visitor.sees(page.getByRole("status").filter({ hasText: "The server does not answer" }));
      server = await Server.start({ directory, listen: address });
      await page.getByText("The server does not answer").waitFor({ state: "detached" });
      if (await page.getByLabel("API key").isVisible()) await visitor.signIn();
      const newest = () => page.getByRole("img", { name: /^Connections/ }).getAttribute("aria-label");
      await visitor.sees(tile);
      const socket = await server.connect();
      await page.waitForFunction((before) => document.querySelector('[role=img][aria-label^="Connections"]')?.getAttribute("aria-label") !== before, await newest());
      socket.close();
    }));

  test("a page that is opened while the server is gone says so, and signs in when the server is there", () =>
    visit(async (visitor, page) => {
      visitor.expect(/ERR_FAILED/);
      let isGone = true;
      await page.route("**/v1/**", (route) => (isGone ? route.abort() : route.continue()));
      await visitor.go();
      await visitor.heading("The server does not answer");
      isGone = false;
      await visitor.sees(page.getByLabel("API key"));
    }));

  test("the link that `dev` prints signs in once, and is not left in the address", async () => {
    const said = join(server.directory, "said");
    const dev = await Server.start({ directory: server.directory, command: "dev", reader: `cat >'${said}'` });
    try {
      const [link] = await until("the link", () => /http\S+\/dashboard\/#link=\S+/.exec(readFileSync(said, "utf8")));
      await visit(async (visitor, page) => {
        await page.goto(link);
        await visitor.heading("Overview");
        assert.ok(!page.url().includes("link="), page.url());
      }, { server: dev });
      await visit(async (visitor, page) => {
        await page.goto(link);
        await visitor.sees("This link was used already");
      }, { server: dev });
    } finally {
      await dev.stop({ keep: true });
    }
  });
});
