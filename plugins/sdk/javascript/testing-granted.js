// Stands in for what the server offers by grant, in unit tests under Node. It throws what a component sees thrown.
const secrets = new Map();
const queries = new Map();
const buckets = new Map();
let http;
let revisions = 0;

const refuse = (tag, val) => { throw { payload: { tag, val } }; };
const bytes = (value) => (typeof value === 'string' ? new TextEncoder().encode(value) : value);

/** Grants and sets one secret; undefined takes it away. */
export const setSecret = (name, value) => (value === undefined ? secrets.delete(name) : secrets.set(name, value));
/** Answers one query; undefined takes it away. */
export const setQuery = (name, answer) => (answer === undefined ? queries.delete(name) : queries.set(name, answer));
/** Answers HTTP requests. */
export const setHttp = (answer) => { http = answer; };
/** Empties the buckets. */
export const clearBuckets = () => buckets.clear();

export const getSecret = (name) => secrets.get(name) ?? refuse('denied');

function entries(name) {
  if (!buckets.has(name)) buckets.set(name, new Map());
  return buckets.get(name);
}

function check(bucket, key, ifRevision) {
  const revision = entries(bucket).get(key)?.revision ?? 0;
  if (ifRevision !== undefined && ifRevision !== revision) refuse('conflict', revision);
}

export const getEntry = (bucket, key) => entries(bucket).get(key);

export function put(bucket, key, value, ifRevision) {
  check(bucket, key, ifRevision);
  entries(bucket).set(key, { value, revision: (revisions += 1) });
  return revisions;
}

export function remove(bucket, key, ifRevision) {
  check(bucket, key, ifRevision);
  return entries(bucket).delete(key);
}

export function increment(bucket, key, delta) {
  const text = new TextDecoder().decode(entries(bucket).get(key)?.value ?? bytes('0'));
  if (!/^-?\d+$/.test(text)) refuse('not-an-integer');
  const sum = Number(text) + delta;
  put(bucket, key, bytes(String(sum)));
  return sum;
}

export const keys = (bucket, prefix, after = '', limit) =>
  [...entries(bucket).keys()].filter((key) => key.startsWith(prefix) && key > after).sort().slice(0, limit);

export const run = (name, params) => JSON.stringify((queries.get(name) ?? refuse('denied'))(JSON.parse(params)));

export function send(request) {
  if (!http) refuse('denied', 'no origin is granted');
  const { status = 200, headers = [], body = '' } = http(request);
  return { status, headers, body: bytes(body) };
}
