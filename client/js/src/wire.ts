/** The words of the wire, as the manual's tables have them. Types only: nothing of this file runs. */

/** Where a publication stands in the history of its topic. */
export interface Position {
  epoch: string;
  offset: number;
}

/** What comes with a publication: its position on a channel with history, perhaps more. */
export type Meta = Partial<Position> & { [more: string]: unknown };

export interface Publication<P = unknown> {
  payload: P;
  meta: Meta;
}

/** The codes of the server. */
export type Code =
  | "unauthenticated"
  | "token_expired"
  | "token_revoked"
  | "forbidden"
  | "unknown_channel"
  | "not_subscribed"
  | "no_handler"
  | "no_history"
  | "no_presence"
  | "no_retained"
  | "invalid_payload"
  | "idempotency_conflict"
  | "payload_too_large"
  | "rate_limited"
  | "over_budget"
  | "too_many_subscriptions"
  | "handler_failed"
  | "handler_timeout"
  | "unavailable"
  | "draining"
  | "internal";

/**
 * The codes of this package: `not_connected`, nothing was sent; `no_answer`, it was sent and the connection or the time
 * was over before the answer came, so it may have arrived.
 */
export type ClientCode = "not_connected" | "no_answer";

/** A no, of the server or of this package. `retry` says whether the same may succeed later. */
export interface TidegateError {
  code: Code | ClientCode;
  message: string;
  retry: boolean;
  details?: unknown;
}

/** A value or a typed error; nothing is thrown. */
export type Result<T> = ({ ok: true } & T) | { ok: false; error: TidegateError };

export interface Member {
  user: string;
  info?: unknown;
}

/** Who is on a topic; without `members` there are more than the channel lists. */
export interface Presence {
  count: number;
  members?: Member[];
}

/** Why what was missed cannot be had. */
export type GapReason = "expired" | "too_many" | "epoch_changed" | "no_history";

/** The answer to a subscribe. */
export interface SubscribeAck {
  ok: true;
  position?: Position;
  recovered?: boolean;
  reason?: GapReason;
  publications?: Publication[];
  snapshot?: unknown[];
  presence?: Presence;
}

/** The answer to a read of the history. */
export interface History<P = unknown> {
  recovered: boolean;
  reason?: GapReason;
  publications: Publication<P>[];
  position: Position;
  more: boolean;
}

/** What the server says as event `tidegate`. */
export interface Told {
  type: string;
  channel?: string;
  reason?: Code;
  key?: unknown;
  joined?: Member[];
  left?: Member[];
  count?: number;
}
