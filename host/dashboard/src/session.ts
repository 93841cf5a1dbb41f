// The operator's session: who is signed in, and until when. The cookie itself is out of reach of scripts.

import { signal } from "@preact/signals";

import { Away, call, Refused, SESSION } from "./api";
import { keep } from "./route";

export interface Operator {
  operator: string;
  /** In seconds since the Unix epoch. */
  ends_at: number;
}

type State =
  | { is: "asking" }
  | { is: "away" }
  | { is: "out"; because?: string }
  | { is: "in"; operator: Operator };

const RETRY_MS = 1_000;
// The clock of the browser may be ahead of the server's: whether the session is over is not asked more often than this.
const ASK_AGAIN_MS_MIN = 5_000;
// What a timer of browsers can hold at most is more than 24 days; a session is shorter.
const ENDED = "Your session has ended. Sign in again to come back to this page.";

export const session = signal<State>({ is: "asking" });

let ending: number | undefined;

function enter(operator: Operator) {
  session.value = { is: "in", operator };
  clearTimeout(ending);
  ending = window.setTimeout(() => void ask(), Math.max(ASK_AGAIN_MS_MIN, operator.ends_at * 1_000 - Date.now()));
}

/** Asks the server who is signed in; tries for as long as the server is away. */
export async function ask(because?: string): Promise<void> {
  try {
    enter(await call<Operator>("GET", SESSION));
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
      if (session.peek().is === "in") return ended();
      // Why it is over is said already.
      if (session.peek().is !== "out") session.value = { is: "out", because };
      return;
    }
    // A page that is open stays as it is: the notice of the connection says that the server is away.
    if (session.peek().is !== "in") session.value = { is: "away" };
    setTimeout(() => void ask(because), RETRY_MS);
  }
}

/** Signs in with an API key, or with the link that `tidegate dev` prints. */
export async function signIn(credential: { key: string } | { link: string }): Promise<void> {
  enter(await call<Operator>("POST", SESSION, credential));
}

export async function signOut(): Promise<void> {
  try {
    await call("DELETE", SESSION);
  } catch (error) {
    if (error instanceof Away) throw error;
  }
  clearTimeout(ending);
  session.value = { is: "out", because: "You are signed out." };
}

/** The server says that there is no such session any more. */
export function ended(): void {
  if (session.peek().is !== "in") return;
  clearTimeout(ending);
  session.value = { is: "out", because: ENDED };
}

/** Takes the single-use link out of the address, so that nobody finds it in the history, and signs in with it. */
export async function begin(): Promise<void> {
  const link = /^#link=(.+)$/.exec(location.hash)?.[1];
  if (!link) return await ask();
  keep([]);
  try {
    await signIn({ link: decodeURIComponent(link) });
  } catch (error) {
    if (error instanceof Away) {
      session.value = { is: "away" };
      setTimeout(() => void begin(), RETRY_MS);
      history.replaceState(null, "", `#link=${link}`);
      return;
    }
    // Somebody who is signed in already may open the link a second time.
    await ask("This link was used already, or is too old. Take a new one from the terminal of `tidegate dev`, or sign in with an API key.");
  }
}
