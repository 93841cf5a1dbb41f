// config/AUTHJS.md as it stands there: its files, its commands, a real Auth.js, and its page in a browser.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { until, within } from "@tidegate/kit/harness.mjs";
import { binary, repository } from "@tidegate/kit/paths.mjs";
import { PostgresServer, program } from "@tidegate/kit/services.mjs";

import { Application, TABLES } from "./authjs-app.mjs";

const START_PATIENCE_MS = 120_000;

const manual = readFileSync(join(repository, "config/AUTHJS.md"), "utf8");
// In the order of the page: what stands under the name of a file, and the lines of `sh`.
const steps = [...manual.matchAll(/(?:\*\*`([^`]+)`\*\*\n\n)?```(\w+)\n(.*?)```/gs)].map(([, path, language, text]) => ({ path, language, text }));
const file = (path) => steps.find((step) => step.path === path).text;
const commands = steps.filter(({ language }) => language === "sh").flatMap(({ text }) => text.trim().split("\n"));

// The statement of the page, as it stands in an application.
const [, published] = steps.filter(({ path, language }) => !path && language === "js")[0].text.match(/^(await client\.query\(.*\);)\n$/s);
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
const statement = new AsyncFunction("client", "board", "note", published);

describe("a web application on PostgreSQL with Auth.js", () => {
  let postgres, app, dev, url, directory, browser;

  before(async () => {
    postgres = await PostgresServer.start();
    const sql = (text) => postgres.sql(text, "shop");
    // The kit's own role has the name of a schema that the page makes.
    await postgres.sql("create role owner superuser login password 'an-owner-password'", "postgres");
    await postgres.sql("create database shop owner owner", "postgres");
    await sql(TABLES);
    const own = (role, password) => Object.assign(new URL(postgres.urlOf("shop")), { username: role, password }).href;
    app = await Application.start({ database: own("app", "an-app-password"), page: file("page/follow-board.js"), statement });
    directory = mkdtempSync(join(tmpdir(), "tidegate-authjs-"));
    const bin = join(directory, ".bin");
    mkdirSync(bin);
    symlinkSync(binary(), join(bin, "tidegate"));
    const env = {
      ...process.env, PATH: `${bin}:${dirname(program("psql", "postgresql-client"))}:${process.env.PATH}`,
      DATABASE_URL: own("owner", "an-owner-password"), REALTIME_PASSWORD: "a-realtime-password",
      REALTIME_DATABASE_URL: own("realtime", "a-realtime-password"), PAGE_ORIGIN: app.origin,
    };
    assert.equal(commands.at(-1), "tidegate dev");
    const lay = ({ path, text }) => {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    };
    // Top to bottom, as somebody does who reads.
    for (const step of steps) {
      if (step.path) lay(step);
      if (step.language !== "sh") continue;
      for (const command of step.text.trim().split("\n").filter((line) => line !== "tidegate dev")) {
        execFileSync("bash", ["-o", "pipefail", "-c", command], { cwd: directory, env, stdio: ["ignore", "pipe", "inherit"] });
      }
    }
    dev = spawn("tidegate", ["dev", "--listen", "127.0.0.1:0"], { cwd: directory, env, stdio: ["ignore", "pipe", "ignore"] });
    const listens = new Promise((resolve) => {
      createInterface({ input: dev.stdout }).on("line", (line) => {
        const [, found] = /listens on http:\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? [];
        if (found) resolve(`http://localhost:${found}`);
      });
    });
    url = await within("`dev` listens", listens, START_PATIENCE_MS);
    await until("it is ready", async () => (await fetch(`${url}/readyz`)).ok);
    browser = await openBrowser();
  }, { timeout: 2 * START_PATIENCE_MS });
  after(async () => {
    await browser?.close();
    if (dev?.exitCode === null) {
      dev.kill("SIGTERM");
      await once(dev, "exit");
    }
    await app?.stop();
    await postgres?.stop();
    if (directory) rmSync(directory, { recursive: true });
  });

  // A person with a browser of its own, signed in through Auth.js, on the page; a member of the board unless it says so.
  async function person(email, { isMember = true } = {}) {
    const context = await browser.newContext();
    const id = await app.signIn(context.request, email);
    if (isMember) await app.pool.query("insert into members values ('b1', $1)", [id]);
    const page = await context.newPage();
    await page.goto(`${app.origin}/?realtime=${encodeURIComponent(url)}`);
    const says = (text) => page.locator("#state", { hasText: new RegExp(`^${text}$`) }).waitFor();
    const shows = (text) => page.locator("#notes li", { hasText: text }).waitFor();
    return { context, id, page, says, shows, heard: () => page.evaluate("heard") };
  }

  test("members see a note when it is committed, and others are refused", async () => {
    await app.save("b1", "before anybody came");
    const [ada, dan] = await Promise.all([person("ada@example.com"), person("dan@example.com", { isMember: false })]);
    await ada.says("live");
    await ada.shows("before anybody came");
    await app.save("b1", "live");
    await ada.shows("live");
    await dan.says("refused: forbidden");
    const visitor = await (await browser.newContext()).newPage();
    await visitor.goto(`${app.origin}/?realtime=${encodeURIComponent(url)}`);
    await visitor.locator("#state", { hasText: "refused: unauthenticated" }).waitFor();
  });

  test("a page that is told of a gap asks for what it missed, and has everything once", async () => {
    const gus = await person("gus@example.com");
    await gus.says("live");
    // Where the server was in the outbox is lost, and so are its connections.
    await postgres.sql(`delete from tidegate_outbox_cursors;
      select pg_terminate_backend(pid) from pg_stat_activity where usename = 'realtime'`, "shop");
    await gus.page.waitForFunction(() => window.heard.includes("gap"));
    await app.save("b1", "after the gap");
    await gus.shows("after the gap");
    assert.equal(await gus.page.locator("#notes li", { hasText: "after the gap" }).count(), 1);
    await gus.says("live");
  });

  // The end of a person's session is so near now, and the server has looked.
  async function endsIn({ id, page }, seconds) {
    const { rows: [{ expires }] } = await app.pool.query(
      `update sessions set expires = now() + make_interval(secs => $2) where "userId" = $1 returning expires`, [id, seconds]);
    await page.evaluate(() => window.socket.emitWithAck("authenticate", {}));
    return expires;
  }

  test("a page whose session comes near its end renews it by Auth.js and goes on", async () => {
    const eve = await person("eve@example.com");
    await eve.says("live");
    const end = await endsIn(eve, 4);
    await eve.page.waitForFunction(() => window.heard.includes("expiring"));
    const session = async () => (await app.pool.query(`select expires from sessions where "userId" = $1`, [eve.id])).rows[0];
    await until("Auth.js moves the end", async () => (await session()).expires > new Date(end.getTime() + 86_400_000));
    await until("the old end is over", () => Date.now() > end.getTime() + 500);
    await app.save("b1", "after the old end");
    await eve.shows("after the old end");
    assert.deepEqual(await eve.heard(), ["expiring"]);
  });

  test("a sign-out by Auth.js ends the page's connection, and a member who is removed is out", async () => {
    const [ben, cleo] = await Promise.all([person("ben@example.com"), person("cleo@example.com")]);
    await Promise.all([ben.says("live"), cleo.says("live")]);
    await app.post(ben.context.request, "signout", {});
    await ben.says("signed out: token_revoked");
    await app.pool.query("delete from members where user_id = $1", [cleo.id]);
    await cleo.says("not a member: forbidden");
  });

  test("a session that nobody renews ends", async () => {
    const fay = await person("fay@example.com");
    await fay.says("live");
    await fay.page.route("**/auth/session", (route) => route.abort());
    await endsIn(fay, 4);
    await fay.says("signed out: expired");
    assert.deepEqual(await fay.heard(), ["expiring", "expired"]);
  });
});
