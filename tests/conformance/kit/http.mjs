// HTTP requests to a server under test, each on a connection of its own, and the payloads of polling.

import assert from "node:assert/strict";
import { request as begin } from "node:http";

import { within } from "./within.mjs";

export const SEPARATOR = "\x1e";

/** The address of a request: `query` in the order given, keys without a value left out. */
export function address(server, query, path = server.path) {
  const url = new URL(path, server.url);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.append(key, value);
  return url;
}

/**
 * A request that is under way: `answer` is its status, headers and text; `sent` is kept when all of it was written, and
 * `continued` when the server has asked for the body. With `body: null` the body is the caller's to write.
 */
export function start(server, query, { method = "GET", body, headers = {}, path } = {}) {
  const length = body === undefined || body === null ? {} : { "content-length": Buffer.byteLength(body) };
  const outgoing = begin(address(server, query, path), { method, agent: false, headers: { ...length, ...headers } });
  const answer = new Promise((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() });
      });
    });
  });
  answer.catch(() => {});
  const sent = new Promise((resolve) => outgoing.on("finish", resolve));
  const continued = new Promise((resolve) => outgoing.on("continue", resolve));
  if (body !== null) outgoing.end(body);
  else outgoing.flushHeaders();
  return { outgoing, sent, continued, answer };
}

export const request = (server, query, options) => within("an answer", start(server, query, options).answer);

/** The body of a refusal: `{ code, message }` in JSON, with its status. */
export function assertRefused(answer, code, message, status = 400) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers["content-type"], /^application\/json/);
  assert.deepEqual(JSON.parse(answer.text), { code, message });
}

export const UNKNOWN_SESSION = [1, "Session ID unknown"];

/** A packet is a text with its type, or a Buffer. */
export const encode = (packets) =>
  packets.map((packet) => (Buffer.isBuffer(packet) ? `b${packet.toString("base64")}` : packet)).join(SEPARATOR);

export const decode = (payload) =>
  payload.split(SEPARATOR).map((packet) => (packet.startsWith("b") ? Buffer.from(packet.slice(1), "base64") : packet));
