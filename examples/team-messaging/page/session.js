// Who is signed in: the login is a cookie of the application, the token for Tidegate comes from it and is short-lived.

// Ahead of its end a token is not worth bringing any more.
const TOKEN_RESERVE_MS = 1_000;

/** A refusal of the application, or of Tidegate: both have the same codes. */
export class Refusal extends Error {
  constructor({ code, message, retry }) {
    super(message);
    Object.assign(this, { code, retry });
  }
}

export class Session {
  #token;
  #ends_ms = 0;
  #lifetime_ms = 0;
  #touched_ms = Date.now();
  #renewing;
  /** Called with each fresh token. */
  onToken = () => {};

  /** `ask(path, options)` is `fetch` to the application. */
  constructor(ask) {
    this.ask = ask;
  }

  /** The user did something: with half of its time over the token is renewed. */
  touch() {
    this.#touched_ms = Date.now();
    // A failure shows when the token is needed.
    if (this.#token && this.#ends_ms - Date.now() < this.#lifetime_ms / 2) this.renew().catch(() => {});
  }

  signIn(user, password) {
    this.#touched_ms = Date.now();
    return this.#open("/api/login", { user, password });
  }

  /** A fresh token. A user who did nothing since the last one gets the same end again. */
  renew() {
    // Whoever asks meanwhile wants the same.
    this.#renewing ??= this.#open("/api/token", { idle_s: (Date.now() - this.#touched_ms) / 1000 }).finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** A token that is good. While the application is away, the one of before. */
  async token() {
    if (this.#ends_ms - Date.now() > TOKEN_RESERVE_MS) return this.#token;
    try {
      return (await this.renew()).token;
    } catch (error) {
      if (error.code !== "unavailable" || !this.#token) throw error;
      return this.#token;
    }
  }

  /** Ends all other logins of the user. */
  changePassword(old, password) {
    return this.#open("/api/password", { old, password });
  }

  async signOut() {
    await this.call("/api/logout", { method: "POST", body: "{}" });
    this.#token = undefined;
    this.#ends_ms = 0;
  }

  async #open(path, body) {
    const opened = await this.call(path, { method: "POST", body: JSON.stringify(body) });
    this.#token = opened.token;
    this.#lifetime_ms = opened.expires_in * 1000;
    this.#ends_ms = Date.now() + this.#lifetime_ms;
    this.onToken(opened.token);
    return opened;
  }

  /** What the application answers; a refusal is thrown, and so is an application that is away (`unavailable`). */
  async call(path, options = {}) {
    let response;
    try {
      response = await this.ask(path, { ...options, headers: { "content-type": "application/json" } });
    } catch {
      throw new Refusal({ code: "unavailable", message: "the application is away", retry: true });
    }
    if (response.status === 204) return undefined;
    const answer = await response.json().catch(() => ({ error: { code: "internal", message: `status ${response.status}`, retry: true } }));
    if (!response.ok) throw new Refusal(answer.error);
    return answer;
  }
}
