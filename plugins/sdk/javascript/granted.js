// What the server offers by grant: a plugin that uses something here needs its line in `grants` of plugin.yaml.
import { words } from './checked.js';
import { read, text } from './json.js';
import { getEntry, getSecret, increment, keys, put, remove, run, send } from '#host';

/** Why there is no answer: `code` is one of those in `index.d.ts`. */
export class HostError extends Error {
  constructor(code, sentence, revision) {
    super(sentence);
    this.name = 'HostError';
    this.code = code;
    if (revision !== undefined) this.revision = revision;
  }
}

/** Whether the host's side is away, or late: what may go well later. */
export const isAway = (error) => error instanceof HostError && ['rate-limited', 'timeout', 'unavailable'].includes(error.code);

const MEANINGS = {
  denied: 'it is not in `grants`',
  missing: 'there is none',
  'too-large': 'it is larger than the host takes',
  conflict: 'the key has another revision',
  'not-an-integer': 'the value is no integer, or the sum is out of range',
  'rate-limited': 'more calls a second than the limits allow',
  timeout: 'it took too long',
};
// What the contract calls by a name of the place.
const CODES = { 'invalid-params': 'invalid', unreachable: 'unavailable' };

// Calls an import; what it throws becomes a HostError about `what`.
function asked(what, call) {
  try {
    return call();
  } catch (error) {
    const { tag = error, val } = error?.payload ?? error;
    if (typeof tag !== 'string') throw error;
    const code = CODES[tag] ?? tag;
    const told = typeof val === 'string' ? val : MEANINGS[code] ?? code;
    throw new HostError(code, `${what}: ${told}`, code === 'conflict' ? Number(val) : undefined);
  }
}

/** A secret of the server's environment. */
export const secret = (name) => asked(`secret \`${name}\``, () => getSecret(words('name', name)));

/** A bucket of keys that survive a restart, shared by all instances. */
export const bucket = (name) => {
  words('name', name);
  const ask = (key, call) => asked(`bucket \`${name}\``, () => call(words('key', key)));
  return {
    get(key) {
      const entry = ask(key, () => getEntry(name, key));
      if (entry === undefined || entry === null) return undefined;
      return withText({ revision: Number(entry.revision) }, 'value', entry.value);
    },
    put: (key, value, { ifRevision, ttlMs } = {}) =>
      Number(ask(key, () => put(name, key, toBytes(value), whole('ifRevision', ifRevision), whole('ttlMs', ttlMs)))),
    delete: (key, { ifRevision } = {}) => ask(key, () => remove(name, key, whole('ifRevision', ifRevision))),
    increment: (key, delta = 1, { ttlMs } = {}) =>
      Number(ask(key, () => increment(name, key, whole('delta', delta, -Infinity), whole('ttlMs', ttlMs)))),
    keys: (prefix = '', { after, limit = 1000 } = {}) =>
      ask(prefix, () => keys(name, prefix, after && words('after', after), Math.min(whole('limit', limit), 1000))),
  };
};

/** Runs one of `grants.queries`, a value a placeholder; the rows are objects. */
export const query = (name, ...params) =>
  read(asked(`query \`${name}\``, () => run(words('name', name), text(params))));

/** Sends an HTTP request and reads the whole response. */
export const request = ({ url, method = 'GET', headers = {}, body }) => {
  const fields = Array.isArray(headers) ? headers : Object.entries(headers);
  fields.flat().forEach((word) => words('headers', word));
  const bytes = body === undefined ? undefined : toBytes(body);
  const sent = { method: words('method', method), url: words('url', url), headers: fields, body: bytes };
  const response = asked(`${method} ${url}`, () => send(sent));
  const header = (name) => response.headers.find(([key]) => key === name.toLowerCase())?.[1];
  return withText({ status: response.status, headers: response.headers, header }, 'body', response.body);
};

// The engine traps on a value of another type than the contract's.
const whole = (name, value, least = 0) => {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return value;
  throw new TypeError(`\`${name}\`: ${String(value)} is no whole number${least === 0 ? ' from 0 on' : ''}`);
};

// Bytes, and what they say as text and as JSON.
const withText = (about, name, list) => {
  const bytes = new Uint8Array(list);
  return { ...about, [name]: bytes, text: () => toText(bytes), json: () => read(toText(bytes)) };
};

// The engine has no TextEncoder; percent-encoding is UTF-8.
function toBytes(value) {
  if (typeof value !== 'string') return new Uint8Array(value);
  const escaped = encodeURIComponent(value);
  const bytes = [];
  for (let at = 0; at < escaped.length; at += 1) {
    if (escaped[at] === '%') bytes.push(parseInt(escaped.slice(at + 1, (at += 2) + 1), 16));
    else bytes.push(escaped.charCodeAt(at));
  }
  return new Uint8Array(bytes);
}

function toText(bytes) {
  const escaped = [];
  for (const byte of bytes) escaped.push('%', byte.toString(16).padStart(2, '0'));
  return decodeURIComponent(escaped.join(''));
}
