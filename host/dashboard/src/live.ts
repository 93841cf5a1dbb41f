// Live data: channels of the server itself, received with the stock client.

import { signal, useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { io, type Socket } from "socket.io-client";

import { ask, ended } from "./session";

interface Position {
  epoch: string;
  offset: number;
}

interface Ack<Payload> {
  ok: boolean;
  position?: Position;
  recovered?: boolean;
  publications?: { payload: Payload }[];
  snapshot?: { payload: Payload }[];
  error?: { code: string; message: string };
}

/** Whether live data arrive now. */
export const link = signal<"connecting" | "live" | "away">("connecting");
/** Counts how often the server was back; what was loaded before is loaded again. */
export const returns = signal(0);

// As long as a restart takes, and no longer: an operator who looks at a dead server wants to see it come back.
const RETRY_MS = 500;
const RETRY_MS_MAX = 2_000;
const OVER = new Set(["unauthenticated", "token_expired", "token_revoked", "forbidden"]);

let socket: Socket | undefined;

/** Connects; the cookie says who this is. */
export function open(): void {
  link.value = "connecting";
  socket = io({ path: "/dashboard/live/", reconnectionDelay: RETRY_MS, reconnectionDelayMax: RETRY_MS_MAX, transports: ["websocket", "polling"] });
  socket.on("connect", () => {
    if (link.value === "away") returns.value += 1;
    link.value = "live";
  });
  socket.on("connect_error", (error) => {
    if (OVER.has(error.message)) return ended();
    link.value = "away";
  });
  socket.on("disconnect", (reason) => {
    link.value = "away";
    // The server ended the session, or drains; the stock client does not come back by itself.
    if (reason !== "io server disconnect") return;
    void ask();
    setTimeout(() => socket?.connect(), RETRY_MS);
  });
  socket.on("tidegate", ({ type, channel }: { type: string; channel?: string }) => {
    if ((type === "expired" || type === "revoked") && !channel) ended();
  });
}

export function close(): void {
  socket?.close();
  socket = undefined;
}

/** Subscribes for as long as the page of it is open; returns what ends it. `past` is how many earlier publications are wanted. */
export function follow<Payload>(
  topic: string,
  { past = 0, took, refused }: { past?: number; took: (payloads: Payload[]) => void; refused?: (message: string) => void },
): () => void {
  const at = socket;
  if (!at) return () => {};
  const live = (payload: Payload) => took([payload]);
  const ask = (question: object) => at.emitWithAck("subscribe", question) as Promise<Ack<Payload>>;
  const subscribe = async () => {
    const first = await ask({ channel: topic });
    if (!first.ok) return refused?.(first.error?.message ?? "refused");
    took((first.snapshot ?? []).map(({ payload }) => payload));
    if (!past || !first.position) return;
    const { epoch, offset } = first.position;
    const whole = await ask({ channel: topic, since: { epoch, offset: Math.max(0, offset - past) } });
    took((whole.publications ?? []).map(({ payload }) => payload));
  };
  const again = () => void subscribe().catch(() => {});
  at.on(topic, live);
  at.on("connect", again);
  if (at.connected) again();
  return () => {
    at.off(topic, live);
    at.off("connect", again);
    if (at.connected) at.emit("unsubscribe", { channel: topic });
  };
}

/** The newest publication of a topic, while the component is shown. */
export function useNewest<Payload>(topic: string): Signal<Payload | undefined> {
  const newest = useSignal<Payload | undefined>(undefined);
  useEffect(
    () =>
      follow<Payload>(topic, {
        took: (payloads) => {
          if (payloads.length) newest.value = payloads.at(-1);
        },
      }),
    [topic],
  );
  return newest;
}

/** The time in seconds since the Unix epoch, anew each second. */
export function useSecond(): number {
  const now = useSignal(Math.floor(Date.now() / 1_000));
  useEffect(() => {
    const clock = setInterval(() => (now.value = Math.floor(Date.now() / 1_000)), 1_000);
    return () => clearInterval(clock);
  }, []);
  return now.value;
}
