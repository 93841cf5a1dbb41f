// The messages of a user's topics, by whatever way there is: a socket; else Tidegate's history, asked now and then; else the
// application's table. Nothing here knows the page.

import { io } from "socket.io-client";

import { Refusal } from "./session.js";
import { Topic } from "./topic.js";

// How long the page waits before it asks again without a socket: the first while somebody answers, then longer each time.
export const POLL_DELAYS_S = [5, 10, 30, 60];
const CONNECT_TIMEOUT_MS = 10_000;
const ACK_TIMEOUT_MS = 5_000;
const POLL_TIMEOUT_MS = 10_000;
// The token is over, or was taken back: a fresh one may be good.
const ASKS_FOR_A_TOKEN = ["unauthenticated", "token_expired", "token_revoked"];

export class Feed {
  #socket;
  #timer;
  #tries = 0;
  #isLive = false;
  #isAsking = false;
  #isStopped = false;
  #hasRenewed = false;
  // The newest token, and the one that Tidegate knows.
  #token;
  #shown;

  /**
   * `realtime` is Tidegate's address, or nothing. `onState({ state, source?, next_s? })`: `connecting`, `live`, `degraded`
   * (asks now and then), `offline` (nobody answers), `off` (no realtime wanted). `onEnd(reason)`: the login is over.
   */
  constructor({ topics, session, realtime, onMessage, onState, onEnd, onNotice = () => {} }) {
    Object.assign(this, { session, realtime, onState, onEnd, onNotice });
    this.topics = new Map(topics.map((name) => [name, new Topic(name, { session, onMessage })]));
  }

  start() {
    if (!this.realtime) return void this.#poll();
    this.onState({ state: "connecting" });
    const socket = io(this.realtime, {
      // A function: a reconnect brings the token of then. Without an answer the server closes, and the client tries again.
      auth: (answer) => this.session.token().then((token) => answer({ token: (this.#shown = token) }), (error) => this.#refused(error)),
      timeout: CONNECT_TIMEOUT_MS,
      forceNew: true,
    });
    this.#socket = socket;
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#connectFailed(error));
    socket.on("disconnect", () => this.#disconnected());
    socket.on("tidegate", (message) => this.#told(message));
    for (const topic of this.topics.values()) socket.on(topic.name, (message, meta) => topic.tell(message, meta));
    this.session.onToken = (token) => this.#show(token);
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.session.onToken = () => {};
    this.#socket?.close();
  }

  /** Asks now, where it would ask later: the network is back, for example. */
  retry() {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#tries = 0;
    this.#again();
  }

  // --- With a socket ---

  // A fresh token renews the session without losing the socket, and opens it again where the one before was refused.
  #show(token) {
    this.#token = token;
    if (!this.#socket.active) return void this.#socket.connect();
    if (!this.#socket.connected || token === this.#shown) return;
    this.#socket.emit("authenticate", { token }, ({ ok }) => ok && (this.#shown = token));
  }

  async #connected() {
    this.#hasRenewed = false;
    // It may have come while the socket was opened with the one before.
    if (this.#token) this.#show(this.#token);
    if (!(await this.#subscribe())) this.#fallBack();
  }

  // Says whether every topic is held and nothing of it is missing.
  async #subscribe() {
    const { id } = this.#socket;
    const outcomes = await Promise.allSettled([...this.topics.values()].map((topic) => this.#hold(topic)));
    if (this.#socket.id !== id || this.#isStopped) return false;
    const failed = outcomes.find(({ status }) => status === "rejected");
    if (failed) {
      const { code, message, retry } = failed.reason;
      if (!retry) this.onNotice(`${code}: ${message}`);
      return false;
    }
    this.#isLive = true;
    this.#tries = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.onState({ state: "live" });
    return true;
  }

  async #hold(topic) {
    const asked = { channel: topic.name, ...(topic.position ? { since: topic.position } : {}) };
    const isWhole = await new Promise((resolve, reject) => {
      // In the callback: what is published next stands right behind the ack.
      this.#socket.timeout(ACK_TIMEOUT_MS).emit("subscribe", asked, (late, ack) => {
        if (late) return reject(new Refusal({ code: "unavailable", message: "no answer to subscribe", retry: true }));
        if (!ack.ok) return reject(new Refusal(ack.error));
        return resolve(topic.recover(ack));
      });
    });
    if (!isWhole) await topic.fill();
  }

  #connectFailed({ message: code }) {
    if (this.#isStopped) return;
    // The stock client comes back by itself, unless the server refused for good.
    if (!this.#socket.active) this.#refused({ code });
    else this.#fallBack();
  }

  #disconnected() {
    this.#isLive = false;
    if (this.#isStopped) return;
    this.onState({ state: "connecting" });
    // The server ended the session while a fresh token was on its way.
    if (!this.#socket.active && this.#token && this.#token !== this.#shown) this.#socket.connect();
  }

  // The server ended the session, or does not let it in.
  async #refused({ code }) {
    if (!ASKS_FOR_A_TOKEN.includes(code) || this.#hasRenewed) return void this.#fallBack();
    this.#hasRenewed = true;
    try {
      await this.session.renew();
    } catch (error) {
      if (error.code === "unauthenticated") this.#end(code);
      else this.#fallBack();
    }
  }

  async #told({ type, channel, reason }) {
    // The session goes on until `expired` where it cannot be renewed.
    if (type === "expiring") this.session.renew().catch(() => {});
    if (type === "expired") this.#refused({ code: "token_expired" });
    if (type === "revoked" && channel) this.onNotice(`no longer on ${channel}: ${reason}`);
    if (type === "revoked" && !channel) this.#refused({ code: reason });
    if (type === "gap") await this.#fillGap(this.topics.get(channel));
  }

  async #fillGap(topic) {
    topic.doubt();
    await topic.fill().catch(() => this.#fallBack());
  }

  #end(reason) {
    if (this.#isStopped) return;
    this.stop();
    this.onEnd(reason);
  }

  // --- Without a socket ---

  // Begins to ask now and then, unless it does so already.
  #fallBack() {
    if (this.#timer === undefined && !this.#isAsking && !this.#isStopped) this.#poll();
  }

  async #again() {
    this.#timer = undefined;
    if (this.#socket?.connected && (await this.#subscribe())) return;
    // A client that was refused for good does not come back by itself.
    if (this.#socket && !this.#socket.active && !this.#isStopped) this.#socket.connect();
    await this.#poll();
  }

  async #poll() {
    this.#isAsking = true;
    const source = await this.#ask();
    this.#isAsking = false;
    if (this.#isStopped || this.#isLive) return;
    if (source) this.#tries = 0;
    const next_s = POLL_DELAYS_S[Math.min(this.#tries, POLL_DELAYS_S.length - 1)];
    if (!source) this.#tries += 1;
    this.#timer = setTimeout(() => this.#again(), next_s * 1000);
    this.onState({ state: !this.realtime ? "off" : source ? "degraded" : "offline", source, next_s });
  }

  // Who answered for every topic, if anybody did.
  async #ask() {
    let source;
    for (const topic of this.topics.values()) {
      source = await this.#askFor(topic);
      if (!source) break;
    }
    return source;
  }

  async #askFor(topic) {
    if (this.realtime) {
      try {
        await this.#readHistory(topic);
        return "history";
      } catch {
        // The application has the same messages.
      }
    }
    try {
      await topic.fill();
      return "application";
    } catch (error) {
      if (error.code === "unauthenticated") this.#end("token_expired");
      return undefined;
    }
  }

  async #readHistory(topic) {
    let answer;
    do {
      const { epoch, offset } = topic.position ?? {};
      const since = epoch ? `?since=${epoch}:${offset}` : "";
      const response = await fetch(`${this.realtime}/v1/channels/${topic.name}/history${since}`, {
        headers: { authorization: `Bearer ${await this.session.token()}` },
        signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`status ${response.status}`);
      answer = await response.json();
      if (!topic.recover(answer)) await topic.fill();
    } while (answer.more && answer.recovered);
  }

  // --- What the user writes ---

  /** Sends `{ text, to?, key }` and returns its number. With the same key it is stored once, whatever way it goes. */
  async send(area, draft) {
    if (this.#isLive) {
      let ack;
      try {
        ack = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(`team.${area}`, draft);
      } catch {
        // The socket went away, or nobody answers: over HTTP, then.
      }
      if (ack?.ok) return ack.reply.number;
      if (ack) throw new Refusal(ack.error);
    }
    return (await this.session.call("/api/messages", { method: "POST", body: JSON.stringify(draft) })).number;
  }
}
