// Small parts of forms and pages: a search, a list of facts, JSON, a time ago.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { ago, moment } from "../units";

// While somebody types, the server is not asked for each letter.
const TYPING_MS = 250;

export function Search({ label, value, onSearch, hint }: { label: string; value: string; onSearch: (text: string) => void; hint?: string }) {
  const id = useId();
  const waiting = useRef<number | undefined>(undefined);
  useEffect(() => () => clearTimeout(waiting.current), []);
  const typed = (text: string) => {
    clearTimeout(waiting.current);
    waiting.current = window.setTimeout(() => onSearch(text.trim()), TYPING_MS);
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} type="search" defaultValue={value} placeholder={hint} autocomplete="off" spellcheck={false} onInput={(event) => typed(event.currentTarget.value)} />
    </div>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A value as JSON, in a box that scrolls by itself and by the keyboard. */
export function Json({ value, label }: { value: unknown; label: string }) {
  return (
    <pre tabIndex={0} role="region" aria-label={label}>
      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </pre>
  );
}

export function When({ atMs }: { atMs: number }) {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={ago(atMs)}>
      {moment(atMs)}
    </time>
  );
}

/** A word in a colour that never is the only sign. */
export function Mark({ is, children }: { is: "good" | "bad" | "warn" | "plain"; children: ComponentChildren }) {
  return <span class={`mark ${is}`}>{children}</span>;
}

/** The heading of a page, which takes the focus when the page is opened, so that a screen reader says where one is. */
export function Heading({ children, aside }: { children: ComponentChildren; aside?: ComponentChildren }) {
  return (
    <div class="heading">
      <h1 tabIndex={-1}>{children}</h1>
      {aside}
    </div>
  );
}

/** Text of the server, in which names stand between backticks. */
export function Worded({ text }: { text: string }) {
  return <>{text.split("`").map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part))}</>;
}
