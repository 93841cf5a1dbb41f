import type { Context } from './index.js';

export interface LogLine { level: string; message: string; fields: Record<string, string> }
/** Sets one key of the `config:` section; undefined takes it away. */
export function setConfig(key: string, value: unknown): void;
/** Makes the clock stand at a time, in milliseconds since the Unix epoch; undefined lets it go. */
export function setClock(ms: number | undefined): void;
/** The log lines since this was last asked. */
export function logged(): LogLine[];
/** The context of an anonymous connection on a topic, with what else the test needs. */
export function context(topic: string, more?: Partial<Context>): Context;
