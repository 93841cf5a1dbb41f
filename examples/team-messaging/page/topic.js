// One topic, and how far the page knows it: by a position in Tidegate's history, and by the number of a message in the
// application's table. Whatever way a message comes, it is told once.

export class Topic {
  position;
  /** How many messages came again by another way. */
  repeated = 0;
  // Every message up to this number was told; beyond it, those of the set.
  #known;
  #beyond = new Set();
  // What was missed is counted, and what was looked up since: while they differ, messages may be missing before the newest.
  #doubts = 1;
  #settled = 0;
  #filling = Promise.resolve();

  constructor(name, { session, onMessage }) {
    this.name = name;
    this.session = session;
    this.onMessage = onMessage;
  }

  tell(message, meta) {
    if (meta?.epoch) this.position = { epoch: meta.epoch, offset: meta.offset };
    const { number } = message;
    const isRepeated = number <= this.#known || this.#beyond.has(number);
    this.#beyond.add(number);
    this.#settle();
    if (isRepeated) return void (this.repeated += 1);
    return this.onMessage(message);
  }

  /** The answer of Tidegate to `since`: of a subscribe, or of its history. Returns whether nothing is missing. */
  recover({ recovered, publications = [], position }) {
    if (!recovered) this.doubt();
    for (const { payload, meta } of publications) this.tell(payload, meta);
    this.position = position;
    return this.#settled === this.#doubts;
  }

  /** Messages may be missing before the next one. */
  doubt() {
    this.#doubts += 1;
  }

  /** Asks the application's table for what comes after the last message that is known. */
  fill() {
    // One after the other: each goes on where the one before ended.
    const filled = this.#filling.then(() => this.#fill());
    this.#filling = filled.catch(() => {});
    return filled;
  }

  async #fill() {
    const settles = this.#doubts;
    let answer;
    do {
      const after = this.#known === undefined ? "" : `?after=${this.#known}`;
      answer = await this.session.call(`/api/topics/${this.name}/messages${after}`);
      for (const message of answer.messages) this.tell(message);
      this.#known = Math.max(this.#known ?? 0, ...answer.messages.map(({ number }) => number));
    } while (answer.more);
    this.#settled = settles;
    this.#settle();
  }

  // With nothing in doubt, all before the newest message is known.
  #settle() {
    if (this.#settled < this.#doubts) return;
    this.#known = Math.max(this.#known, ...this.#beyond);
    this.#beyond.clear();
  }
}
