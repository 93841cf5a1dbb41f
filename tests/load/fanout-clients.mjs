// The clients of one server: one process with all its subscribers and publishers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { cpuSeconds } from "./cpu.mjs";
import { program, TOPIC } from "./fanout-servers.mjs";

export class Clients {
  #process;
  #server;
  #line;
  #failed;

  // Resolves when all of them are subscribed.
  static async connect(server, speaks, subscribers) {
    const clients = new Clients();
    const address = server.url.replace("http://", "");
    const process = spawn(program("clients"), [address, speaks, TOPIC, server.key ?? "-", String(subscribers)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    clients.#process = process;
    clients.#server = server;
    clients.#line = createInterface({ input: process.stdout });
    clients.#failed = once(process, "exit").then(([code]) => {
      if (code !== 0) throw new Error(`the clients of ${server.title} ended with ${code}`);
    });
    // Seen by whoever asks next.
    clients.#failed.catch(() => {});
    await clients.#answer();
    return clients;
  }

  async #answer() {
    const [line] = await Promise.race([once(this.#line, "line"), this.#failed.then(() => Promise.reject(new Error("the clients are gone")))]);
    return JSON.parse(line);
  }

  // Publishes for so long, waits until everybody has everything, and tells what a delivery cost.
  async measure(inFlight, seconds) {
    const pids = [this.#server.pid, this.#process.pid];
    const before = pids.map(cpuSeconds);
    const answer = this.#answer();
    this.#process.stdin.write(`measure ${inFlight} ${Math.round(seconds * 1000)}\n`);
    const { publications, deliveries, seconds: took } = await answer;
    const [server, clients] = pids.map((pid, index) => ((cpuSeconds(pid) - before[index]) * 1e6) / deliveries);
    return { cpuUs: server, clientsUs: clients, publications, deliveries, perSecond: deliveries / took };
  }

  // Fails when one of them has failed.
  async stop() {
    this.#process.stdin.end();
    await this.#failed;
  }
}
