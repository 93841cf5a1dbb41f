// Who somebody is. A real newsroom has passwords; here a name is enough, because it is about what comes after.

import { createHmac, timingSafeEqual } from "node:crypto";

const LIFETIME_S = 8 * 3600;
const PEOPLE: Record<string, string[]> = { ada: [], ben: [], erin: ["editor"] };

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signature = (text: string, secret: string) => createHmac("sha256", secret).update(text).digest("base64url");

/** A token for Tidegate and for this backend, or nothing for a name that nobody has. */
export function signIn(name: string, secret: string): { token: string; roles: string[] } | undefined {
  const roles = Object.hasOwn(PEOPLE, name) ? PEOPLE[name] : undefined;
  if (!roles) return undefined;
  const now = Math.floor(Date.now() / 1000);
  const text = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ sub: name, roles, iat: now, exp: now + LIFETIME_S })}`;
  return { token: `${text}.${signature(text, secret)}`, roles };
}

/** The user of a token that `signIn` made. */
export function userOf(authorization: string | undefined, secret: string): string | undefined {
  const [, text, given] = /^Bearer ([\w-]+\.[\w-]+)\.([\w-]+)$/.exec(authorization ?? "") ?? [];
  if (!text || !given) return undefined;
  const [one, two] = [Buffer.from(given), Buffer.from(signature(text, secret))];
  if (one.length !== two.length || !timingSafeEqual(one, two)) return undefined;
  const { sub, exp } = JSON.parse(Buffer.from(text.split(".")[1]!, "base64url").toString());
  return exp > Date.now() / 1000 ? sub : undefined;
}
