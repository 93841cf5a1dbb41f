import type { Context, Crossing, Peer } from './index.js';

export interface LogLine { level: string; message: string; fields: Record<string, string> }
/** Sets one key of the `config:` section; undefined takes it away. */
export function setConfig(key: string, value: unknown): void;
/** Makes the clock stand at a time, in milliseconds since the Unix epoch; undefined lets it go. */
export function setClock(ms: number | undefined): void;
/** Grants and sets one secret; undefined takes it away. */
export function setSecret(name: string, value: string | undefined): void;
/** Answers one query with what `answer(params)` returns; undefined takes it away. */
export function setQuery(name: string, answer: ((params: unknown[]) => object[]) | undefined): void;
/** Answers HTTP requests; what is left out of the response is 200, no headers, no body. */
export function setHttp(answer: (request: { method: string; url: string; headers: [string, string][]; body?: Uint8Array }) =>
  { status?: number; headers?: [string, string][]; body?: string | Uint8Array }): void;
/** Empties the buckets; every bucket is granted. */
export function clearBuckets(): void;
/** The log lines since this was last asked. */
export function logged(): LogLine[];
/** The context of an anonymous connection on a topic, with what else the test needs. */
export function context(topic: string, more?: Partial<Context>): Context;
/** What a `transform` is called with: an event with this data, on its way to a topic. */
export function crossing(topic: string, payload: unknown, event?: Partial<Crossing['event']>): any;
/** An anonymous connection, with what else the test needs. */
export function peer(more?: Partial<Peer>): Peer;
