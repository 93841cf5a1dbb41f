/** One subscriber of a topic in the page: what it has seen, and what it is told. */
// A page's mistake in a handler is seen, and takes no publication from anybody else.
function call(handler, ...args) {
    try {
        handler?.(...args);
    }
    catch (error) {
        queueMicrotask(() => {
            throw error;
        });
    }
}
const keyFrom = (value) => (value === undefined ? null : typeof value === "object" && value ? JSON.stringify(value) : value);
const isRetained = (value) => !!value && Object.keys(value).sort().join() === "key,meta,payload";
// Of payloads of any type: only what the page sees is typed.
export class Subscriber {
    #hasBegun;
    #isReady;
    #settle;
    constructor(of, options) {
        this.of = of;
        this.options = options;
        this.values = new Map();
        /** Live publications reach it; without, they are in an answer that is still to come. */
        this.isLive = false;
        this.#hasBegun = false;
        this.#isReady = false;
        // A function of its own, so that it can be handed on.
        this.unsubscribe = () => this.of.leave(this);
        this.position = options.since;
        this.isOwed = !options.since;
        this.ready = new Promise((resolve) => (this.#settle = resolve));
    }
    get topic() {
        return this.of.name;
    }
    get presence() {
        return this.of.presence;
    }
    /** It joins what others receive already; it is told once the page has its subscription in hand. */
    begin(position) {
        this.position = position;
        this.isLive = this.#hasBegun = true;
        this.isOwed = false;
        queueMicrotask(() => {
            this.#isHeld();
            if (this.presence)
                this.present(this.presence);
        });
    }
    /** The connection is lost. */
    lost() {
        this.isLive = false;
        this.isOwed ||= !this.position;
    }
    /** The server says that something is missing. What has a position asks for it; the rest begins anew. */
    gap() {
        if (this.position)
            this.isLive = false;
        else
            this.isOwed = true;
    }
    /** What came for it; `isAnswer` where it is part of an answer. */
    receive({ payload, meta }, isAnswer = false) {
        if (!this.isLive && !isAnswer)
            return;
        const { epoch, offset } = meta;
        if (epoch !== undefined && offset !== undefined) {
            if (this.position?.epoch === epoch && offset <= this.position.offset)
                return;
            this.position = { epoch, offset };
        }
        this.#keep(payload);
        call(this.options.onPublication, payload, meta);
        this.#tellValues();
    }
    /** The answer to a subscribe, which may have asked with `since` for those that are behind. */
    accept(ack, since) {
        if (since && ack.recovered) {
            if (this.isLive || !this.position)
                return;
            ack.publications?.forEach((publication) => this.receive(publication, true));
            this.position = ack.position ?? this.position;
        }
        else {
            if (this.isLive && !this.isOwed)
                return;
            const missed = this.#hasBegun || this.position;
            if (missed && !(this.isLive && this.position))
                call(this.options.onGap, ack.reason ?? "no_history");
            if (!this.isLive)
                this.position = ack.position;
            this.isOwed = false;
            if (ack.snapshot)
                this.#show(ack.snapshot);
        }
        this.isLive = this.#hasBegun = true;
        this.#isHeld();
    }
    /** A part of the history, read while there is no connection. */
    read({ recovered, reason, publications, position }) {
        if (!this.position)
            this.position = position;
        else if (recovered)
            publications.forEach((publication) => this.receive(publication, true));
        else {
            this.position = position;
            this.isOwed = true;
            call(this.options.onGap, reason ?? "no_history");
        }
        this.#isHeld();
    }
    removed(key) {
        this.values.delete(keyFrom(key));
        call(this.options.onRemoved, keyFrom(key));
        this.#tellValues();
    }
    present(presence) {
        call(this.options.onPresence, presence);
    }
    end(error) {
        if (this.#isReady)
            call(this.options.onRevoked, error);
        this.refuse(error);
        this.leave();
    }
    /** Nobody listens any more: a handler may say so while others wait for their turn. */
    leave() {
        this.options = {};
    }
    /** The first answer is a no, if there was none yet. */
    refuse(error) {
        this.#isReady = false;
        this.#settle({ ok: false, error });
    }
    // A snapshot is a list of retained values, or of a plugin's payloads.
    #show(snapshot) {
        this.values.clear();
        const values = snapshot.map((value) => {
            const one = isRetained(value) ? value : { key: this.#keyOf(value), payload: value, meta: {} };
            const key = keyFrom(one.key);
            if (this.options.key)
                this.values.set(key, one.payload);
            return { ...one, key };
        });
        call(this.options.onSnapshot, values);
        this.#tellValues();
    }
    #keep(payload) {
        if (this.options.key)
            this.values.set(this.#keyOf(payload), payload);
    }
    #keyOf(payload) {
        let key;
        call(() => (key = this.options.key?.(payload)));
        return keyFrom(key);
    }
    #isHeld() {
        if (this.#isReady)
            return;
        this.#isReady = true;
        this.#settle({ ok: true });
        call(this.options.onSubscribed);
    }
    #tellValues() {
        if (this.options.key)
            call(this.options.onValues, this.values);
    }
}
