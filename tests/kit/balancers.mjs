// nginx and HAProxy in front of nodes, with the files of config/deploy. Only addresses, ports and certificates are others.

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";

import { freePort } from "./free-port.mjs";
import { repository } from "./paths.mjs";
import { program, Service } from "./services.mjs";

const tls = (name) => readFileSync(join(repository, "host/testkit/tls", name), "utf8");
const deployed = (path) => readFileSync(join(repository, "config/deploy", path), "utf8");

/** A file of config/deploy with other values in place of its own, each of which has to be in it. */
export function filled(path, values) {
  let text = deployed(path);
  for (const [value, other] of Object.entries(values)) {
    if (!text.includes(value)) throw new Error(`config/deploy/${path} has no \`${value}\``);
    text = text.replaceAll(value, other);
  }
  return text;
}

// Answers at its own place, without a node behind it.
const answers = (port) => fetch(`http://127.0.0.1:${port}/alive`).then((response) => response.ok, () => false);

class Balancer extends Service {
  #agents = [];

  static start(...upstreams) {
    return new this(upstreams).begin();
  }

  constructor(upstreams) {
    super(new.target.name.toLowerCase());
    // The files have two nodes.
    this.upstreams = [upstreams[0], upstreams[1] ?? upstreams[0]];
  }

  // Besides `port`, which is without TLS and for what only tests ask.
  async listen() {
    this.tlsPort = await freePort();
    return await super.listen();
  }

  /** As the file has it: with TLS, at the root. */
  get url() {
    return `https://localhost:${this.tlsPort}`;
  }

  /** What a client of this address needs to come in by `url`. */
  from(address) {
    const agent = new Agent({ ca: tls("localhost.crt"), family: 4, localAddress: address, keepAlive: true });
    this.#agents.push(agent);
    return agent;
  }

  async stop() {
    for (const agent of this.#agents) agent.destroy();
    await super.stop();
  }

  /** The answer to a request at `url`, from an address. */
  async ask(path, { body, from, ...options } = {}) {
    const asked = request(`${this.url}${path}`, { agent: this.from(from), ...options }).end(body);
    const [response] = await once(asked, "response");
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { status: response.statusCode, text, cookie: response.headers["set-cookie"]?.[0] };
  }

  ready() {
    return answers(this.port);
  }
}

/** nginx. On `port` it has the server below `/live/` as for websockets, and below `/old/` as nginx comes. */
export class Nginx extends Balancer {
  command() {
    const write = (name, text) => writeFileSync(join(this.directory, name), text);
    const [node1, node2] = this.upstreams;
    write("tls.crt", tls("localhost.crt"));
    write("tls.key", tls("localhost.key"));
    write("tidegate-proxy.conf", deployed("nginx/tidegate-proxy.conf"));
    write("tidegate.conf", filled("nginx/tidegate.conf", {
      "10.0.0.11:3000": node1,
      "10.0.0.12:3000": node2,
      "listen 443 ": `listen 127.0.0.1:${this.tlsPort} `,
      "rt.example.com;": "localhost;",
      "/etc/nginx/tls/rt.example.com": join(this.directory, "tls"),
    }));
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${what};`).join(" ");
    write("nginx.conf", `
      daemon off; pid nginx.pid; error_log stderr;
      events {}
      http {
        access_log off; ${places}
        include tidegate.conf;
        server {
          listen 127.0.0.1:${this.port};
          location = /alive { return 200; }
          location /live/ { include tidegate-proxy.conf; proxy_pass http://tidegate/; }
          location /old/ { proxy_pass http://${node1}/; }
        }
      }`);
    return [program("nginx", "nginx-light", ["/usr/sbin"]), "-p", this.directory, "-e", "stderr", "-c", "nginx.conf"];
  }
}

/** HAProxy. On `port` it has the server below `/live/`, and below `/gzip/` compressed. */
export class Haproxy extends Balancer {
  command() {
    const [node1, node2] = this.upstreams;
    writeFileSync(join(this.directory, "tls.pem"), tls("localhost.crt") + tls("localhost.key"));
    const file = filled("haproxy/tidegate.cfg", {
      "10.0.0.11:3000": node1,
      "10.0.0.12:3000": node2,
      "bind :443 ": `bind 127.0.0.1:${this.tlsPort} `,
      "/etc/haproxy/tls/rt.example.com.pem": join(this.directory, "tls.pem"),
      // The descriptors of a machine for tests.
      "maxconn 50000": "maxconn 500",
    });
    writeFileSync(join(this.directory, "haproxy.cfg"), `${file}
frontend plain
  bind 127.0.0.1:${this.port}
  http-request return status 200 if { path /alive }
  http-request set-var(txn.gzip) bool(true) if { path_beg /gzip/ }
  http-request replace-path /(live|gzip)/(.*) /\\2
  use_backend compressed if { var(txn.gzip) -m bool }
  default_backend tidegate
backend compressed
  compression algo gzip
  compression type text/event-stream
  server node ${node1}
`);
    return [program("haproxy", "haproxy", ["/usr/sbin"]), "-db", "-f", "haproxy.cfg"];
  }
}
