// The plugins page of the dashboard: a version that faults is taken back, the page says why, and it is admitted again.

import { after, before, test } from "node:test";

import { openBrowser, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { ask, subscribe, token } from "@tidegate/kit/harness.mjs";
import { components } from "@tidegate/kit/paths.mjs";

let server, browser;
before(async () => {
  server = await startWithDashboard();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("a version that was taken back is shown with its reason, and is admitted again", async () => {
  const socket = await server.connect({ token: token("ann") });
  await subscribe(socket, "realtime-ping");
  let isBack = false;
  server.logged("plugin.rolled_back").then(() => (isBack = true));
  await server.reload(() => server.plugin("ping", components.faulty));
  // It panics at even numbers.
  while (!isBack) await ask(socket, "realtime-ping", { n: 2 });
  server.plugin("ping");
  const visitor = await Visitor.open(browser, server);
  await visitor.signIn();
  await visitor.go("/plugins");
  const ping = visitor.page.getByRole("region", { name: "ping", exact: true });
  await visitor.sees(ping.getByText("quarantined", { exact: true }));
  await visitor.sees(ping.getByText(/calls after the swap failed/).first());
  await visitor.button("Clear the quarantine", ping).click();
  await visitor.confirm("Admit again");
  await visitor.sees("is admitted again");
  await ping.getByText("quarantined", { exact: true }).waitFor({ state: "detached" });
  visitor.isClean();
});
