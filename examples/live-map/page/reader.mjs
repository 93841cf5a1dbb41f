// One connection of the page: it follows an event, knows the newest position of each car and what race control said. It
// touches no element of the page, so it runs in Node as well.

const RETRY_MS = 2000;
const AGES = 20_000;

export class Reader {
  /** The newest position of each car. */
  positions = new Map();
  /** What race control said, by its number. */
  notices = new Map();
  state = "connecting";
  /** `stale`: positions that came after a newer one of their car. */
  counts = { received: 0, stale: 0, connects: 0 };
  #newest = new Map();
  #ages = [];
  #lastArrival = -Infinity;
  #retry;

  /** `socket` is the stock client's; `changed` is called when there is something to draw. */
  constructor(socket, eventId, changed = () => {}) {
    this.socket = socket;
    this.topic = `event.${eventId}`;
    this.control = `event.${eventId}.control`;
    this.changed = changed;
    socket.on(this.topic, (position) => this.#arrived(position));
    socket.on(this.control, (notice) => this.#said([notice]));
    socket.on("connect", () => {
      this.counts.connects += 1;
      this.#newest.clear();
      this.#follow();
    });
    socket.on("tidegate", (message) => this.#told(message));
    socket.on("disconnect", (reason) => this.#is(`lost (${reason})`));
    // With `data` it is refused for good; without it nobody has answered.
    socket.on("connect_error", (error) => this.#is(error.data ? `refused: ${error.message}` : `connecting again (${error.message})`));
    // Not let in for now: the server closes the websocket without a word, and the stock client comes back by itself.
    socket.io.on("reconnect_attempt", (count) => this.state.startsWith("connecting") && this.#is(`connecting again (attempt ${count})`));
  }

  #is(state) {
    this.state = state;
    this.changed();
  }

  #follow() {
    this.#subscribe(this.control, (said) => this.#said(said));
    this.#subscribe(this.topic, (newest) => this.#begin(newest.map(({ payload }) => payload)));
  }

  // The ack has the state, what follows is live.
  #subscribe(channel, begin) {
    this.socket.emit("subscribe", { channel }, (ack) => {
      if (ack.ok) {
        begin(ack.snapshot);
        return this.#is("live");
      }
      this.#is(`not subscribed: ${ack.error.code}`);
      clearTimeout(this.#retry);
      if (ack.error.retry) this.#retry = setTimeout(() => this.socket.connected && this.#follow(), RETRY_MS);
    });
  }

  #begin(positions) {
    this.positions.clear();
    for (const position of positions) this.positions.set(position.deviceId, position);
  }

  #arrived(position) {
    const { deviceId, at } = position;
    if (this.#newest.get(deviceId) >= at) this.counts.stale += 1;
    this.#newest.set(deviceId, at);
    // The database may have told a newer one in the ack.
    if (!(this.positions.get(deviceId)?.at >= at)) this.positions.set(deviceId, position);
    this.counts.received += 1;
    this.#lastArrival = Date.now();
    if (this.#ages.push(this.#lastArrival - at) > AGES) this.#ages.shift();
    this.changed();
  }

  #said(notices) {
    for (const notice of notices) this.notices.set(notice.n, notice);
    this.changed();
  }

  #told({ type, channel, reason }) {
    // Something was missed on the way into the server: the state again, from its source.
    if (type === "gap" && channel === this.topic) this.#follow();
    if (type === "revoked" || type === "expired") this.#is(`${type} ${reason ?? ""}`);
  }

  /** Numbers that nothing came with, between the first and the last one. */
  get missed() {
    const numbers = [...this.notices.keys()];
    return numbers.length === 0 ? 0 : Math.max(...numbers) - Math.min(...numbers) + 1 - numbers.length;
  }

  /** How long nothing has come, in ms. */
  get silence() {
    return Date.now() - this.#lastArrival;
  }

  /** How old positions were when they came, since this was asked for the last time: sorted, in ms. */
  takeAges() {
    const ages = this.#ages.sort((a, b) => a - b);
    this.#ages = [];
    return ages;
  }
}
