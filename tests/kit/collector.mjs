// A collector of traces and metrics, as a process: what it was sent, read by OpenTelemetry's own package for Python.

import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { repository } from "./paths.mjs";
import { pythonPackages } from "./python.mjs";
import { within } from "./within.mjs";

const PATIENCE_MS = 20_000;
const FOLDER = join(repository, "tests/kit");

export class Collector {
  /** Every span so far. */
  spans = [];
  /** The metrics of the last message, by name. */
  metrics = new Map();
  /** The headers of every request. */
  headers = [];
  #news = new EventEmitter().setMaxListeners(0);
  #port = 0;

  static async start() {
    const collector = new Collector();
    await collector.#spawn();
    return collector;
  }

  async #spawn() {
    const packages = pythonPackages(join(FOLDER, "requirements-collector.txt"));
    const env = { ...process.env, PYTHONPATH: packages };
    this.process = spawn("python3", [join(FOLDER, "collector.py"), `${this.#port}`], { env, stdio: ["ignore", "pipe", "inherit"] });
    this.exited = once(this.process, "exit");
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#line(JSON.parse(line)));
    await within("the collector", once(this.#news, "port"), PATIENCE_MS);
  }

  #line({ port, headers, spans, metrics }) {
    if (port) {
      this.#port = port;
      this.url = `http://127.0.0.1:${port}`;
      this.#news.emit("port");
      return;
    }
    this.headers.push(headers);
    this.spans.push(...(spans ?? []));
    if (metrics) this.metrics = new Map(metrics.map((metric) => [metric.name, metric]));
    this.#news.emit("news");
  }

  /** What `found` makes of what there is, once that is something. */
  async until(what, found) {
    const looking = (async () => {
      for (;;) {
        const made = found(this);
        if (made) return made;
        await once(this.#news, "news");
      }
    })();
    return await within(what, looking, PATIENCE_MS).catch((error) => {
      const names = this.spans.map(({ trace, name }) => `${trace.slice(0, 8)} ${name}`);
      throw new Error(`${error.message}; there are ${names.join(", ") || "no spans"}`);
    });
  }

  /** From now on every message is answered with this status. */
  async answer(status) {
    await fetch(`${this.url}/answer`, { method: "POST", body: `${status}` });
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** Again on the same port, after a kill. */
  restart = () => this.#spawn();

  stop = () => this.kill();
}
