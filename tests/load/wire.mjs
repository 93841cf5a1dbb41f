// One bare websocket that speaks just enough Engine.IO and Socket.IO, and holds one topic.

import WebSocket from "ws";

// Resolves once subscribed. `answered(id, packet)` is called for the ack of each message, `event(packet)`
// for what arrives on the topic, `closed()` when the socket ends.
export function open({ url, token, topic, answered, event = () => {}, closed }) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  let id = 0;
  const send = (payload) => {
    id += 1;
    socket.send(`42${id}["${topic}",${payload(id)}]`);
    return id;
  };
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => {
      closed();
      reject(new Error("the socket was closed"));
    });
    socket.on("message", (data) => {
      const packet = data.toString("latin1");
      if (packet.startsWith("43") && id > 0) answered(Number.parseInt(packet.slice(2), 10), packet);
      else if (packet.startsWith("42[")) event(packet);
      else if (packet === "2") socket.send("3");
      else if (packet.startsWith("0")) socket.send(`40${JSON.stringify({ token })}`);
      else if (packet.startsWith("40")) socket.send(`420["subscribe",{"channel":"${topic}"}]`);
      else if (packet.startsWith("430")) resolve({ send, terminate: () => socket.terminate() });
      else if (packet.startsWith("44")) reject(new Error(packet));
    });
  });
}

// What an ack says: `ok`, or the code of the refusal.
export const outcome = (packet) => (packet.includes('"ok":true') ? "ok" : (/"code":"(\w+)"/.exec(packet)?.[1] ?? "no code"));

// Counts by name.
export class Tally {
  counts = {};
  add(name) {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}
