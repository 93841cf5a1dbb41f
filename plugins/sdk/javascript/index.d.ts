// The types of `index.js`; names and meanings are those of `wit/plugin.wit`.
export interface User { id: string; roles: string[]; tenant?: string }
export interface Context {
  topic: string;
  channel: string;
  /** In the order of the channel's template. */
  params: [name: string, value: string][];
  user?: User;
  connectionId: string;
  /** Milliseconds since the Unix epoch. */
  receivedAtMs: number;
  /** Milliseconds this call may take. */
  deadlineMs: number;
  attributes: [name: string, value: string][];
}
export type Effect =
  | { tag: 'emit'; val: { topic: string; payload: string; to: 'everyone' | 'others' } }
  | { tag: 'publish'; val: { kind: string; subject?: string; data: string } }
  | { tag: 'remove'; val: { topic: string; key?: string } };
export type Decision = { tag: 'allow'; val: { ttlMs: number; user?: User } } | { tag: 'deny' | 'cannot-tell'; val: string };
export interface Outcome { reply?: unknown; effects?: Effect[] }

/** Says no in the plugin's own words: throw one, in a function of any kind. Any other exception is a mistake. */
export class Refusal extends Error {
  static invalidPayload(sentence: string): Refusal;
  static forbidden(sentence: string): Refusal;
  static unavailable(sentence: string): Refusal;
  static failed(sentence: string): Refusal;
}
/**
 * A member of a message, of this kind. A message without it, or with something else there, is refused as `invalid_payload`
 * with the reason: the types of a file say nothing of what clients send.
 */
export function field<Kind extends keyof Fields>(message: unknown, name: string, kind: Kind): Fields[Kind];
interface Fields { string: string; number: number; boolean: boolean; array: unknown[]; object: Record<string, unknown> }
export function emit(topic: string, payload: unknown, to?: 'everyone' | 'others'): Effect;
export function publish(kind: string, data: unknown, subject?: string): Effect;
/** Takes the retained value of a key away, and tells the subscribers. Needs the topic's channel in `grants.emit`. */
export function remove(topic: string, key: unknown): Effect;
/** Takes every retained value of a topic away, and tells the subscribers. */
export function removeAll(topic: string): Effect;
/** `ttlMs`: how long the host may answer the same question by itself, in milliseconds. */
export function allow(ttlMs?: number, user?: User): Decision;
export function deny(sentence: string): Decision;
/**
 * Neither: what the answer depends on is away. The client may try again; what it holds already it keeps. A `HostError` of
 * `query`, `request` or a bucket that is away (`timeout`, `rate-limited`, `unavailable`) answers so by itself.
 */
export function cannotTell(sentence: string): Decision;
export const log: Record<'trace' | 'debug' | 'info' | 'warn' | 'error',
  (message: string, fields?: Record<string, string | number | boolean>) => void>;
export function config<T = unknown>(key: string): T | undefined;
export const clock: {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Microseconds since some moment; never goes back. */
  monotonicUs(): number;
};
/** The server's own randomness, good for secrets. */
export const random: { bytes(length: number): Uint8Array; u64(): bigint };
/** What the topic puts in one place of the channel's template: `param(context, 'vaultId')` is `v1` on `vault.v1`. */
export function param(context: Context, name: string): string | undefined;

// By grant: a plugin that uses one of these needs its line in `grants` of plugin.yaml, one that does not needs none.

/** Why there is no answer. */
export class HostError extends Error {
  code: 'denied' | 'missing' | 'invalid' | 'too-large' | 'conflict' | 'not-an-integer' | 'rate-limited' | 'timeout' | 'unavailable';
  /** Of a `conflict`: the revision that the key has, 0 when there is no such key. */
  revision?: number;
}
/** A secret of the server's environment (`grants.secrets`). */
export function secret(name: string): string;

export interface Entry {
  value: Uint8Array;
  /** Grows with every write of the key; never 0. */
  revision: number;
  text(): string;
  json(): any;
}
export interface Bucket {
  get(key: string): Entry | undefined;
  /** Returns the new revision. With `ifRevision` only while the key has that one (0: while there is no such key). */
  put(key: string, value: string | Uint8Array, options?: { ifRevision?: number; ttlMs?: number }): number;
  /** Says whether there was one. */
  delete(key: string, options?: { ifRevision?: number }): boolean;
  /** Adds to an integer that is kept as decimal text, and returns the sum, which is exact up to 2^53. */
  increment(key: string, delta?: number, options?: { ttlMs?: number }): number;
  /** Keys that begin with `prefix`, in order, at most 1,000. */
  keys(prefix?: string, options?: { after?: string; limit?: number }): string[];
}
/** A bucket of keys that survive a restart, shared by all instances (`grants.kv`). */
export function bucket(name: string): Bucket;
/** Runs a query of `grants.queries`, a value a placeholder; the rows are objects. */
export function query<Row = Record<string, unknown>>(name: string, ...params: unknown[]): Row[];

export interface Response {
  status: number;
  /** Names in lower case. */
  headers: [name: string, value: string][];
  header(name: string): string | undefined;
  body: Uint8Array;
  text(): string;
  json(): any;
}
/** Sends an HTTP request (`grants.http`) and reads the whole response, whatever its status. */
export function request(request: {
  url: string; method?: string; headers?: Record<string, string> | [string, string][]; body?: string | Uint8Array;
}): Response;

// The shapes that the host calls, made by the functions below. The build checks the exports of a plugin against them.
export interface Handler {
  handle(context: Context, payload: string): { reply?: string; effects: Effect[] };
}
export interface Authorizer {
  authorize(context: Context, action: Action, payload?: string): Decision;
}
export interface Snapshot {
  provide(context: Context): string[];
}
export interface Transform {
  apply(crossing: { event: Omit<Event, 'data'> & { data: string }; topic: string; payload: string; deadlineMs: number }): string | undefined;
}
export interface Connection {
  changed(peer: Peer, phase: Phase): Effect[];
}
export type Action = 'connect' | 'subscribe' | 'send';
/** `Payload` is what the channel's inbound schema lets through. Must not be async. */
export function handler<Payload = unknown>(handle: (context: Context, payload: Payload) => Outcome | void): Handler;
export function authorizer<Payload = unknown>(
  authorize: (context: Context, action: Action, payload?: Payload) => Decision): Authorizer;
/** The state of a topic: payloads that each must meet the channel's schema. */
export function snapshot<Payload = unknown>(provide: (context: Context) => Payload[]): Snapshot;

/** A bus event: a CloudEvent 1.0. */
export interface Event { kind: string; source: string; id: string; subject?: string; time?: string; data: any }
export interface Crossing {
  event: Event;
  /** The topic the rule leads to. */
  topic: string;
  /** Milliseconds this call may take. */
  deadlineMs: number;
}
/** What a transform answers for an event that should not cross. */
export const drop: unique symbol;
/** `Payload` is what the rule's `payload` made of the event; what is answered must meet the channel's schema. */
export function transform<Payload = unknown>(apply: (crossing: Crossing, payload: Payload) => unknown): Transform;

export type Phase = 'connected' | 'disconnected';
export interface Peer {
  connectionId: string;
  user?: User;
  /** Milliseconds since the Unix epoch. */
  receivedAtMs: number;
  /** Milliseconds this call may take. */
  deadlineMs: number;
}
/** What should happen when a connection came or went. */
export function connection(changed: (peer: Peer, phase: Phase) => Effect[] | void): Connection;
