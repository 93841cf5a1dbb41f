// The list of a vault as a page knows it: what the API read, and what was published since.

export class SourceList {
  #sources = new Map();
  // While the API reads: what is published meanwhile may be newer than its answer.
  #meanwhile;

  /** Newest changes first. */
  get sources() {
    return [...this.#sources.values()].reverse();
  }

  titleOf(id) {
    return this.#sources.get(id)?.title;
  }

  /** Takes a publication; one that says nothing new changes nothing. */
  take(change) {
    this.#meanwhile?.push(change);
    this.#apply(change);
  }

  /** Reads the list anew by `read`, which resolves to the sources, the newest first. */
  async load(read) {
    this.#meanwhile = [];
    const sources = await read();
    this.#sources = new Map(sources.toReversed().map((source) => [source.id, source]));
    for (const change of this.#meanwhile) this.#apply(change);
    this.#meanwhile = undefined;
  }

  #apply({ kind, source }) {
    if (kind === "deleted") this.#sources.delete(source.id);
    if (kind !== "created" && kind !== "updated") return;
    const known = this.#sources.get(source.id);
    if (known && known.version >= source.version) return;
    this.#sources.delete(source.id);
    this.#sources.set(source.id, source);
  }
}
