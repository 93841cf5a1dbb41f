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
  | { tag: 'publish'; val: { kind: string; subject?: string; data: string } };
export type Decision = { tag: 'allow'; val: { ttlMs: number; user?: User } } | { tag: 'deny'; val: string };
export interface Outcome { reply?: unknown; effects?: Effect[] }

export class Refusal extends Error {
  static invalidPayload(sentence: string): Refusal;
  static forbidden(sentence: string): Refusal;
  static unavailable(sentence: string): Refusal;
  static failed(sentence: string): Refusal;
}
export function emit(topic: string, payload: unknown, to?: 'everyone' | 'others'): Effect;
export function publish(kind: string, data: unknown, subject?: string): Effect;
/** `ttlMs`: how long the host may answer the same question by itself, in milliseconds. */
export function allow(ttlMs?: number, user?: User): Decision;
export function deny(sentence: string): Decision;
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

// The shapes that the host calls, made by the functions below. The build checks the exports of a plugin against them.
export interface Handler {
  handle(context: Context, payload: string): { reply?: string; effects: Effect[] };
}
export interface Authorizer {
  authorize(context: Context, action: Action, payload?: string): Decision;
}
export type Action = 'connect' | 'subscribe' | 'send';
/** `Payload` is what the channel's inbound schema lets through. Must not be async. */
export function handler<Payload = unknown>(handle: (context: Context, payload: Payload) => Outcome | void): Handler;
export function authorizer<Payload = unknown>(
  authorize: (context: Context, action: Action, payload?: Payload) => Decision): Authorizer;
