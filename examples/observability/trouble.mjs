// Things that go wrong, as clients and backends do them.

import { randomUUID } from "node:crypto";

import { io } from "socket.io-client";

// Does something with a connected client, and ends it.
async function withClient(url, token, use) {
  const socket = io(url, { auth: { token }, reconnection: false, forceNew: true });
  try {
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
    return await use(socket);
  } finally {
    socket.close();
  }
}

const said = (answer) => (answer.ok ? "ok" : answer.error.code);

/** Gate 1: a client whose token nobody signed. */
export const intruder = (url) => withClient(url, "no token", () => "let in").catch((error) => error.message);

/** Gate 2: a user who is no operator wants to see this page's channel. */
export const curious = (url, token) =>
  withClient(url, token, async (socket) => said(await socket.emitWithAck("subscribe", { channel: "operations" })));

/** A plugin that publishes what its channel does not allow. */
export const fault = (url, token) =>
  withClient(url, token, async (socket) => {
    await socket.emitWithAck("subscribe", { channel: "realtime-ping" });
    return said(await socket.emitWithAck("realtime-ping", { n: 101 }));
  });

/** An event of an application that cannot cross the bridge: a text is no number. */
export async function letter(url, apiKey) {
  const event = { specversion: "1.0", id: randomUUID(), source: "/game", type: "game.scored", data: { pong: "many" } };
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/cloudevents+json" };
  const answer = await fetch(`${url}/v1/events`, { method: "POST", headers, body: JSON.stringify(event) });
  return `taken: ${answer.status}`;
}
