// What Tidegate has to refuse: written in the transaction that ends a login, and sent until Tidegate has confirmed it.

const REQUEST_TIMEOUT_MS = 2_000;
const RETRY_INTERVAL_MS = 1_000;
const BATCH = 100;

export class Revocations {
  #database;
  #tidegate;
  #key;
  #sending;
  #timer;

  constructor({ database, tidegate, key }) {
    this.#database = database;
    this.#tidegate = tidegate;
    this.#key = key;
  }

  /** Within a transaction. */
  add = (rows, body) => rows("insert into revocations_due (body) values ($1)", [JSON.stringify(body)]);

  /** Sends what is due. While Tidegate is away it returns all the same, and goes on trying. */
  async deliver() {
    // What was added while another one sends might not be among what it sends.
    while (this.#sending) await this.#sending;
    this.#sending = this.#send().finally(() => (this.#sending = undefined));
    const isDone = await this.#sending;
    clearTimeout(this.#timer);
    if (!isDone && !this.#isStopped) this.#timer = setTimeout(() => this.deliver(), RETRY_INTERVAL_MS);
  }

  async #send() {
    try {
      for (;;) {
        const due = await this.#database.rows(`select id, body from revocations_due order by id limit ${BATCH}`);
        if (due.length === 0) return true;
        for (const { id, body } of due) {
          await this.#revoke(body);
          await this.#database.rows("delete from revocations_due where id = $1", [id]);
        }
      }
    } catch (error) {
      console.warn(`revocations wait: ${error.message}`);
      return false;
    }
  }

  async #revoke(body) {
    const response = await fetch(`${this.#tidegate}/v1/revoke`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.status !== 202) throw new Error(`Tidegate answers ${response.status} ${await response.text()}`);
  }

  #isStopped = false;

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}
