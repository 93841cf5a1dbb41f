/** The history of topics over HTTP, and the polling of it while no socket can be had. */
/** An answer that does not come is none. */
const REQUEST_MS = 10_000;
export async function readHistory(way, topic, { since, limit }) {
    try {
        const query = new URLSearchParams();
        if (since)
            query.set("since", `${since.epoch}:${since.offset}`);
        if (limit)
            query.set("limit", `${limit}`);
        const token = await way.token();
        const response = await fetch(`${way.base}/v1/channels/${encodeURIComponent(topic)}/history?${query}`, {
            headers: token ? { authorization: `Bearer ${token}` } : {},
            credentials: way.credentials,
            signal: AbortSignal.timeout(REQUEST_MS),
        });
        const body = await response.json();
        if (response.ok)
            return { ok: true, ...body };
        // Whatever stands between may answer, too: only a code is a word of the server.
        const error = body.error ?? body;
        if (error.code)
            return { ok: false, error };
        throw response.status;
    }
    catch (error) {
        return { ok: false, error: { code: "not_connected", message: String(error), retry: true } };
    }
}
export class Polling {
    // What comes for an earlier polling reaches nobody.
    #number = 0;
    #timer;
    #failures = 0;
    constructor(way, waits_ms, topics, 
    // What follows from a no; whether it is one about the topic alone.
    refused, changed) {
        this.way = way;
        this.waits_ms = waits_ms;
        this.topics = topics;
        this.refused = refused;
        this.changed = changed;
    }
    /** Begins, or looks at once where it is waiting. */
    start() {
        clearTimeout(this.#timer);
        void this.#round(++this.#number);
    }
    stop() {
        clearTimeout(this.#timer);
        this.#number += 1;
        this.#failures = 0;
        this.isAnswered = undefined;
    }
    async #round(number) {
        let isAnswered;
        for (const topic of this.topics.values()) {
            if (topic.isPollable)
                isAnswered = (await this.#read(topic, number)) && isAnswered !== false;
            if (number !== this.#number)
                return;
        }
        this.isAnswered = isAnswered;
        this.#failures = isAnswered === false ? this.#failures + 1 : 0;
        this.#timer = setTimeout(() => this.#round(number), this.waits_ms[Math.min(this.#failures, this.waits_ms.length - 1)]);
        this.changed();
    }
    // Whether there was an answer.
    async #read(topic, number) {
        for (;;) {
            const { since } = topic;
            const answer = await readHistory(this.way, topic.name, since ? { since } : { limit: 1 });
            if (number !== this.#number)
                return false;
            if (!answer.ok)
                return !answer.error.retry && this.refused(topic, answer.error);
            topic.read(answer);
            if (!since || !answer.more)
                return true;
        }
    }
}
