// Publications over a few kept HTTP connections, without waiting for each answer: thousands a second from one process.

import { connect } from "node:net";

// The time of this machine in microseconds: processes of a run compare theirs.
export const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

export class Pipeline {
  #sockets;
  #next = 0;
  #head;
  sent = 0;
  accepted = 0;
  refused = 0;

  constructor({ url, key, connections = 4 }) {
    const { hostname, port } = new URL(url);
    this.#head = (topic, body) =>
      `POST /v1/channels/${topic}/publish HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${key}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    this.#sockets = Array.from({ length: connections }, () => this.#open(Number(port), hostname));
  }

  #open(port, host) {
    const socket = connect({ port, host, noDelay: true });
    // An answer's status line may come in two parts.
    let rest = "";
    socket.on("data", (data) => {
      const text = rest + data.toString("latin1");
      const statuses = text.match(/HTTP\/1\.1 \d{3} /g) ?? [];
      for (const status of statuses) status.includes(" 202 ") ? (this.accepted += 1) : (this.refused += 1);
      rest = /HTTP\/1\.1 \d{3} /.test(text.slice(-12)) ? "" : text.slice(-12);
    });
    socket.on("error", () => {});
    return socket;
  }

  // What is published on one topic keeps its order if `lane` is the same.
  publish(topic, body, lane = this.#next++) {
    this.sent += 1;
    this.#sockets[lane % this.#sockets.length].write(this.#head(topic, body));
  }

  get waiting() {
    return this.sent - this.accepted - this.refused;
  }

  end() {
    for (const socket of this.#sockets) socket.destroy();
  }
}
