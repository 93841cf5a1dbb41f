// The line between clients and a server: it can be cut at once or after so many bytes, it can be down, and it can go dead
// without a word to the server.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Line {
  #pairs = new Set();
  #left = Infinity;
  dead = [];
  isDown = false;

  static async start(address) {
    const line = new Line();
    line.address = address;
    line.listener = createServer((client) => line.#join(client)).listen(0, "127.0.0.1");
    await once(line.listener, "listening");
    line.url = `http://127.0.0.1:${line.listener.address().port}`;
    return line;
  }

  #join(client) {
    if (this.isDown) return client.destroy();
    const [host, port] = this.address.split(":");
    const server = connect({ port: Number(port), host, noDelay: true });
    const pair = [client, server];
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        if (this.dead.includes(pair)) return;
        pair.forEach((one) => one.destroy());
        this.#pairs.delete(pair);
      });
    }
    client.setNoDelay(true).pipe(server);
    server.on("data", (data) => this.#forward(data, pair));
    server.on("end", () => client.end());
    client.on("drain", () => server.resume());
  }

  // What the server sends, up to the byte at which the line is cut.
  #forward(data, pair) {
    const [client, server] = pair;
    if (this.dead.includes(pair)) return;
    if (data.length >= this.#left) {
      client.end(data.subarray(0, this.#left));
      this.#left = Infinity;
      server.destroy();
      return this.cut();
    }
    this.#left -= data.length;
    if (!client.write(data)) server.pause();
  }

  cut() {
    // What is written already still arrives, or not, as on any line.
    for (const [client, server] of this.#pairs) {
      server.destroy();
      client.destroy();
    }
    this.#pairs.clear();
  }

  // From now on it leads to another server.
  leads(address) {
    this.address = address;
    this.cut();
  }

  // After so many bytes from the server, whatever connection they are on: in the middle of a frame.
  cutAfter(bytes) {
    this.#left = bytes;
  }

  // The client loses its connection, and the server hears nothing of it.
  goDead() {
    for (const pair of this.#pairs) {
      this.dead.push(pair);
      const [client, server] = pair;
      client.unpipe(server);
      server.resume();
      client.destroy();
    }
    this.#pairs.clear();
  }

  stop() {
    this.listener.close();
    this.cut();
    for (const [, server] of this.dead) server.destroy();
  }
}
