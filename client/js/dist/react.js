/** Hooks for React: `@tidegate/client/react`. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
const NOTHING = { status: "subscribing", values: new Map() };
// Where there are no frames, as soon as nothing else is to do.
const nextFrame = globalThis.requestAnimationFrame ?? setTimeout;
const cancelFrame = globalThis.cancelAnimationFrame ?? clearTimeout;
/** The state of the connection, for a banner, and why the session is over when it is. */
export function useConnection(client) {
    const follow = useCallback((changed) => client.onState(changed), [client]);
    const state = useSyncExternalStore(follow, () => client.state, () => "connecting");
    const error = useSyncExternalStore(follow, () => client.error, () => undefined);
    return { state, error };
}
/**
 * Follows a topic while the component is there, and none while `topic` is `null`. Handlers may be new functions at every
 * render; a topic is subscribed to anew only when its name or the client is another one.
 */
export function useChannel(client, topic, options = {}) {
    const [view, show] = useState(NOTHING);
    const latest = useRef(options);
    useEffect(() => {
        latest.current = options;
    });
    useEffect(() => {
        show(NOTHING);
        if (topic === null)
            return;
        return follow(client, topic, latest, show);
    }, [client, topic]);
    return view;
}
function follow(client, topic, latest, show) {
    let next = NOTHING;
    let frame;
    const change = (changed) => {
        next = { ...next, ...changed };
        frame ??= nextFrame(() => {
            frame = undefined;
            show({ ...next, values: new Map(subscription.values) });
        });
    };
    const { since, info, key } = latest.current;
    const subscription = client.subscribe(topic, {
        ...(since && { since }),
        ...(info !== undefined && { info }),
        ...(key && { key: (payload) => latest.current.key?.(payload) }),
        onSubscribed() {
            latest.current.onSubscribed?.();
            const { error: _, ...rest } = next;
            next = rest;
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
        cancelFrame(frame);
        // What comes late is for nobody.
        frame = 0;
        subscription.unsubscribe();
    };
}
