/** Hooks for React: `@tidegate/client/react`. */

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

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

const NOTHING: ChannelView<never> = { status: "subscribing", values: new Map<Key, never>() };

// Where there are no frames, as soon as nothing else is to do.
const nextFrame = globalThis.requestAnimationFrame ?? setTimeout;
const cancelFrame = globalThis.cancelAnimationFrame ?? clearTimeout;

/** The state of the connection, for a banner, and why the session is over when it is. */
export function useConnection<C>(client: Tidegate<C>): { state: State; error: TidegateError | undefined } {
  const follow = useCallback((changed: () => void) => client.onState(changed), [client]);
  const state = useSyncExternalStore(follow, () => client.state, () => "connecting" as const);
  const error = useSyncExternalStore(follow, () => client.error, () => undefined);
  return { state, error };
}

/**
 * Follows a topic while the component is there, and none while `topic` is `null`. Handlers may be new functions at every
 * render; a topic is subscribed to anew only when its name or the client is another one.
 */
export function useChannel<C, T extends TopicOf<C>>(
  client: Tidegate<C>,
  topic: Known<C, T> | null,
  options: SubscribeOptions<PayloadOf<C, T>> = {},
): ChannelView<PayloadOf<C, T>> {
  type P = PayloadOf<C, T>;
  const [view, show] = useState<ChannelView<P>>(NOTHING);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    show(NOTHING);
    if (topic === null) return;
    return follow<C, T>(client, topic, latest, show);
  }, [client, topic]);
  return view;
}

function follow<C, T extends TopicOf<C>>(
  client: Tidegate<C>,
  topic: Known<C, T>,
  latest: { current: SubscribeOptions<PayloadOf<C, T>> },
  show: (view: ChannelView<PayloadOf<C, T>>) => void,
): () => void {
  type P = PayloadOf<C, T>;
  let next: ChannelView<P> = NOTHING;
  let frame: number | ReturnType<typeof setTimeout> | undefined;
  const change = (changed: Partial<ChannelView<P>>) => {
    next = { ...next, ...changed };
    frame ??= nextFrame(() => {
      frame = undefined;
      show({ ...next, values: new Map(subscription.values) });
    });
  };
  const { since, info, key } = latest.current;
  const subscription = client.subscribe<T>(topic, {
    ...(since && { since }),
    ...(info !== undefined && { info }),
    ...(key && { key: (payload: P) => latest.current.key?.(payload) }),
    onSubscribed() {
      latest.current.onSubscribed?.();
      const { error: _, ...rest } = next;
      next = rest as ChannelView<P>;
      change({ status: "subscribed" });
    },
    onPublication(payload, meta) {
      latest.current.onPublication?.(payload, meta);
      change({ last: payload });
    },
    onSnapshot(snapshot) {
      latest.current.onSnapshot?.(snapshot);
      change({});
    },
    onGap: (reason) => latest.current.onGap?.(reason),
    onPresence(presence) {
      latest.current.onPresence?.(presence);
      change({ presence });
    },
    onRevoked(error) {
      latest.current.onRevoked?.(error);
      change({ status: "revoked", error });
    },
    onRemoved(removed) {
      latest.current.onRemoved?.(removed);
      change({});
    },
    onValues: (values) => latest.current.onValues?.(values),
  });
  void subscription.ready.then((answer) => !answer.ok && change({ status: "refused", error: answer.error }));
  return () => {
    cancelFrame(frame as number);
    // What comes late is for nobody.
    frame = 0;
    subscription.unsubscribe();
  };
}
