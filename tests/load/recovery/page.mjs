// A page with the stock client: it subscribes to what it wants, and again whenever its session is a new one. It notes
// everything that it asks, gets and is told, with the time.

import { setTimeout as pause } from "node:timers/promises";

import { io } from "@tidegate/kit/harness.mjs";

const RETRY_MS = 20;

export class Page {
  log = [];
  // By topic: `wanted`, `held`, `left`, `revoked` (and not asked for again), `refused`.
  states = new Map();
  // Credentials are numbered: what was for an old one is not for the page with a new one.
  generation = 0;
  connections = 0;

  constructor({ url, transports, topics, credential, session = {} }) {
    this.credential = credential;
    this.isEditor = true;
    topics.forEach((topic) => this.states.set(topic, "wanted"));
    this.socket = io(url, {
      forceNew: true, transports, reconnectionDelay: 20, reconnectionDelayMax: 100,
      auth: (answer) => answer({ ...session, token: this.#present(), recover: true }),
    });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("disconnect", (reason) => {
      this.note("disconnect", { reason });
      // Evicted: it comes again with a new credential.
      if (reason === "io server disconnect") this.#comeAgain();
    });
    this.socket.on("connect_error", (error) => {
      if (!error.data) return;
      this.note("refused", { code: error.data.code });
      this.#comeAgain();
    });
    this.socket.onAny((event, ...args) => this.#heard(event, args));
  }

  #present() {
    // What it brings decides what this connection may have.
    this.brought = { generation: this.generation, isEditor: this.isEditor, pid: this.socket?._pid };
    return this.credential({ isEditor: this.isEditor, isNew: this.generation > 0 });
  }

  #comeAgain() {
    if (this.isClosed) return;
    this.generation += 1;
    setTimeout(() => this.isClosed || this.socket.connect(), RETRY_MS);
  }

  note(what, more = {}) {
    this.log.push({ what, at: performance.now(), ...more });
  }

  #connected() {
    this.connections += 1;
    const { recovered } = this.socket;
    this.note("connect", { recovered, ...this.brought, hadSession: this.brought.pid !== undefined });
    for (const [topic, state] of this.states) {
      if (!recovered && ["held", "refused", "leaving"].includes(state)) this.states.set(topic, "wanted");
      if (this.states.get(topic) === "wanted") this.#subscribe(topic);
    }
  }

  #heard(event, [first]) {
    if (event === "tidegate") {
      this.note("told", first);
      if (first.type === "revoked") this.states.set(first.channel, "revoked");
    } else this.note("event", { topic: event, n: first.n });
  }

  #subscribe(topic) {
    const connection = this.connections;
    this.note("ask", { topic });
    this.socket.emit("subscribe", { channel: topic }, async (ack) => {
      if (this.connections !== connection) return;
      if (ack.ok) {
        this.note("ack", { topic, position: ack.position });
        if (this.states.get(topic) === "wanted") this.states.set(topic, "held");
        return;
      }
      this.note("no", { topic, code: ack.error.code });
      if (!ack.error.retry) return void this.states.set(topic, "refused");
      await pause(RETRY_MS);
      if (this.socket.connected && this.connections === connection && this.states.get(topic) === "wanted") this.#subscribe(topic);
    });
  }

  // Resolves when it is known whether the server has heard of it.
  unsubscribe(topic) {
    if (!this.socket.connected || this.states.get(topic) !== "held") return;
    const connection = this.connections;
    this.states.set(topic, "leaving");
    this.note("leave", { topic });
    return new Promise((resolve) => {
      this.socket.once("disconnect", resolve);
      this.socket.emit("unsubscribe", { channel: topic }, (ack) => {
        if (this.connections === connection && ack.ok) {
          this.note("left", { topic });
          this.states.set(topic, "left");
        }
        resolve();
      });
    });
  }

  // It wants all again that it has left.
  subscribe() {
    for (const [topic, state] of this.states) {
      if (!["left", "leaving"].includes(state)) continue;
      this.states.set(topic, "wanted");
      if (this.socket.connected) this.#subscribe(topic);
    }
  }

  // Whether it is connected and has an answer for everything that it wants.
  get isSettled() {
    return this.socket.connected && ![...this.states.values()].some((state) => state === "wanted");
  }

  holds(topic) {
    return this.states.get(topic) === "held";
  }

  has(topic, n) {
    return this.log.some((one) => one.what === "event" && one.topic === topic && one.n === n);
  }

  close() {
    this.isClosed = true;
    this.socket.close();
  }
}
