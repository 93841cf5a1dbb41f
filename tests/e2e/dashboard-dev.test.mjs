// Working on the operator's page: its development server shows the source as it is, and passes requests on to a server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { freePort } from "@tidegate/kit/free-port.mjs";
import { Server, within } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

describe("`npm run dev` of the dashboard", () => {
  let server, vite, page, browser;
  before(async () => {
    server = await Server.start({ plugins: false });
    const port = await freePort();
    const command = ["run", "dev", "-w", "host/dashboard", "--", "--host", "127.0.0.1", "--port", String(port), "--strictPort"];
    // A group of its own: npm starts the program that serves.
    vite = spawn("npm", command, { cwd: repository, env: { ...process.env, TIDEGATE_URL: server.url }, stdio: ["ignore", "pipe", "inherit"], detached: true });
    const ready = (async () => {
      // The program colours its port where the environment has `CI`, and no terminal is needed for that.
      for await (const line of createInterface({ input: vite.stdout })) if (stripVTControlCharacters(line).includes(`:${port}`)) return;
      throw new Error("it ended");
    })();
    await within("the development server says where it listens", ready);
    browser = await openBrowser();
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/dashboard/`);
  });
  after(async () => {
    await browser?.close();
    if (vite) process.kill(-vite.pid);
    await server?.stop();
  });

  test("the page is there, and its requests reach the server", async () => {
    await page.getByRole("heading", { level: 1 }).waitFor();
    const { openapi } = await page.evaluate(() => fetch("/openapi.json").then((response) => response.json()));
    assert.match(openapi, /^3\.1/);
  });
});
