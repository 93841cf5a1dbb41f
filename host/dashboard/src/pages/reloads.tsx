// The reloads: what changed, by which files, and what was wrong in those that were rejected.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { call } from "../api";
import { follow } from "../live";
import { Heading, Mark, When, Worded } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { ms } from "../units";

export interface Reload {
  at_ms: number;
  outcome: "applied" | "rejected" | "rolled_back";
  generation?: number | null;
  took_ms: number;
  changes: string[];
  kinds: string[];
  files: string[];
  errors: { place?: string | null; line?: number | null; message: string; hint?: string | null }[];
}

const OUTCOMES = {
  applied: { is: "good", words: "applied" },
  rejected: { is: "bad", words: "rejected" },
  rolled_back: { is: "warn", words: "rolled back" },
} as const;
const RELOADS_MAX = 50;
/** Kinds of changes by which more may be seen or done, and by which something may break. */
const LOOK_FIRST = ["public", "crosses_public", "wider", "access", "crosses", "sends", "visible", "kept", "auth", "grants"];
const BREAK = ["breaking", "cannot_tell", "gone"];

const isOf = (kind = "") => (LOOK_FIRST.includes(kind) ? "warn" : BREAK.includes(kind) ? "bad" : "plain");

export function Reloads() {
  const loaded = useLoaded(() => call<{ reloads: Reload[] }>("GET", "/v1/reloads"), []);
  const newer = useSignal<Reload[]>([]);
  useEffect(() => follow<Reload>("reloads", { took: (reloads) => (newer.value = [...[...reloads].reverse(), ...newer.value]) }), []);
  return (
    <>
      <Heading>Reloads</Heading>
      <p class="quiet">The last {RELOADS_MAX}, the newest first. A reload that is rejected changes nothing: what served before goes on. One is rolled back when a plugin fails after it.</p>
      <Shown from={loaded}>
        {({ reloads }) => {
          const known = new Set(reloads.map(({ at_ms }) => at_ms));
          const all = [...newer.value.filter(({ at_ms }) => !known.has(at_ms)), ...reloads].slice(0, RELOADS_MAX);
          if (!all.length) return <div class="empty">Nothing was reloaded since the server started. Save a file of the channels, the bridge or a plugin, and it is here.</div>;
          return all.map((reload) => <Entry key={reload.at_ms} reload={reload} />);
        }}
      </Shown>
    </>
  );
}

function Entry({ reload: { at_ms, outcome, generation, took_ms, changes, kinds, files, errors } }: { reload: Reload }) {
  const { is, words } = OUTCOMES[outcome];
  return (
    <article class="card" aria-label={`Reload, ${words}`}>
      <p>
        <Mark is={is}>{words}</Mark> <When atMs={at_ms} />, in {ms(took_ms)}
        {generation !== undefined && generation !== null && `, generation ${generation}`}
      </p>
      {changes.length > 0 && (
        <ul class="words">
          {changes.map((change, at) => (
            <li key={change}>
              <Mark is={isOf(kinds[at])}>{(kinds[at] ?? "").replaceAll("_", " ")}</Mark> <Worded text={change} />
            </li>
          ))}
        </ul>
      )}
      {outcome === "applied" && !changes.length && <p class="quiet">Nothing changed for clients.</p>}
      {errors.map(({ place, line, message, hint }) => (
        <div key={`${place} ${line} ${message}`} class="notice bad">
          {place && (
            <div>
              <code>{line ? `${place}:${line}` : place}</code>
            </div>
          )}
          <div>
            <Worded text={message} />
          </div>
          {hint && (
            <div class="quiet">
              Hint: <Worded text={hint} />
            </div>
          )}
        </div>
      ))}
      {files.length > 0 && (
        <p class="quiet">
          Files: {files.map((file, at) => [at > 0 && ", ", <code key={file}>{file}</code>])}
        </p>
      )}
    </article>
  );
}
