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
export declare class Subscriber implements Subscription<unknown> {
    #private;
    readonly of: Topic;
    options: SubscribeOptions<unknown>;
    readonly values: Map<Key, unknown>;
    readonly ready: Promise<Result<object>>;
    position: Position | undefined;
    /** Live publications reach it; without, they are in an answer that is still to come. */
    isLive: boolean;
    /** It waits for an answer that begins anew, with the snapshot. */
    isOwed: boolean;
    constructor(of: Topic, options: SubscribeOptions<unknown>);
    get topic(): string;
    get presence(): Presence | undefined;
    unsubscribe: () => void;
    /** It joins what others receive already; it is told once the page has its subscription in hand. */
    begin(position: Position | undefined): void;
    /** The connection is lost. */
    lost(): void;
    /** The server says that something is missing. What has a position asks for it; the rest begins anew. */
    gap(): void;
    /** What came for it; `isAnswer` where it is part of an answer. */
    receive({ payload, meta }: Publication, isAnswer?: boolean): void;
    /** The answer to a subscribe, which may have asked with `since` for those that are behind. */
    accept(ack: SubscribeAck, since?: Position): void;
    /** A part of the history, read while there is no connection. */
    read({ recovered, reason, publications, position }: History): void;
    removed(key: unknown): void;
    present(presence: Presence): void;
    end(error: TidegateError): void;
    /** Nobody listens any more: a handler may say so while others wait for their turn. */
    leave(): void;
    /** The first answer is a no, if there was none yet. */
    refuse(error: TidegateError): void;
}
