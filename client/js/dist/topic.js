/** A topic of the page: one subscription of the server for all its subscribers, and what is asked so that none misses anything. */
/** Of a question that could not be answered now: after 1 s at first, then twice as long each time. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_MS_MAX = 30_000;
export class Topic {
    #newest;
    #info;
    // A snapshot would be owed to who joins: only the server has it.
    #hasSnapshot;
    // The question under way; the answer to an earlier one is ignored.
    #asked;
    #isAsking;
    #attempts;
    #timer;
    constructor(name, link) {
        this.name = name;
        this.link = link;
        this.subscribers = new Set();
        /** The server sends what is published. */
        this.isHeld = false;
        /** Its history can be read without a connection. */
        this.isPollable = true;
        // A snapshot would be owed to who joins: only the server has it.
        this.#hasSnapshot = true;
        // The question under way; the answer to an earlier one is ignored.
        this.#asked = 0;
        this.#isAsking = false;
        this.#attempts = 0;
    }
    join(subscriber) {
        const { since, info } = subscriber.options;
        const isWhole = this.isHeld && !this.#isAsking && [...this.subscribers].every(({ isLive, isOwed }) => isLive && !isOwed);
        this.subscribers.add(subscriber);
        if (info !== undefined)
            this.#info = info;
        if (isWhole && !this.#hasSnapshot && !since && info === undefined)
            subscriber.begin(this.#newest);
        else
            this.ask();
    }
    leave(subscriber) {
        subscriber.leave();
        this.subscribers.delete(subscriber);
        // Not at once: who leaves and comes back in one go, as React does, keeps the subscription.
        queueMicrotask(() => this.subscribers.size || this.#drop());
    }
    /** Asks for what the subscribers lack: first what those missed who have a position, then the beginning for the others. */
    ask() {
        if (this.#isAsking || !this.link.isConnected())
            return;
        const all = [...this.subscribers];
        const since = oldest(all.filter(({ isLive }) => !isLive));
        if (!since && all.every(({ isLive, isOwed }) => isLive && !isOwed))
            return;
        clearTimeout(this.#timer);
        this.#isAsking = true;
        const number = ++this.#asked;
        const info = this.#info;
        const body = { channel: this.name, ...(since && { since }), ...(info !== undefined && { info }) };
        this.link.ask("subscribe", body, (answer) => {
            if (number !== this.#asked)
                return;
            this.#isAsking = false;
            if (answer.ok)
                this.#accept(answer, since);
            else if (answer.error.retry)
                this.#askLater();
            else
                this.#refused(answer.error);
        });
    }
    lost() {
        this.isHeld = false;
        this.#attempts = 0;
        this.#forgetQuestion();
        this.subscribers.forEach((subscriber) => subscriber.lost());
    }
    told({ type, key, joined, left, count, reason = "forbidden" }) {
        if (type === "revoked") {
            this.isHeld = false;
            this.end({ code: reason, message: "the subscription is over", retry: false });
        }
        if (type === "removed")
            this.subscribers.forEach((subscriber) => subscriber.removed(key));
        if (type === "presence")
            this.#present(changed(this.presence, count ?? 0, joined, left));
        if (type !== "gap")
            return;
        // What is asked already may have been answered before the gap.
        this.#forgetQuestion();
        this.subscribers.forEach((subscriber) => subscriber.gap());
        this.ask();
    }
    receive(publication) {
        const { epoch, offset } = publication.meta;
        if (epoch !== undefined && offset !== undefined)
            this.#newest = { epoch, offset };
        this.subscribers.forEach((subscriber) => subscriber.receive(publication));
    }
    /** Where the next read of the history begins; nowhere while nobody has a position. */
    get since() {
        return oldest([...this.subscribers]);
    }
    read(history) {
        this.subscribers.forEach((subscriber) => subscriber.read(history));
    }
    /** It is over for everybody. */
    end(error) {
        this.subscribers.forEach((subscriber) => subscriber.end(error));
        this.subscribers.clear();
        this.#drop();
    }
    // Who has it keeps it: only what is new was refused.
    #refused(error) {
        for (const subscriber of this.subscribers) {
            if (this.isHeld && subscriber.isLive && !subscriber.isOwed)
                continue;
            subscriber.end(error);
            this.subscribers.delete(subscriber);
        }
        if (!this.subscribers.size)
            this.#drop();
    }
    #accept(ack, since) {
        this.#attempts = 0;
        this.isHeld = true;
        this.isPollable = !!ack.position;
        this.#newest = ack.position;
        if (!since)
            this.#hasSnapshot = !!ack.snapshot;
        this.subscribers.forEach((subscriber) => subscriber.accept(ack, since));
        if (ack.presence)
            this.#present(ack.presence);
        this.link.held();
        this.ask();
    }
    #present(presence) {
        this.presence = presence;
        this.subscribers.forEach((subscriber) => subscriber.present(presence));
    }
    #askLater() {
        const wait_ms = Math.min(ASK_AGAIN_MS * 2 ** this.#attempts++, ASK_AGAIN_MS_MAX);
        // Not all pages at once.
        this.#timer = setTimeout(() => this.ask(), wait_ms * (0.5 + Math.random() / 2));
    }
    #forgetQuestion() {
        this.#asked += 1;
        this.#isAsking = false;
        clearTimeout(this.#timer);
    }
    #drop() {
        if (this.isHeld || this.#isAsking)
            this.link.ask("unsubscribe", { channel: this.name }, () => { });
        this.lost();
        this.link.forget(this);
    }
}
function oldest(subscribers) {
    const positions = subscribers.flatMap(({ position }) => position ?? []);
    return positions.reduce((a, b) => (a && (a.epoch !== b.epoch || a.offset <= b.offset) ? a : b), undefined);
}
function changed(before, count, joined, left) {
    if (!joined && !left)
        return { count };
    const members = new Map(before?.members?.map((member) => [member.user, member]));
    for (const { user } of left ?? [])
        members.delete(user);
    for (const member of joined ?? [])
        members.set(member.user, member);
    return { count, members: [...members.values()] };
}
