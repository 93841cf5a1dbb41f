/** The connection: who the page is, the topics it holds, what it sends, and what a banner says about it. */
import { type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { AnyChannels, InboundOf, Known, PayloadOf, SendTopicOf, TopicOf } from "./channels.js";
import { type HistoryOptions } from "./history.js";
import { type SubscribeOptions, type Subscription } from "./subscriber.js";
import type { History, Result, TidegateError } from "./wire.js";
/**
 * `live`: there is a connection. `connecting`: it is being made, or made again. `degraded`: it cannot be had, and the
 * histories are polled. `offline`: nothing reaches the server, or the session is over; then `error` says why.
 */
export type State = "live" | "connecting" | "degraded" | "offline";
/** What a connection shows; nothing where a cookie does. */
export type Credential = {
    token?: string | undefined;
} | null | undefined;
/**
 * Why a credential is asked for. `expiring`: the session ends soon, and goes on with a fresh token, or with `{}` by the
 * cookie; `null` lets it end, as is right when nobody is there any more.
 */
export type Why = "connect" | "expiring" | "history";
export interface Options {
    /** Who the page is. A function is asked whenever a credential is needed; a promise that rejects is asked again. */
    auth?: Credential | ((why: Why) => Credential | Promise<Credential>);
    /** Options of the stock client: `withCredentials` for cookies, `transports`, `reconnectionDelay`, … */
    socket?: Partial<ManagerOptions & SocketOptions>;
    /** So long without a connection, and the histories are polled. Default: 5 s. */
    degradeAfterMs?: number;
    /** How long to wait between two polls: the first while they are answered, the next after each failure. Default: 5, 10, 30, 60 s. */
    pollMs?: number[];
}
export interface SendOptions {
    /** For the connection, and for each answer. Default: 10 s. */
    timeoutMs?: number;
}
export declare class Tidegate<C = AnyChannels> {
    #private;
    readonly options: Options;
    /** The stock client, for everything else. */
    readonly socket: Socket;
    /** Why the session is over, while it is; `connect` begins a new one. */
    error: TidegateError | undefined;
    constructor(url: string | URL, options?: Options);
    get state(): State;
    /** Follows `state` and `error`; returns what ends that. */
    onState(listener: (state: State) => void): () => void;
    /** Connects at once: after `close`, after a session that is over, and while the next attempt is still to come. */
    connect(): void;
    /** Ends the session for this page; the topics come back with `connect`. */
    close(): void;
    /** Follows a topic. Subscribers of one topic share one subscription of the server. */
    subscribe<T extends TopicOf<C>>(topic: Known<C, T>, options?: SubscribeOptions<PayloadOf<C, T>>): Subscription<PayloadOf<C, T>>;
    /**
     * Sends a message. It waits for the connection, and for the topic where the page follows it. What `retry` allows is sent
     * again, three times at most; a message whose answer is lost is not, for it may have arrived.
     */
    send<T extends SendTopicOf<C>>(topic: Known<C, T>, payload: InboundOf<C, T>, { timeoutMs }?: SendOptions): Promise<Result<{
        reply?: unknown;
    }>>;
    /** What was published on a topic, over HTTP: the newest `limit`, or what came after `since`. */
    history<T extends TopicOf<C>>(topic: Known<C, T>, options?: HistoryOptions): Promise<Result<History<PayloadOf<C, T>>>>;
}
