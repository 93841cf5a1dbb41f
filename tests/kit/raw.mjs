// A client that sends JSON texts as they are written, and gets acks as they are written: JavaScript's own reader and writer
// would change what some tests are about.

import WebSocket from "ws";

import { within } from "./harness.mjs";

/** An anonymous subscriber of one topic. */
export async function rawClient(server, topic) {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  const waiting = new Map();
  let asked = 0;
  // The ack of an event: what stands between `[` and `]`.
  const ask = (event, text) => {
    const id = (asked += 1);
    const answer = new Promise((resolve) => waiting.set(id, resolve));
    socket.send(`42${id}[${JSON.stringify(event)},${text}]`);
    return within(`ack of \`${event}\``, answer);
  };
  await within("connect", new Promise((resolve) => {
    socket.on("message", (data) => {
      const message = String(data);
      if (message === "2") socket.send("3");
      if (message.startsWith("0")) socket.send("40");
      if (message.startsWith("40")) resolve();
      const [, id, text] = /^43(\d+)\[(.*)\]$/s.exec(message) ?? [];
      waiting.get(Number(id))?.(text);
    });
  }));
  await ask("subscribe", JSON.stringify({ channel: topic }));
  return { ask: (text) => ask(topic, text), close: () => socket.close() };
}
