// A connection to a Redis, for tests that add to it and look into it themselves: one command after the other, each with its
// answer. A connection that ends fails what waits for an answer; a new one is then needed.

import { once } from "node:events";
import { connect } from "node:net";

export class RedisLink {
  #socket;
  #waiting = [];
  #read = Buffer.alloc(0);

  // Fails when nobody listens there.
  static async open(url) {
    const { hostname, port, username, password } = new URL(url);
    const link = new RedisLink();
    link.#socket = connect(Number(port), hostname);
    await once(link.#socket, "connect");
    link.#socket.on("data", (data) => link.#take(data));
    link.#socket.on("error", () => {});
    link.#socket.on("close", () => link.#waiting.splice(0).forEach(({ reject }) => reject(new Error("the connection ended"))));
    await link.ask("AUTH", username, password);
    return link;
  }

  // What Redis answers: a text, a number, null or a list of them. An error is thrown.
  ask(...words) {
    if (this.#socket.destroyed) return Promise.reject(new Error("the connection ended"));
    const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
    this.#socket.write(`*${words.length}\r\n${parts.join("")}`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  close() {
    this.#socket.destroy();
  }

  #take(data) {
    this.#read = Buffer.concat([this.#read, data]);
    for (let found; this.#waiting.length > 0 && (found = parse(this.#read, 0)); ) {
      this.#read = this.#read.subarray(found.end);
      const { resolve, reject } = this.#waiting.shift();
      if (found.value instanceof Error) reject(found.value);
      else resolve(found.value);
    }
  }
}

// The answer that begins at a place and where it ends; undefined while it is not all there.
// <https://redis.io/docs/latest/develop/reference/protocol-spec/>
function parse(bytes, from) {
  const lineEnd = bytes.indexOf("\r\n", from);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString("utf8", from + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[from])) {
    case "+": return { value: line, end };
    case "-": return { value: new Error(line), end };
    case ":": return { value: Number(line), end };
    case "$": {
      const length = Number(line);
      if (length < 0) return { value: null, end };
      return bytes.length < end + length + 2 ? undefined : { value: bytes.toString("utf8", end, end + length), end: end + length + 2 };
    }
    case "*": {
      const list = { value: Number(line) < 0 ? null : [], end };
      for (let index = 0; index < Number(line); index += 1) {
        const one = parse(bytes, list.end);
        if (!one) return undefined;
        list.value.push(one.value);
        list.end = one.end;
      }
      return list;
    }
    default: throw new Error(`no answer of Redis: ${bytes.toString("utf8", from, from + 40)}`);
  }
}
