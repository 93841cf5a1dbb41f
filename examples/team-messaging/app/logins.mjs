// Who signs in, for how long, and with which tokens. A login ends when its user was idle, when its whole time is over, by a
// sign-out, or by a new password elsewhere. A token is good until the login would end if its user did nothing more.

import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { SignJWT } from "jose";

import { Refused } from "./database.mjs";

const ISSUER = "team-messaging";
const PASSWORD_LENGTH_MIN = 8;

const derive = promisify(scrypt);
const hashOf = (cookie) => createHash("sha256").update(cookie).digest("base64url");

/** What a database keeps of a password. */
export async function sealed(password) {
  const salt = randomBytes(16);
  return `${salt.toString("base64url")}.${(await derive(password, salt, 32)).toString("base64url")}`;
}

async function opens(password, seal) {
  const [salt, key] = seal.split(".").map((part) => Buffer.from(part, "base64url"));
  return timingSafeEqual(await derive(password, salt, 32), key);
}

export class Logins {
  #database;
  #revocations;
  #secret;

  constructor({ database, revocations, secret, idle_s, absolute_s }) {
    this.#database = database;
    this.#revocations = revocations;
    this.#secret = new TextEncoder().encode(secret);
    Object.assign(this, { idle_s, absolute_s });
  }

  // The earlier of the two ends of a login `l`.
  #end = "least(l.used_at + make_interval(secs => $2), l.created_at + make_interval(secs => $3))";

  /** `{ cookie, token, expires_in, me }`. */
  async begin({ user, password }) {
    const [found] = await this.#database.rows("select password from users where id = $1", [String(user)]);
    if (!found || !(await opens(String(password), found.password))) throw Refused.unauthenticated("no such user and password");
    const cookie = randomBytes(32).toString("base64url");
    await this.#database.rows("insert into logins (cookie, user_id) values ($1, $2)", [hashOf(cookie), user]);
    return { cookie, ...(await this.renew(cookie, 0)) };
  }

  /** Whose cookie it is, if the login goes on. */
  async userOf(cookie) {
    const [user] = await this.#database.rows(
      `select u.id, u.name, u.role, u.area from logins l join users u on u.id = l.user_id
       where l.cookie = $1 and l.ended_at is null and now() < ${this.#end}`,
      [hashOf(cookie ?? ""), this.idle_s, this.absolute_s],
    );
    if (!user) throw Refused.unauthenticated("signed out");
    return user;
  }

  /** A fresh token; `idle_s` is how long ago the user last did something on the page. */
  async renew(cookie, idle_s) {
    if (!(idle_s >= 0)) throw Refused.invalid("idle_s is a number of seconds");
    const [login] = await this.#database.rows(
      `update logins l set used_at = greatest(l.used_at, now() - make_interval(secs => $4))
       from users u where u.id = l.user_id and l.cookie = $1 and l.ended_at is null and now() < ${this.#end}
       returning l.id, u.id as user, u.name, u.role, u.area, floor(extract(epoch from now()))::int as issued_at,
         floor(extract(epoch from ${this.#end}))::int as expires_at`,
      [hashOf(cookie ?? ""), this.idle_s, this.absolute_s, Math.min(idle_s, this.idle_s)],
    );
    // A token whose second has begun already would be refused.
    if (!login || login.expires_at <= login.issued_at) throw Refused.unauthenticated("signed out");
    const token = await new SignJWT({ roles: [login.role] })
      .setProtectedHeader({ alg: "HS256" }).setIssuer(ISSUER).setSubject(login.user).setJti(login.id)
      .setIssuedAt(login.issued_at).setExpirationTime(login.expires_at).sign(this.#secret);
    const { user: id, name, role, area } = login;
    // Seconds: the clock of a phone may be anywhere.
    return { token, expires_in: login.expires_at - login.issued_at, me: { id, name, role, area } };
  }

  /** Ends a login; every token that came from it goes on Tidegate's deny list. */
  async end(cookie) {
    await this.#database.transaction(async (rows) => {
      const [login] = await rows("update logins set ended_at = now() where cookie = $1 and ended_at is null returning id", [hashOf(cookie ?? "")]);
      if (login) await this.#revocations.add(rows, { token: login.id, reason: "signed out" });
    });
    await this.#revocations.deliver();
  }

  /** All other logins of the user end, and every token that was issued before. Returns a new token of this login. */
  async changePassword(cookie, { old, password }) {
    const { id } = await this.userOf(cookie);
    const [{ password: seal }] = await this.#database.rows("select password from users where id = $1", [id]);
    if (!(await opens(String(old), seal))) throw Refused.forbidden("the old password is another one");
    if (String(password).length < PASSWORD_LENGTH_MIN) throw Refused.invalid(`a password has at least ${PASSWORD_LENGTH_MIN} characters`);
    const next = await sealed(String(password));
    const wait_ms = await this.#database.transaction(async (rows) => {
      await rows("update users set password = $2 where id = $1", [id, next]);
      await rows("update logins set ended_at = now() where user_id = $1 and cookie <> $2 and ended_at is null", [id, hashOf(cookie)]);
      // Tokens say in whole seconds when they were issued: everything up to the end of this second is cut off.
      const [{ next_second, wait_ms }] = await rows(
        `select s + 1 as next_second, ceil((s + 1 - n) * 1000)::int as wait_ms
         from (select floor(n)::int as s, n from (select extract(epoch from clock_timestamp()) as n) as clock) as second`,
      );
      await this.#revocations.add(rows, { user: id, issued_before: next_second, reason: "password changed" });
      return wait_ms;
    });
    await this.#revocations.deliver();
    await sleep(wait_ms);
    return await this.renew(cookie, 0);
  }
}
