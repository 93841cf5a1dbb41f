// Answers that are a no, as errors with the server's code.

// Statuses of whatever stands before the server, after which the same request may succeed.
const PASSING = new Set([408, 425, 429, 502, 503, 504]);

export class TidegateError extends Error {
  constructor({ code, message, retry = false, status, details, retryAfterMs, cause }) {
    super(`${code}: ${message}`, { cause });
    this.name = "TidegateError";
    this.code = code;
    this.retry = retry;
    this.status = status;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
    this.attempts = 1;
    // The text of the error says where a payload is wrong: it is what a log shows.
    if (this.violations.length > 0) this.message += this.violations.map(({ path, message }) => `; ${path || "payload"}: ${message}`).join("");
  }

  get violations() {
    return this.details?.violations ?? [];
  }
}

/** The error of `{ code, message, retry, details? }`. */
export function refusalOf(error, status, retryAfterMs) {
  return new TidegateError({ ...error, status, retryAfterMs });
}

/** The body of a good answer, read from its text; any other throws. */
export function answerOf(response, text) {
  const body = parse(text);
  if (response.ok && body !== undefined) return body;
  const { status } = response;
  const retryAfterMs = waitOf(response.headers.get("retry-after"));
  if (typeof body?.error?.code === "string") throw refusalOf(body.error, status, retryAfterMs);
  const message = `the answer is no answer of Tidegate (status ${status}): is \`url\` the address of the server, and of what stands before it?`;
  throw new TidegateError({ code: "unexpected_answer", message, status, retryAfterMs, retry: PASSING.has(status) });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// RFC 9110, 10.2.3: seconds, or a date.
function waitOf(value) {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
