/** Hooks for React: `@tidegate/client/react`. */
import type { Known, PayloadOf, TopicOf } from "./channels.js";
import type { State, Tidegate } from "./client.js";
import type { Key, SubscribeOptions } from "./subscriber.js";
import type { Presence, TidegateError } from "./wire.js";
/** What a component shows of a topic. It is made anew at most once a frame, however much is published. */
export interface ChannelView<P> {
    /** Whether the topic is held, until it is `refused` or `revoked`; then `error` says why. */
    status: "subscribing" | "subscribed" | "refused" | "revoked";
    error?: TidegateError;
    /** The newest publication. */
    last?: P;
    /** The newest value of each key; empty without the option `key`. */
    values: ReadonlyMap<Key, P>;
    presence?: Presence;
}
/** The state of the connection, for a banner, and why the session is over when it is. */
export declare function useConnection<C>(client: Tidegate<C>): {
    state: State;
    error: TidegateError | undefined;
};
/**
 * Follows a topic while the component is there, and none while `topic` is `null`. Handlers may be new functions at every
 * render; a topic is subscribed to anew only when its name or the client is another one.
 */
export declare function useChannel<C, T extends TopicOf<C>>(client: Tidegate<C>, topic: Known<C, T> | null, options?: SubscribeOptions<PayloadOf<C, T>>): ChannelView<PayloadOf<C, T>>;
