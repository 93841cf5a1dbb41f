// Sessions in the database as Auth.js keeps them: a random token in a cookie, a row with its end, which moves while the
// session is used, and is deleted by a sign-out. In place of a provider's login anybody may sign in as anybody here.

import { randomUUID } from "node:crypto";

import { Refused } from "./refused.mjs";

export const COOKIE = "authjs.session-token";

// As Auth.js has them: a session ends 30 days after it was used last, and its row is written once a day at most.
const MAX_AGE_S = 30 * 86_400;
const UPDATE_AGE_S = 86_400;

const cookie = (value, seconds) => `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax`;

function tokenOf(request) {
  const pairs = (request.headers.cookie ?? "").split("; ").map((pair) => pair.split("="));
  return pairs.find(([name]) => name === COOKIE)?.[1];
}

/** Makes a session for the user with this e-mail address; the cookie to set. */
export async function signIn(pool, email) {
  const token = randomUUID();
  const { rowCount } = await pool.query(
    `insert into sessions ("sessionToken", "userId", expires) select $1, id, now() + make_interval(secs => $2) from users where email = $3`,
    [token, MAX_AGE_S, email],
  );
  if (rowCount === 0) throw new Refused(404, "unknown_user");
  return cookie(token, MAX_AGE_S);
}

/** Deletes the session; the trigger tells Tidegate, which ends its connections. The cookie to set. */
export async function signOut(pool, request) {
  await pool.query(`delete from sessions where "sessionToken" = $1`, [tokenOf(request)]);
  return cookie("", 0);
}

/** The user of a request; without a session that still holds it is refused. */
export async function userOf(pool, request) {
  const { rows } = await pool.query(
    `select u.id, u.name, s.expires from sessions s join users u on u.id = s."userId"
     where s."sessionToken" = $1 and s.expires > now()`,
    [tokenOf(request)],
  );
  if (rows.length === 0) throw new Refused(401, "unauthenticated");
  return rows[0];
}

/** As Auth.js answers a page that asks for its session: who it is and until when, and the end moves. The cookie to set. */
export async function useSession(pool, request) {
  const user = await userOf(pool, request);
  const token = tokenOf(request);
  const { rows } = await pool.query(
    `update sessions set expires = now() + make_interval(secs => $2)
     where "sessionToken" = $1 and expires <= now() + make_interval(secs => $3) returning expires`,
    [token, MAX_AGE_S, MAX_AGE_S - UPDATE_AGE_S],
  );
  const expires = rows[0]?.expires ?? user.expires;
  return { session: { user: { id: String(user.id), name: user.name }, expires }, cookie: rows[0] && cookie(token, MAX_AGE_S) };
}
