// A server with its dashboard, and a visitor of it in a real browser who notes everything that a page must not do.

import assert from "node:assert/strict";

import { openBrowser } from "./browser.mjs";
import { Server } from "./harness.mjs";

/** A key that may everything, so that every button of the page works. */
export const OPERATOR_KEY = "e2e-dashboard-key-0123456789abcdef";
/** A key that may operate and nothing else. */
export const NARROW_KEY = "e2e-narrow-key-0123456789abcdef";

/** Starts a server whose dashboard is on; `options` are those of `Server.start`. */
export function startWithDashboard({ config: change = (config) => config, ...options } = {}) {
  const config = (config) =>
    change({
      ...config,
      dashboard: "on",
      api_keys: [
        ...config.api_keys,
        { name: "ops", key: OPERATOR_KEY },
        { name: "narrow", key: NARROW_KEY, may: ["operate"] },
      ],
    });
  return Server.start({ ...options, config });
}

// What a person sees within this time, they take for an answer; what takes longer is a fault.
const PATIENCE_MS = 15_000;

export class Visitor {
  /** What went wrong so far: errors in the console, violations of the policy, requests that leave the origin. */
  wrongs = [];
  /** Every request to the API so far, such as `GET /v1/topics/a`. */
  asked = new Set();
  #expected = [];

  static async open(browser, server, { width = 1280, height = 900, dark = false } = {}) {
    const visitor = new Visitor();
    visitor.server = server;
    const colorScheme = dark ? "dark" : "light";
    visitor.context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    visitor.page = await visitor.context.newPage();
    visitor.page.setDefaultTimeout(PATIENCE_MS);
    visitor.#watch(new URL(server.url).origin);
    return visitor;
  }

  #watch(origin) {
    const { page } = this;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.wrongs.push(`${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => this.wrongs.push(error.stack));
    page.on("request", (request) => {
      const { protocol, origin: asked, pathname } = new URL(request.url());
      if (protocol !== "data:" && asked !== origin) this.wrongs.push(`a request to ${request.url()}`);
      if (pathname.startsWith("/v1/")) this.asked.add(`${request.method()} ${pathname}`);
    });
    page.on("websocket", (socket) => {
      if (new URL(socket.url()).host !== new URL(origin).host) this.wrongs.push(`a socket to ${socket.url()}`);
    });
    // The browser tells of a signed-out visitor, whom the server answers with 401, as if it were a mistake of the page.
    this.expect(/status of 401 .*\/v1\/operator\/session/);
  }

  /** A line of the console that the test provokes. */
  expect(line) {
    this.#expected.push(line);
  }

  /** Fails when the page did what it must not. */
  isClean() {
    assert.deepEqual(this.wrongs.filter((wrong) => !this.#expected.some((line) => line.test(wrong))), []);
  }

  /** Goes to a page by its fragment. */
  async go(fragment = "/") {
    await this.page.goto(`${this.server.url}/dashboard/#${fragment}`);
  }

  async signIn(key = OPERATOR_KEY, fragment = "/") {
    await this.go(fragment);
    await this.page.getByLabel("API key").fill(key);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.sees(this.page.getByRole("button", { name: "Sign out" }));
  }

  /** Waits until it is shown, and returns it. */
  async sees(what) {
    const locator = typeof what === "string" ? this.page.getByText(what).first() : what;
    await locator.waitFor();
    return locator;
  }

  heading(name) {
    return this.sees(this.page.getByRole("heading", { level: 1, name, exact: true }));
  }

  button(name, within = this.page) {
    return within.getByRole("button", { name, exact: typeof name === "string" });
  }

  link(name, within = this.page) {
    return within.getByRole("link", { name, exact: typeof name === "string" });
  }

  /** The row of a table in which the text stands. */
  row(text) {
    return this.page.getByRole("row").filter({ hasText: text }).first();
  }

  /** Answers the question before something is destroyed. */
  async confirm(verb, reason) {
    const dialog = this.page.getByRole("dialog");
    if (reason !== undefined) await dialog.getByLabel("Reason").fill(reason);
    await dialog.getByRole("button", { name: verb, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
  }

  /** How many pixels of the page are out of sight to the right. */
  sideways() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  close() {
    return this.context.close();
  }
}

export { openBrowser };
