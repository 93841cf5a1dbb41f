// What stands between a publisher and the server: passes requests on, and does to some what a test says.

import { once } from "node:events";
import { createServer } from "node:http";

/** What can become of a request: the plan of a `Balancer` has one for each. */
export const REFUSE = (status, headers = {}) => (_, answer) => answer.writeHead(status, headers).end("no server");
/** The server gets the request; its answer is lost. */
export const LOSE_ANSWER = async (pass, answer) => {
  await pass();
  answer.destroy();
};
/** Nobody answers. */
export const SILENCE = () => {};

export class Balancer {
  /** The requests that came, with their headers. */
  requests = [];
  plan = [];

  static async start(server) {
    const balancer = new Balancer();
    balancer.listener = createServer((request, answer) => balancer.#serve(server, request, answer)).listen(0, "127.0.0.1");
    await once(balancer.listener, "listening");
    balancer.url = `http://127.0.0.1:${balancer.listener.address().port}`;
    return balancer;
  }

  async #serve(server, request, answer) {
    let body = "";
    for await (const part of request) body += part;
    const { url, method, headers } = request;
    this.requests.push({ url, headers, body, at: performance.now() });
    const { authorization, "content-type": type, "idempotency-key": key } = headers;
    const kept = { authorization, "content-type": type, ...(key && { "idempotency-key": key }) };
    const pass = () => fetch(server.url + url, { method, headers: kept, body });
    const harm = this.plan.shift();
    if (harm) return void (await harm(pass, answer));
    try {
      const passed = await pass();
      answer.writeHead(passed.status, Object.fromEntries([...passed.headers].filter(([name]) => name === "retry-after")));
      answer.end(await passed.text());
    } catch {
      answer.writeHead(502).end("no server");
    }
  }

  stop() {
    this.listener.closeAllConnections();
    this.listener.close();
  }
}
