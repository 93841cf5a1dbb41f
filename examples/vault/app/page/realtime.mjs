// A page's connection to one vault: the stock client, and what to do about everything that may happen to it.

import { io } from "/socket.io.mjs";

const ACK_TIMEOUT_MS = 5_000;
const RETRY_MS = 1_000;

/**
 * Follows a vault. `onState(state, code)` hears `live`, `connecting` (nobody answers), `waiting` (an answer: not now),
 * `refused` and `ended` (for good, until somebody signs in or becomes a member). `onPublication` gets each change once and
 * in order; `onMissed` hears that some are lost, so that the page reads the list again; `onExpiring` may move the session's
 * end. Returns `{ send, close }`.
 */
export function followVault(url, vaultId, { onState, onPublication, onMissed, onExpiring }) {
  const topic = `vault.${vaultId}`;
  // The cookie goes along to another port of the same host. A second after the network is back, so is the page.
  const socket = io(url, { withCredentials: true, reconnectionDelay: 500, reconnectionDelayMax: 1_000 });
  let last; // the position of the newest publication that the page has
  let again; // the timer of the next attempt

  function subscribe() {
    clearTimeout(again);
    // In the callback and not after an `await`: a publication that comes right behind the ack would be shown before it.
    socket.timeout(ACK_TIMEOUT_MS).emit("subscribe", { channel: topic, since: last }, (late, ack) => {
      if (!socket.connected) return; // `connect` comes, and subscribes
      if (late || (!ack.ok && ack.error.retry)) {
        onState("waiting", late ? "no answer" : ack.error.code);
        again = setTimeout(subscribe, RETRY_MS);
        return;
      }
      if (!ack.ok) return onState("refused", ack.error.code);
      if (ack.recovered) for (const { payload } of ack.publications) onPublication(payload);
      else onMissed(ack.reason ?? "nothing is known yet");
      last = ack.position;
      onState("live");
    });
  }

  socket.on("connect", subscribe);
  socket.on(topic, (payload, meta) => {
    last = { epoch: meta.epoch, offset: meta.offset };
    onPublication(payload);
  });
  socket.on("tidegate", (message) => {
    if (message.type === "gap") subscribe(); // with `since`: what the history has comes in the ack
    if (message.type === "expiring") {
      // The application moves the session's end; the server reads its row again.
      onExpiring().then(() => socket.emit("authenticate", {}), () => {});
    }
    if (message.type === "expired") onState("ended", "token_expired");
    if (message.type !== "revoked") return;
    last = undefined;
    if (!message.channel) onState("ended", message.reason);
    else if (message.reason === "unavailable") subscribe();
    else onState("refused", message.reason);
  });
  socket.on("disconnect", () => {
    clearTimeout(again);
    // Not where the server has ended it, or the page: then the client does not come back.
    if (socket.active) onState("connecting");
  });
  socket.on("connect_error", (error) => {
    // A refusal for good has a code. Not now (nobody answers, or the sessions cannot be read) has none: the client comes back.
    if (error.data?.retry === false) onState("refused", error.data.code);
    else onState("connecting");
  });

  return {
    /** Resolves to the ack; one that does not come is `unavailable`. */
    async send(payload) {
      const away = { ok: false, error: { code: "unavailable", retry: true } };
      return socket.connected ? socket.timeout(ACK_TIMEOUT_MS).emitWithAck(topic, payload).catch(() => away) : away;
    },
    close() {
      clearTimeout(again);
      socket.close();
    },
  };
}
