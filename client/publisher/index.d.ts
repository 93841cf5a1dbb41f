/** What `tidegate types --lang ts` prints as `Channels`: every channel by its name. */
export type AnyChannels = { [channel: string]: { payload: unknown } };

/** The topics of a channel: `vault.{vaultId}` has `vault.${string}`. */
export type TopicOf<Channel extends string> = Channel extends `${infer Head}{${string}}${infer Rest}`
  ? `${Head}${string}${TopicOf<Rest>}`
  : Channel;

/** The names of a channel's params: `vault.{vaultId}` has `vaultId`. */
export type ParamsOf<Channel extends string> = Channel extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamsOf<Rest>
  : never;

type Takes<Channel extends string, Topic extends string> = Channel extends `${infer Segment}.${infer Channels}`
  ? Topic extends `${infer Part}.${infer Parts}`
    ? Part extends TopicOf<Segment> ? Takes<Channels, Parts> : false
    : false
  : Topic extends `${string}.${string}` ? false : Topic extends TopicOf<Channel> ? true : false;

/** The channel of a topic; a name without params wins. `never` if there is none. */
export type ChannelOf<Channels, Topic extends string> = Topic extends keyof Channels
  ? Topic
  : { [Channel in keyof Channels & string]: Takes<Channel, Topic> extends true ? Channel : never }[keyof Channels & string];

/** What may be published on a topic. */
export type PayloadOf<Channels, Topic extends string> = string extends keyof Channels
  ? unknown
  : ChannelOf<Channels, Topic> extends infer Channel extends keyof Channels
    ? Channels[Channel] extends { payload: infer Payload } ? Payload : never
    : never;

type Declared<Channels, Topic extends string> = string extends keyof Channels
  ? Topic
  : [ChannelOf<Channels, Topic>] extends [never] ? `no declared channel has the topic ${Topic}` : Topic;

/** The topic of a channel with these params. A value that is not one segment of a topic throws a `TypeError`. */
export function topic<const Channel extends string>(channel: Channel, params: { [Name in ParamsOf<Channel>]: string }): TopicOf<Channel>;

/** The codes of the manual, and two of this package: `unreachable` (no answer) and `unexpected_answer` (not Tidegate's). */
export type Code =
  | "unauthenticated" | "token_expired" | "token_revoked" | "forbidden" | "unknown_channel" | "not_subscribed" | "no_handler"
  | "no_history" | "no_presence" | "no_retained" | "invalid_payload" | "idempotency_conflict" | "payload_too_large"
  | "rate_limited" | "over_budget" | "too_many_subscriptions" | "handler_failed" | "handler_timeout" | "unavailable" | "draining"
  | "internal"
  | "not_found" | "method_not_allowed" | "unsupported_media_type" | "request_timeout"
  | "unreachable" | "unexpected_answer";

/** Where a payload does not match its schema. */
export interface Violation {
  /** A JSON Pointer into the payload; empty for the payload itself. */
  path: string;
  message: string;
}

/** A call that the server refused, or that had no answer. */
export class TidegateError extends Error {
  readonly code: Code;
  /** Whether the same call may succeed later. It was tried again as often as it may be. */
  readonly retry: boolean;
  /** The HTTP status, where there was an answer. */
  readonly status?: number;
  readonly details?: Record<string, unknown>;
  /** How long the server asked to wait. */
  readonly retryAfterMs?: number;
  /** How often the call was sent. */
  readonly attempts: number;
  /** With `invalid_payload`: what is wrong, and where. Else empty. */
  readonly violations: readonly Violation[];
}

/** The answer to a publish. */
export interface Receipt {
  /** Its place in the history, on a channel that keeps one. */
  position?: { epoch: string; offset: number };
  /** Its version is not newer than the last one of its key: it went to nobody. */
  stale?: true;
}

/** The answer to one publication of a batch. */
export type BatchAnswer = ({ ok: true } & Receipt) | { ok: false; error: TidegateError };

/** One publication of a batch. */
export type Publication<Channels> = string extends keyof Channels
  ? { topic: string; payload: unknown; idempotencyKey?: string }
  : { [Channel in keyof Channels & string]: {
      topic: TopicOf<Channel>;
      payload: Channels[Channel] extends { payload: infer Payload } ? Payload : never;
      idempotencyKey?: string;
    } }[keyof Channels & string];

/** A CloudEvent for the bus. `id`, `time` and the publisher's `source` are filled in where they are left out. */
export interface BusEvent {
  type: string;
  data?: unknown;
  subject?: string;
  source?: string;
  id?: string;
  time?: string;
  /** Extension attributes, in lower case. */
  [attribute: string]: unknown;
}

type Named = { user: string } | { token: string } | { topic: string };

/** What to take back: at least one of `user`, `token` (its `jti`) and `topic`; together they narrow. */
export type Revocation = Named & {
  user?: string;
  token?: string;
  topic?: string;
  /** Seconds since 1970: only credentials that were issued before. */
  issuedBefore?: number;
  /** For the log. */
  reason?: string;
};

/** What a revocation ended on the node that was asked. */
export interface Revoked {
  revocation: Record<string, unknown>;
  here: { sessions: number; subscriptions: number; rechecked: number };
}

export interface CallOptions {
  /** Ends the call: it throws the signal's reason. */
  signal?: AbortSignal;
}

export interface Publisher<Channels = AnyChannels> {
  /** Publishes on a topic, once, however often it has to be sent. */
  publish<const Topic extends string>(
    topic: Declared<Channels, Topic> & Topic,
    payload: PayloadOf<Channels, Topic>,
    options?: CallOptions & { idempotencyKey?: string },
  ): Promise<Receipt>;
  /** Publishes a list in its order, each for itself. What is refused for now is sent again, after the others. */
  batch(publications: readonly Publication<Channels>[], options?: CallOptions): Promise<BatchAnswer[]>;
  /** Puts one event or several on the bus: all or none. */
  events(events: BusEvent | readonly BusEvent[], options?: CallOptions): Promise<{ accepted: number }>;
  /** Takes back credentials or subscriptions. */
  revoke(revocation: Revocation, options?: CallOptions): Promise<Revoked>;
}

export interface PublisherOptions {
  /** The server's address, `http://127.0.0.1:3000`. Default: `TIDEGATE_URL`. */
  url?: string;
  /** The API key of this backend. Default: `TIDEGATE_API_KEY`. */
  key?: string;
  /** The `source` of bus events that name none: a URI reference, `/shop`. */
  source?: string;
  /** How long one attempt may take. Default: 5000. */
  timeoutMs?: number;
  /** How long a call may take with all its attempts. Default: 15000; at most 240000. */
  deadlineMs?: number;
  /** How often a call is sent at most. Default: 5. */
  attempts?: number;
  /** What sends a request, in place of the global `fetch`. */
  fetch?: typeof fetch;
}

/** A publisher. One is enough for a process; it holds nothing that must be closed. */
export function publisher<Channels = AnyChannels>(options?: PublisherOptions): Publisher<Channels>;
