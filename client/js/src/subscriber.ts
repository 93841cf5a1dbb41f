/** One subscriber of a topic in the page: what it has seen, and what it is told. */

import type { Topic } from "./topic.js";
import type { GapReason, History, Meta, Position, Presence, Publication, Result, SubscribeAck, TidegateError } from "./wire.js";

/** A key of a value: a text, a number, a boolean or `null`; an array or object stands as its JSON text. */
export type Key = string | number | boolean | null;

/** A value of a snapshot: `key` is `null` where the channel has no keys. */
export interface Value<P> extends Publication<P> {
  key: Key;
}

/** What a page wants to hear of a topic. All are optional. */
export interface Handlers<P> {
  /** The topic is followed: at first, and again after a session that was over. */
  onSubscribed?(): void;
  /** Every publication, once and in order. */
  onPublication?(payload: P, meta: Meta): void;
  /** The state of the topic, which takes the place of everything that was known of it. */
  onSnapshot?(snapshot: Value<P>[]): void;
  /** Publications may be missing before the next one. Load the state again, or wait for `onSnapshot` where there is one. */
  onGap?(reason: GapReason): void;
  /** Who is there, whenever that changes. */
  onPresence?(presence: Presence): void;
  /** The topic is over for this page: revoked, or refused when it came back. Subscribe anew to try again. */
  onRevoked?(error: TidegateError): void;
  /** The retained value of this key was taken away. */
  onRemoved?(key: Key): void;
  /** `values` changed; it needs `key`. */
  onValues?(values: ReadonlyMap<Key, P>): void;
}

export interface SubscribeOptions<P> extends Handlers<P> {
  /** The key of a payload, as the channel's `delivery.key` finds it. With it the newest value of each key is in `values`. */
  key?(payload: P): unknown;
  /** The position of the state that the page has already: what came after it is received. */
  since?: Position;
  /** A word of this user to the other members, on a channel whose presence takes one. */
  info?: unknown;
}

/** A topic that the page follows, until `unsubscribe`. */
export interface Subscription<P> {
  readonly topic: string;
  /** The first answer: the topic is held, or why not. */
  readonly ready: Promise<Result<object>>;
  /** The position of the newest publication that this subscriber has received. */
  readonly position: Position | undefined;
  /** Who is there, as far as it is known. */
  readonly presence: Presence | undefined;
  /** The newest value of each key; empty without the option `key`. */
  readonly values: ReadonlyMap<Key, P>;
  unsubscribe(): void;
}

// A page's mistake in a handler is seen, and takes no publication from anybody else.
function call<Args extends unknown[]>(handler: ((...args: Args) => void) | undefined, ...args: Args) {
  try {
    handler?.(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

const keyFrom = (value: unknown): Key => (value === undefined ? null : typeof value === "object" && value ? JSON.stringify(value) : (value as Key));

const isRetained = (value: unknown): value is Value<unknown> =>
  !!value && Object.keys(value).sort().join() === "key,meta,payload";

// Of payloads of any type: only what the page sees is typed.
export class Subscriber implements Subscription<unknown> {
  readonly values = new Map<Key, unknown>();
  readonly ready: Promise<Result<object>>;
  position: Position | undefined;
  /** Live publications reach it; without, they are in an answer that is still to come. */
  isLive = false;
  /** It waits for an answer that begins anew, with the snapshot. */
  isOwed: boolean;
  #hasBegun = false;
  #isReady = false;
  #settle!: (answer: Result<object>) => void;

  constructor(
    readonly of: Topic,
    public options: SubscribeOptions<unknown>,
  ) {
    this.position = options.since;
    this.isOwed = !options.since;
    this.ready = new Promise((resolve) => (this.#settle = resolve));
  }

  get topic() {
    return this.of.name;
  }

  get presence() {
    return this.of.presence;
  }

  // A function of its own, so that it can be handed on.
  unsubscribe = () => this.of.leave(this);

  /** It joins what others receive already; it is told once the page has its subscription in hand. */
  begin(position: Position | undefined) {
    this.position = position;
    this.isLive = this.#hasBegun = true;
    this.isOwed = false;
    queueMicrotask(() => {
      this.#isHeld();
      if (this.presence) this.present(this.presence);
    });
  }

  /** The connection is lost. */
  lost() {
    this.isLive = false;
    this.isOwed ||= !this.position;
  }

  /** The server says that something is missing. What has a position asks for it; the rest begins anew. */
  gap() {
    if (this.position) this.isLive = false;
    else this.isOwed = true;
  }

  /** What came for it; `isAnswer` where it is part of an answer. */
  receive({ payload, meta }: Publication, isAnswer = false) {
    if (!this.isLive && !isAnswer) return;
    const { epoch, offset } = meta;
    if (epoch !== undefined && offset !== undefined) {
      if (this.position?.epoch === epoch && offset <= this.position.offset) return;
      this.position = { epoch, offset };
    }
    this.#keep(payload);
    call(this.options.onPublication, payload, meta);
    this.#tellValues();
  }

  /** The answer to a subscribe, which may have asked with `since` for those that are behind. */
  accept(ack: SubscribeAck, since?: Position) {
    if (since && ack.recovered) {
      if (this.isLive || !this.position) return;
      ack.publications?.forEach((publication) => this.receive(publication, true));
      this.position = ack.position ?? this.position;
    } else {
      if (this.isLive && !this.isOwed) return;
      const missed = this.#hasBegun || this.position;
      if (missed && !(this.isLive && this.position)) call(this.options.onGap, ack.reason ?? "no_history");
      if (!this.isLive) this.position = ack.position;
      this.isOwed = false;
      if (ack.snapshot) this.#show(ack.snapshot);
    }
    this.isLive = this.#hasBegun = true;
    this.#isHeld();
  }

  /** A part of the history, read while there is no connection. */
  read({ recovered, reason, publications, position }: History) {
    if (!this.position) this.position = position;
    else if (recovered) publications.forEach((publication) => this.receive(publication, true));
    else {
      this.position = position;
      this.isOwed = true;
      call(this.options.onGap, reason ?? "no_history");
    }
    this.#isHeld();
  }

  removed(key: unknown) {
    this.values.delete(keyFrom(key));
    call(this.options.onRemoved, keyFrom(key));
    this.#tellValues();
  }

  present(presence: Presence) {
    call(this.options.onPresence, presence);
  }

  end(error: TidegateError) {
    if (this.#isReady) call(this.options.onRevoked, error);
    this.refuse(error);
    this.leave();
  }

  /** Nobody listens any more: a handler may say so while others wait for their turn. */
  leave() {
    this.options = {};
  }

  /** The first answer is a no, if there was none yet. */
  refuse(error: TidegateError) {
    this.#isReady = false;
    this.#settle({ ok: false, error });
  }

  // A snapshot is a list of retained values, or of a plugin's payloads.
  #show(snapshot: unknown[]) {
    this.values.clear();
    const values = snapshot.map((value): Value<unknown> => {
      const one = isRetained(value) ? value : { key: this.#keyOf(value), payload: value, meta: {} };
      const key = keyFrom(one.key);
      if (this.options.key) this.values.set(key, one.payload);
      return { ...one, key };
    });
    call(this.options.onSnapshot, values);
    this.#tellValues();
  }

  #keep(payload: unknown) {
    if (this.options.key) this.values.set(this.#keyOf(payload), payload);
  }

  #keyOf(payload: unknown): Key {
    let key: unknown;
    call(() => (key = this.options.key?.(payload)));
    return keyFrom(key);
  }

  #isHeld() {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#settle({ ok: true });
    call(this.options.onSubscribed);
  }

  #tellValues() {
    if (this.options.key) call(this.options.onValues, this.values);
  }
}
