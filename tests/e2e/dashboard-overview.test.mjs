// The overview of the dashboard: what the server does now, as live data of its own channels.

import { after, before, describe, test } from "node:test";

import { NARROW_KEY, openBrowser, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { subscribe, token, until } from "@tidegate/kit/harness.mjs";

describe("the overview", () => {
  let server, browser, visitor, page, socket;
  before(async () => {
    const teams = { growth: { features: ["e2e"], subscriptions: 20000 } };
    server = await startWithDashboard({ plugins: false, config: (config) => ({ ...config, teams }) });
    browser = await openBrowser();
    visitor = await Visitor.open(browser, server);
    page = visitor.page;
    await visitor.signIn();
    socket = await server.connect({ token: token("ann") });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  const clean = (name, act) =>
    test(name, async () => {
      await act();
      visitor.isClean();
    });

  clean("the overview counts connections, deliveries and refusals, and its plots move", async () => {
    await visitor.go("/");
    await visitor.heading("Overview");
    const plot = page.getByRole("img", { name: /^Messages a second/ });
    const before = await (await visitor.sees(plot)).getAttribute("aria-label");
    await subscribe(socket, "e2e.open");
    await server.refused({ token: "no token" });
    const busy = setInterval(() => server.publish("e2e.open", { n: 1 }).catch(() => {}), 20);
    try {
      await page.waitForFunction(
        (before) => {
          const said = document.querySelector('[role=img][aria-label^="Messages a second"]')?.getAttribute("aria-label");
          return said !== before && /deliveries [1-9]/.test(said) && /publications [1-9]/.test(said);
        },
        before,
      );
    } finally {
      clearInterval(busy);
    }
    await visitor.sees(visitor.row("unauthenticated"));
    const { body } = await server.get("/v1/overview", { key: NARROW_KEY });
    const tile = page.getByRole("listitem").filter({ hasText: "Connections" }).getByText(String(body.connections), { exact: true });
    await visitor.sees(tile);
  });

  clean("the overview tells what each team uses of its share", async () => {
    await visitor.go("/");
    await visitor.sees(visitor.row(/growth.*subscriptions.*1.*20,000.*0/));
  });

  clean("who opens the page later sees at once what happened before", async () => {
    await visitor.go("/");
    const since = () => page.getByText("Watched since").innerText();
    const first = await since();
    await page.reload();
    await visitor.sees(page.getByRole("img", { name: /^Connections/ }));
    await until("the same beginning", async () => (await since()) === first);
  });
});
