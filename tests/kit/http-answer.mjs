// A GET with headers that `fetch` does not send, and its answer: 101, too.

import { get } from "node:http";

import { within } from "./harness.mjs";

/** Status, headers and body of the answer; the body of a 101 is empty, and its connection is closed. */
export function answer(url, headers = {}) {
  const answered = new Promise((resolve, reject) => {
    const request = get(url, { headers, agent: false });
    request.once("error", reject);
    request.once("upgrade", ({ statusCode, headers }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, headers, body: "" });
    });
    request.once("response", async (response) => {
      let body = "";
      for await (const part of response) body += part;
      resolve({ status: response.statusCode, headers: response.headers, body });
    });
  });
  return within(`the answer to ${url}`, answered);
}
