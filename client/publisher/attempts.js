// When to try again: a bounded number of times, a bounded time, with pauses that no two callers share.

import { TidegateError } from "./errors.js";

const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 5000;

/**
 * Runs `attempt` until it succeeds, fails for good, or may not be tried again.
 *
 * @template T
 * @param {(leftMs: number) => Promise<T>} attempt
 * @param {{ attempts: number, deadlineMs: number }} bounds
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function insist(attempt, { attempts, deadlineMs }, signal) {
  const end = performance.now() + deadlineMs;
  for (let tried = 1; ; tried += 1) {
    signal?.throwIfAborted();
    try {
      return await attempt(Math.max(1, end - performance.now()));
    } catch (error) {
      if (!(error instanceof TidegateError)) throw error;
      error.attempts = tried;
      const ms = pauseMs(tried, error.retryAfterMs);
      if (!error.retry || tried >= attempts || performance.now() + ms >= end) throw error;
      await pause(ms, signal);
    }
  }
}

// As long as the server asks for, and on top of it a random part of a time that doubles.
function pauseMs(tried, retryAfterMs = 0) {
  return retryAfterMs + Math.random() * Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** tried);
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const cancelled = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", cancelled);
      resolve(undefined);
    }, ms);
    signal?.addEventListener("abort", cancelled, { once: true });
  });
}
