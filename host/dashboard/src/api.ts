// Every request to the server's API, and the types of its answers. The tests hold the types against real answers.

import { ended } from "./session";

/** An answer that is no success, with the server's own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details?: unknown,
    readonly retryAfterS?: number,
  ) {
    super(message);
  }
}

/** The server did not answer at all. */
export class Away extends Error {
  constructor() {
    super("the server does not answer");
  }
}

type Method = "GET" | "POST" | "DELETE";

/** One request with the operator's cookie; throws `Refused` or `Away`. */
export async function call<Answer>(method: Method, path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = {};
  // No other origin can set it, so the server knows that the request comes from this page.
  if (method !== "GET") headers["x-tidegate-operator"] = "1";
  if (body !== undefined) headers["content-type"] = "application/json";
  const asked = fetch(path, { method, headers, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body) });
  const response = await asked.catch(() => {
    throw new Away();
  });
  const text = await response.text().catch(() => {
    throw new Away();
  });
  if (response.ok) return (text ? JSON.parse(text) : undefined) as Answer;
  // A proxy in front of a server that is gone.
  if (response.status === 502 || response.status === 504) throw new Away();
  const refused = refusal(response, text);
  if (response.status === 401 && path !== SESSION) ended();
  throw refused;
}

export const SESSION = "/v1/operator/session";

function refusal(response: Response, text: string): Refused {
  const retryAfterS = Number(response.headers.get("retry-after")) || undefined;
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; details?: unknown } };
    return new Refused(response.status, error.code, error.message, error.details, retryAfterS);
  } catch {
    return new Refused(response.status, String(response.status), text || response.statusText, undefined, retryAfterS);
  }
}

/** `path` with a query of what has a value. */
export function withQuery(path: string, query: Record<string, string | number | undefined>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** A name as one segment of a path. */
export const segment = encodeURIComponent;
