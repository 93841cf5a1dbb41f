/** The connection: who the page is, the topics it holds, what it sends, and what a banner says about it. */
import { io } from "socket.io-client";
import { Polling, readHistory } from "./history.js";
import { Subscriber } from "./subscriber.js";
import { Topic } from "./topic.js";
const ANSWER_MS = 10_000;
const SEND_RETRIES_MAX = 3;
const SEND_RETRY_MS = 500;
/** Messages that wait for the connection or for their topic; one more is refused. */
const SENDS_WAITING_MAX = 256;
const RENEW_ATTEMPTS_MAX = 3;
const RENEW_AGAIN_MS = 2_000;
const no = (code, message, retry = false) => ({ code, message, retry });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export class Tidegate {
    #topics = new Map();
    #listeners = new Set();
    #state = "connecting";
    #shown;
    #waiting = new Set();
    #polling;
    #degrade;
    #credential;
    #way;
    // What the server said last before it ended the session, and whether a fresh credential was tried since.
    #last;
    #hasTriedAgain = false;
    #link;
    constructor(url, options = {}) {
        this.options = options;
        const { origin, pathname } = new URL(url, globalThis.location?.href);
        const prefix = pathname.replace(/\/$/, "");
        const { socket = {}, pollMs = [5_000, 10_000, 30_000, 60_000] } = options;
        this.#way = {
            base: origin + prefix,
            credentials: socket.withCredentials ? "include" : "same-origin",
            token: async () => (this.#credential ?? (await this.#ask("history")))?.token,
        };
        this.#link = {
            isConnected: () => this.socket.connected,
            ask: (event, body, answered) => this.#emit(event, body, answered),
            held: () => this.#release(),
            forget: (topic) => {
                if (this.#topics.get(topic.name) === topic)
                    this.#topics.delete(topic.name);
                this.#release();
            },
        };
        this.#polling = new Polling(this.#way, pollMs, this.#topics, (topic, error) => this.#unread(topic, error), () => this.#change());
        this.socket = io(origin, { path: `${prefix}/socket.io/`, forceNew: true, ...socket, autoConnect: false, auth: (show) => void this.#show(show) });
        this.#listen();
        if (socket.autoConnect !== false)
            this.connect();
    }
    get state() {
        return this.#state;
    }
    /** Follows `state` and `error`; returns what ends that. */
    onState(listener) {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
    }
    /** Connects at once: after `close`, after a session that is over, and while the next attempt is still to come. */
    connect() {
        if (this.socket.connected)
            return;
        this.error = this.#last = undefined;
        this.#hasTriedAgain = false;
        // A pause between two attempts ends with it.
        this.socket.disconnect().connect();
        this.#away();
        this.#change();
        this.#watch("addEventListener");
    }
    /** Ends the session for this page; the topics come back with `connect`. */
    close() {
        this.socket.disconnect();
        this.#end(no("not_connected", "the page closed the connection"));
    }
    /** Follows a topic. Subscribers of one topic share one subscription of the server. */
    subscribe(topic, options = {}) {
        let held = this.#topics.get(topic);
        if (!held)
            this.#topics.set(topic, (held = new Topic(topic, this.#link)));
        const subscriber = new Subscriber(held, options);
        held.join(subscriber);
        if (this.error)
            subscriber.refuse(this.error);
        return subscriber;
    }
    /**
     * Sends a message. It waits for the connection, and for the topic where the page follows it. What `retry` allows is sent
     * again, three times at most; a message whose answer is lost is not, for it may have arrived.
     */
    async send(topic, payload, { timeoutMs = ANSWER_MS } = {}) {
        for (let attempt = 0;; attempt += 1) {
            const ack = await this.#send(topic, payload, timeoutMs);
            if (ack.ok || !ack.error.retry || ack.error.code === "not_connected" || attempt === SEND_RETRIES_MAX)
                return ack;
            await pause(SEND_RETRY_MS * 2 ** attempt * (0.5 + Math.random() / 2));
        }
    }
    /** What was published on a topic, over HTTP: the newest `limit`, or what came after `since`. */
    history(topic, options = {}) {
        return readHistory(this.#way, topic, options);
    }
    #listen() {
        this.socket.on("connect", () => {
            this.error = this.#last = undefined;
            this.#hasTriedAgain = false;
            this.#arrived();
            this.#change();
            this.#topics.forEach((topic) => topic.ask());
            this.#release();
        });
        this.socket.on("connect_error", ({ message, ...error }) => {
            if (!this.socket.active)
                this.#over(error.data ?? no(message, message));
        });
        this.socket.on("disconnect", (reason) => {
            this.#topics.forEach((topic) => topic.lost());
            if (reason === "io server disconnect")
                this.#over(this.#last ?? no("forbidden", "the session is over"));
            else if (this.socket.active)
                this.#away();
            this.#change();
        });
        this.socket.onAny((event, payload, meta) => {
            if (event === "tidegate")
                this.#told(payload);
            else
                this.#topics.get(event)?.receive({ payload, meta });
        });
    }
    #told(told) {
        const { type, channel, reason = "forbidden" } = told;
        if (channel !== undefined)
            this.#topics.get(channel)?.told(told);
        else if (type === "expiring")
            void this.#renew();
        else if (type === "revoked" || type === "expired")
            this.#last = no(type === "revoked" ? reason : "token_expired", "the session is over");
    }
    // A session that ended because its credential did may go on with a fresh one, once.
    #over(error) {
        if (error.code !== "token_expired" || this.#hasTriedAgain)
            return this.#end(error);
        this.#hasTriedAgain = true;
        this.#away();
        this.socket.connect();
    }
    #end(error) {
        this.error = error;
        this.#credential = undefined;
        this.#arrived();
        this.#watch("removeEventListener");
        for (const { subscribers } of this.#topics.values())
            subscribers.forEach((subscriber) => subscriber.refuse(error));
        this.#release(false);
        this.#change();
    }
    // There is no connection: after a while the histories are polled, however many are begun and cut meanwhile.
    #away() {
        this.#degrade ??= setTimeout(() => this.#polling.start(), this.options.degradeAfterMs ?? 5_000);
    }
    #arrived() {
        clearTimeout(this.#degrade);
        this.#degrade = undefined;
        this.#polling.stop();
    }
    // The browser's word for its network; elsewhere there is none.
    #watch(verb) {
        for (const event of ["online", "offline"])
            globalThis[verb]?.(event, this.#online);
    }
    #online = () => {
        if (globalThis.navigator.onLine && !this.socket.connected) {
            this.socket.disconnect().connect();
            if (this.#polling.isAnswered !== undefined)
                this.#polling.start();
        }
        this.#change();
    };
    #change() {
        const isOffline = this.error || globalThis.navigator?.onLine === false || this.#polling.isAnswered === false;
        const state = this.socket.connected ? "live" : isOffline ? "offline" : this.#polling.isAnswered ? "degraded" : "connecting";
        if (state === this.#state && this.error === this.#shown)
            return;
        this.#state = state;
        this.#shown = this.error;
        this.#listeners.forEach((listener) => listener(state));
    }
    async #ask(why) {
        const { auth } = this.options;
        return (this.#credential = typeof auth === "function" ? await auth(why) : auth);
    }
    // Who the page is, to a new connection. Without an answer it is given up, and the stock client makes another.
    async #show(show) {
        const { engine } = this.socket.io;
        try {
            const credential = await this.#ask("connect");
            if (engine.readyState === "open")
                show({ ...credential });
        }
        catch {
            engine.close();
        }
    }
    async #renew(attempts = RENEW_ATTEMPTS_MAX) {
        if (typeof this.options.auth !== "function")
            return;
        const credential = await this.#ask("expiring").catch(() => undefined);
        const again = () => attempts > 1 && setTimeout(() => this.#renew(attempts - 1), RENEW_AGAIN_MS);
        if (credential === undefined)
            again();
        else if (credential && this.socket.connected)
            this.#emit("authenticate", credential, (answer) => !answer.ok && answer.error.retry && again());
    }
    #emit(event, body, answered, timeoutMs = ANSWER_MS, isRepeatable = true) {
        this.socket.timeout(timeoutMs).emit(event, body, (error, ack) => {
            answered(error ? { ok: false, error: no("no_answer", "the answer did not come", isRepeatable) } : ack);
        });
    }
    // Messages of a topic go in the order in which they came.
    #send(topic, payload, timeoutMs) {
        return new Promise((resolve) => {
            const go = (isReady) => {
                clearTimeout(timer);
                this.#waiting.delete(one);
                if (isReady)
                    this.#emit(topic, payload, resolve, timeoutMs, false);
                else
                    resolve({ ok: false, error: no("not_connected", "there is no connection", true) });
            };
            const one = { topic, go };
            const timer = setTimeout(go, timeoutMs, false);
            const isFirst = ![...this.#waiting].some((other) => other.topic === topic);
            if (isFirst && this.#canSend(topic))
                go(true);
            else if (this.error || this.#waiting.size >= SENDS_WAITING_MAX)
                go(false);
            else
                this.#waiting.add(one);
        });
    }
    #canSend(topic) {
        return this.socket.connected && this.#topics.get(topic)?.isHeld !== false;
    }
    #release(isReady = true) {
        for (const { topic, go } of this.#waiting)
            if (!isReady || this.#canSend(topic))
                go(isReady);
    }
    // A history that cannot be read: there is none, the credential is over, or the gates say no.
    #unread(topic, error) {
        const isStale = /^(token_|unauthenticated)/.test(error.code);
        if (isStale)
            this.#credential = undefined;
        else if (error.code === "no_history")
            topic.isPollable = false;
        else
            topic.end(error);
        return !isStale;
    }
}
