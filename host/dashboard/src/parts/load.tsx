// Asking the API from a component: the answer, the error in the server's words, and asking again.

import { useSignal, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef } from "preact/hooks";

import { Away, Refused } from "../api";
import { returns } from "../live";
import { Worded } from "./fields";

export interface Loaded<Answer> {
  answer: ReadonlySignal<Answer | undefined>;
  error: ReadonlySignal<unknown>;
  again: () => void;
}

/** Loads when `about` changes, and when the server is back. An answer that is late is not shown. */
export function useLoaded<Answer>(load: () => Promise<Answer>, about: unknown[]): Loaded<Answer> {
  const answer = useSignal<Answer | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const newest = useRef(0);
  const again = useCallback(() => {
    const mine = ++newest.current;
    load().then(
      (loaded) => {
        if (mine !== newest.current) return;
        error.value = undefined;
        answer.value = loaded;
      },
      (failed: unknown) => {
        if (mine === newest.current) error.value = failed;
      },
    );
  }, about);
  useEffect(() => {
    again();
    return () => void (newest.current += 1);
  }, [again, returns.value]);
  return { answer, error, again };
}

/** What an error says to a person. */
export function words(error: unknown): string {
  if (error instanceof Refused) {
    const wait = error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : "";
    return `${sentence(error.message)}${wait} (${error.code})`;
  }
  if (error instanceof Away) return "The server does not answer. This page tries again by itself.";
  return `This page failed: ${String(error)}`;
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** An error where it happened; nothing without one. */
export function Failure({ error }: { error: unknown }) {
  if (error === undefined) return null;
  return (
    <p class="notice bad" role="alert">
      <Worded text={words(error)} />
    </p>
  );
}

/** What there is to show, or that it is being loaded, or why it is not there. */
export function Shown<Answer>({ from, children }: { from: Loaded<Answer>; children: (answer: Answer) => ComponentChildren }) {
  const answer = from.answer.value;
  return (
    <>
      <Failure error={from.error.value} />
      {answer === undefined ? from.error.value === undefined && <p class="quiet">Loading…</p> : children(answer)}
    </>
  );
}
