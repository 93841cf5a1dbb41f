// The publisher: each call is one request of Tidegate's HTTP interface, which may be sent twice without harm.

import { insist } from "./attempts.js";
import { answerOf, refusalOf, TidegateError } from "./errors.js";

export { TidegateError } from "./errors.js";
export { topic } from "./topics.js";

// The server remembers an idempotency key for five minutes; a call that lasted longer could publish twice.
const DEADLINE_MS_MAX = 240_000;

/** @type {typeof import("./index.js").publisher} */
export function publisher(options = {}) {
  const settings = read(options);
  const { source } = settings;

  /** One call, with every attempt that it needs. @param {string} path @param {unknown} body @param {object} [more] */
  const call = (path, body, { signal, headers = {} } = {}) => {
    const text = toJson(body);
    return insist((leftMs) => send(settings, path, text, headers, leftMs, signal), settings, signal);
  };

  return {
    async publish(topic, payload, { idempotencyKey = crypto.randomUUID(), signal } = {}) {
      const headers = { "idempotency-key": quoted(idempotencyKey) };
      return await call(`/v1/channels/${encodeURIComponent(topic)}/publish`, payload, { signal, headers });
    },

    async batch(publications, { signal } = {}) {
      const list = publications.map(({ topic, payload, idempotencyKey = crypto.randomUUID() }) => {
        quoted(idempotencyKey);
        return { topic, payload, idempotency_key: idempotencyKey };
      });
      return await publishList(settings, list, signal);
    },

    async events(events, { signal } = {}) {
      const list = [events].flat().map((event) => ({
        specversion: "1.0", id: crypto.randomUUID(), time: new Date().toISOString(), ...(source && { source }), ...event,
      }));
      for (const { type, source } of list) {
        if (!source) throw new TypeError(`the event \`${type}\` has no \`source\`: name it there, or once for all in publisher({ source: "/shop" })`);
      }
      const headers = { "content-type": "application/cloudevents-batch+json" };
      return await call("/v1/events", list, { signal, headers });
    },

    async revoke({ issuedBefore, ...revocation }, { signal } = {}) {
      return await call("/v1/revoke", { ...revocation, ...(issuedBefore !== undefined && { issued_before: issuedBefore }) }, { signal });
    },
  };
}

// Sends a list; then, again and again, what of it was refused for now. The others have their answers already.
async function publishList(settings, list, signal) {
  const answers = [];
  let open = list.map((_, index) => index);
  const attempt = async (leftMs) => {
    const text = toJson(open.map((index) => list[index]));
    const given = await send(settings, "/v1/publish", text, {}, leftMs, signal);
    open.forEach((index, place) => (answers[index] = given[place].ok ? given[place] : { ok: false, error: refusalOf(given[place].error) }));
    open = open.filter((index) => !answers[index].ok && answers[index].error.retry);
    if (open.length > 0) throw answers[open[0]].error;
  };
  try {
    if (list.length > 0) await insist(attempt, settings, signal);
  } catch (error) {
    // Without any answer the call failed; else each publication has its own, the last one that it got.
    if (answers.length === 0 || !(error instanceof TidegateError)) throw error;
  }
  return answers;
}

// One attempt: the answer's body, or the error that it is.
async function send({ url, key, timeoutMs, fetch }, path, body, headers, leftMs, signal) {
  const ms = Math.ceil(Math.min(timeoutMs, leftMs));
  const timeout = AbortSignal.timeout(ms);
  try {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
      body,
      redirect: "manual",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    return answerOf(response, await response.text());
  } catch (error) {
    if (error instanceof TidegateError) throw error;
    signal?.throwIfAborted();
    const why = timeout.aborted ? `no answer within ${ms} ms` : (error.cause?.message ?? error.message);
    throw new TidegateError({ code: "unreachable", message: `${url}: ${why}`, retry: true, cause: error });
  }
}

function read({
  url = env("TIDEGATE_URL"), key = env("TIDEGATE_API_KEY"), source, timeoutMs = 5000, deadlineMs = 15_000, attempts = 5, fetch = globalThis.fetch,
}) {
  if (!URL.canParse(url)) throw new TypeError(`\`url\` is the address of the server, http://127.0.0.1:3000; found ${JSON.stringify(url)}`);
  if (!/^[\x21-\x7e]+$/.test(key ?? "")) throw new TypeError("`key` is the API key of this backend, from `api_keys` of the server's configuration; without it TIDEGATE_API_KEY is read");
  for (const [name, value] of Object.entries({ timeoutMs, deadlineMs, attempts })) {
    if (!(value > 0)) throw new TypeError(`\`${name}\` must be a number above 0, found ${value}`);
  }
  if (deadlineMs > DEADLINE_MS_MAX) throw new TypeError(`\`deadlineMs\` may be ${DEADLINE_MS_MAX} at most: the server forgets idempotency keys after five minutes`);
  return { url: url.replace(/\/+$/, ""), key, source, timeoutMs, deadlineMs, attempts, fetch };
}

const env = (name) => globalThis.process?.env[name];

function toJson(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError("the payload is nothing that JSON has: undefined, a function or a symbol");
  return text;
}

// As RFC 9651 writes a string; the server takes printable ASCII.
function quoted(key) {
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) throw new TypeError("an idempotency key has 1 to 255 printable ASCII characters");
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}
