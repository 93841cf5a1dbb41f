// The guest of `tests/e2e/guest.mjs` in TypeScript: of every kind, and does what a message asks for.
import {
  type Authorizer, type Connection, type Context, type Handler, HostError, Refusal, type Snapshot, type Transform, allow,
  authorizer as decides, bucket, cannotTell, clock, config, connection as hears, deny, drop, emit, handler as answers, log, param, publish,
  query, random, remove, removeAll, request, secret, snapshot as gives, transform as makes,
} from '../index.js';

interface Order {
  n?: number;
  others?: number;
  gone?: number;
  cleared?: boolean;
  echo?: unknown;
  context?: boolean;
  config?: string;
  log?: string;
  host?: boolean;
  own?: boolean;
  field?: { name?: string };
  value?: unknown;
  secret?: string;
  kv?: {
    op: 'get' | 'put' | 'delete' | 'increment' | 'keys'; bucket: string; key: string; text: string; delta?: number; after?: string;
    limit?: number; if_revision?: number; ttl_ms?: number;
  };
  query?: { name: string; params: unknown[] };
  fetch?: { method: string; url: string; asked: string; body?: string };
  unwritable?: boolean;
  refuse?: 'invalid_payload' | 'forbidden' | 'unavailable' | 'failed';
  crash?: boolean;
  recurse?: boolean;
  spin?: boolean;
  hog?: boolean;
}

const told = ({ user, params, ...context }: Context) => ({
  topic: context.topic,
  channel: context.channel,
  params,
  user: user ? { id: user.id, roles: user.roles, tenant: user.tenant ?? null } : null,
  connection_id: context.connectionId,
  received_at_ms: context.receivedAtMs,
  deadline_ms: context.deadlineMs,
  attributes: context.attributes,
});

const host = () => ({
  now_ms: clock.nowMs(),
  sooner_us: clock.monotonicUs(),
  later_us: clock.monotonicUs(),
  bytes: [...random.bytes(16)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
  number: random.u64().toString(),
});

// What the language itself draws and reads.
const own = () => ({ random: String(Math.random()), now_ms: Date.now() });

function keep(order: NonNullable<Order['kv']>) {
  const { op, key, delta, after, limit, if_revision: ifRevision, ttl_ms: ttlMs } = order;
  const kept = bucket(order.bucket);
  switch (op) {
    case 'get': {
      const entry = kept.get(key);
      return { entry: entry ? { text: entry.text(), revision: entry.revision } : null };
    }
    case 'put': return { revision: kept.put(key, order.text, { ifRevision, ttlMs }) };
    case 'delete': return { existed: kept.delete(key, { ifRevision }) };
    case 'increment': return { sum: kept.increment(key, delta, { ttlMs }) };
    case 'keys': return { keys: kept.keys(key, { after, limit }) };
  }
}

function fetched({ method, url, asked, body }: NonNullable<Order['fetch']>) {
  const response = request({ method, url, headers: { 'x-asked': asked }, body });
  return { status: response.status, answered: response.header('X-Answered') ?? null, body: response.text() };
}

// What is granted, or why it is not to be had.
function granted(ask: () => unknown) {
  try {
    return { reply: ask() };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { reply: { error: error.code, revision: error.revision } };
  }
}

const refusals = {
  invalid_payload: Refusal.invalidPayload, forbidden: Refusal.forbidden, unavailable: Refusal.unavailable, failed: Refusal.failed,
};

const recurse = (n: number): number => n + recurse(n + 1);

// The mistakes.
function misbehave(order: Order) {
  if (order.crash) (undefined as any).nope();
  if (order.recurse) recurse(0);
  while (order.spin);
  for (const all: Uint8Array[] = []; order.hog;) all.push(new Uint8Array(1 << 20).fill(1));
}

export const handler: Handler = answers<Order>((context, order) => {
  misbehave(order);
  const { topic } = context;
  if (order.n !== undefined) {
    const pong = { pong: order.n };
    return { reply: pong, effects: [emit(topic, pong), publish('ping.seen', { n: order.n }, context.user?.id)] };
  }
  if (order.others !== undefined) return { effects: [emit(topic, { pong: order.others }, 'others')] };
  if (order.gone !== undefined) return { effects: [remove(topic, order.gone)] };
  if (order.cleared) return { effects: [removeAll(topic)] };
  if (order.echo !== undefined) return { reply: order.echo };
  if (order.context) return { reply: told(context) };
  if (order.config) return { reply: config(order.config) ?? null };
  if (order.log) return log.warn(order.log, { colour: 'blue' });
  if (order.host) return { reply: host() };
  if (order.own) return { reply: own() };
  if (order.field) return { reply: order.field.name ?? null };
  if (order.value !== undefined) return { reply: order.value };
  const { secret: name, kv, query: question, fetch } = order;
  if (name) return granted(() => ({ secret: secret(name) }));
  if (kv) return granted(() => keep(kv));
  if (question) return granted(() => ({ rows: query(question.name, ...question.params) }));
  if (fetch) return granted(() => fetched(fetch));
  if (order.unwritable) return { reply: { n: [NaN] } };
  if (order.refuse) throw refusals[order.refuse]('no 🦊 today');
  throw Refusal.invalidPayload('what is to be done?');
});

// Members of a vault may join it and send on it; nobody may say `crash` there.
export const authorizer: Authorizer = decides<Order>((context, action, message) => {
  const vault = param(context, 'vaultId');
  if (!vault || vault === 'broken') throw Refusal.failed('the vault is broken');
  if (vault === 'away') return cannotTell('the vault is away');
  if (action === 'send' && message?.crash) misbehave(message);
  const members = config<Record<string, string[]>>('members')?.[vault] ?? [];
  return members.includes(context.user?.id ?? '') ? allow() : deny(`no member of vault \`${vault}\``);
});

// As many payloads as the topic says, and who asked.
export const snapshot: Snapshot = gives((context) => {
  const what = param(context, 'what');
  misbehave({ crash: what === 'crash' });
  const count = Number(what);
  if (Number.isNaN(count)) throw Refusal.failed(`no state of \`${what}\``);
  return Array.from({ length: count }, (_, n) => ({ n, to: context.user?.id }));
});

// Orders of 0 do not cross, and those below are none.
export const transform: Transform = makes<number | string>(({ event, topic }, cents) => {
  misbehave({ crash: cents === 'crash' });
  if (cents === 0) return drop;
  if (typeof cents === 'number' && cents < 0) throw Refusal.failed(`a refund of ${-cents} is no order`);
  const { kind, source, id, subject = null, time = null, data } = event;
  return { cents, type: kind, source, id, subject, time, data, topic };
});

// Tells the lobby and the bus.
export const connection: Connection = hears((peer, phase) => {
  const user = peer.user?.id ?? null;
  if (user === 'broken' && phase === 'connected') throw Refusal.failed('not at home to `broken`');
  const told = { phase, user, connection: peer.connectionId };
  return [emit('lobby', told, 'others'), publish(`connection.${phase}`, told)];
});
