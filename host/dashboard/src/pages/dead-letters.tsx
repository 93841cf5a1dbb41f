// The dead letters: found, read, tried again, or discarded with a reason; one, or many at once.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { call, Refused, segment, withQuery } from "../api";
import { Confirm } from "../parts/confirm";
import { Json, Search, When, Worded } from "../parts/fields";
import { words } from "../parts/load";
import { Paged } from "../parts/table";
import { keep, route } from "../route";
import { count } from "../units";

export interface DeadLetter {
  id: string;
  rule: { on: string; to: string };
  reason: string;
  at_unix_s: number;
  event: Record<string, unknown>;
}

interface Listed {
  dead_letters: DeadLetter[];
  kept: number;
  complete?: false;
  next?: string;
}

interface Retried {
  outcome: "crossed" | "skipped" | "dead";
  dead_letter?: DeadLetter;
}

const ROWS_MAX = 50;

/** What many requests came to, in words. */
type Told = { is: "good" | "warn" | "bad"; text: string };

/** `state`: another text when there are new letters, or some are gone. */
export function DeadLetters({ state }: { state?: string }) {
  const search = route.value.query.get("search") ?? "";
  const chosen = useSignal<Set<string>>(new Set());
  const shown = useSignal<DeadLetter[]>([]);
  const turn = useSignal(0);
  const told = useSignal<Told | undefined>(undefined);
  const discarding = useSignal<string[] | undefined>(undefined);
  const busy = useSignal(false);
  // New letters, and letters that somebody else took care of.
  const known = useRef(state);
  useEffect(() => {
    if (state !== undefined && known.current !== state) turn.value += 1;
    known.current = state;
  }, [state]);
  const listed = chosen.value.size ? [...chosen.value] : [];
  const settle = (text: Told) => {
    told.value = text;
    chosen.value = new Set();
    turn.value += 1;
  };
  const retry = async (ids: string[]) => {
    busy.value = true;
    settle(await retried(ids));
    busy.value = false;
  };
  const choose = (id: string, is: boolean) => {
    const next = new Set(chosen.value);
    if (is) next.add(id);
    else next.delete(id);
    chosen.value = next;
  };
  const all = shown.value.length > 0 && shown.value.every(({ id }) => chosen.value.has(id));
  return (
    <>
      <Search label="Search" hint="an event's type, a topic, a reason, a value" value={search} onSearch={(text) => keep(["bridge"], { search: text })} />
      <div class="row">
        <label class="choice">
          <input type="checkbox" checked={all} disabled={!shown.value.length} onChange={() => (chosen.value = all ? new Set() : new Set(shown.value.map(({ id }) => id)))} />
          Choose all that are shown
        </label>
        <button type="button" disabled={!listed.length || busy.value} onClick={() => retry(listed)}>
          Retry {count(listed.length)} chosen
        </button>
        <button type="button" class="danger" disabled={!listed.length || busy.value} onClick={() => (discarding.value = listed)}>
          Discard {count(listed.length)} chosen
        </button>
      </div>
      <div role="status">{told.value && <p class={`notice ${told.value.is}`}>{told.value.text}</p>}</div>
      <Letters search={search} turn={turn.value} chosen={chosen.value} choose={choose} shown={(letters) => (shown.value = letters)} retry={(id) => retry([id])} discard={(id) => (discarding.value = [id])} />
      {discarding.value && (
        <Confirm
          verb="Discard"
          title={`Discard ${count(discarding.value.length, "dead letter")}?`}
          close={() => (discarding.value = undefined)}
          act={async (reason) => settle(await discarded(discarding.value!, reason))}
        >
          <p>The server keeps no copy: the event exists nowhere else afterwards.</p>
        </Confirm>
      )}
    </>
  );
}

interface Choices {
  search: string;
  turn: number;
  chosen: Set<string>;
  choose: (id: string, is: boolean) => void;
  shown: (letters: DeadLetter[]) => void;
  retry: (id: string) => void;
  discard: (id: string) => void;
}

function Letters({ search, turn, chosen, choose, shown, retry, discard }: Choices) {
  const isComplete = useSignal(true);
  return (
    <>
      {!isComplete.value && <p class="notice warn">The store is away: letters that it keeps are not in this list.</p>}
      <Paged<DeadLetter>
        caption="Dead letters, the newest first"
        about={[search]}
        turn={turn}
        load={async (after) => {
          const { dead_letters, next, complete } = await call<Listed>("GET", withQuery("/v1/dead-letters", { search, after, limit: ROWS_MAX }));
          isComplete.value = complete !== false;
          shown(dead_letters);
          return { rows: dead_letters, next };
        }}
        of={({ id }) => id}
        empty={search ? `No dead letter contains “${search}”.` : "No dead letter: every event that a rule matched has crossed."}
        columns={[
          { head: "Choose", cell: ({ id, rule }) => <input type="checkbox" aria-label={`Choose the letter of ${rule.on}`} checked={chosen.has(id)} onChange={(event) => choose(id, event.currentTarget.checked)} /> },
          { head: "At", cell: ({ at_unix_s }) => <When atMs={at_unix_s * 1_000} /> },
          {
            head: "Rule",
            cell: ({ rule }) => (
              <code>
                {rule.on} → {rule.to}
              </code>
            ),
          },
          { head: "Why", cell: (letter) => <Why letter={letter} /> },
          {
            head: "Do",
            cell: ({ id, rule }) => (
              <span class="doing">
                <button type="button" aria-label={`Retry the letter of ${rule.on}`} onClick={() => retry(id)}>
                  Retry
                </button>
                <button type="button" aria-label={`Discard the letter of ${rule.on}`} onClick={() => discard(id)}>
                  Discard
                </button>
              </span>
            ),
          },
        ]}
      />
    </>
  );
}

function Why({ letter: { reason, event } }: { letter: DeadLetter }) {
  return (
    <div>
      <Worded text={reason} />
      <details>
        <summary>The event</summary>
        <Json value={event} label="The event" />
      </details>
    </div>
  );
}

/** The answer for one of many letters; nothing if somebody else took care of the letter meanwhile. */
async function unlessGone<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return undefined;
    throw error;
  }
}

async function retried(ids: string[]): Promise<Told> {
  const outcomes = { crossed: 0, skipped: 0, dead: 0 };
  let reason: string | undefined;
  try {
    for (const id of ids) {
      const answer = await unlessGone(call<Retried>("POST", `/v1/dead-letters/${segment(id)}/retry`));
      if (!answer) continue;
      outcomes[answer.outcome] += 1;
      reason ??= answer.dead_letter?.reason;
    }
  } catch (error) {
    return { is: "bad", text: `${sum(outcomes)} ${words(error)}` };
  }
  return { is: outcomes.dead ? "warn" : "good", text: `${sum(outcomes)}${reason ? ` Why: ${reason}` : ""}` };
}

function sum({ crossed, skipped, dead }: Record<"crossed" | "skipped" | "dead", number>): string {
  const parts = [crossed && `${count(crossed, "letter")} crossed`, skipped && `${count(skipped)} skipped by the rule`, dead && `${count(dead, "letter")} could not cross again`];
  const said = parts.filter(Boolean).join(", ");
  return said ? `${said}.` : "";
}

async function discarded(ids: string[], reason: string): Promise<Told> {
  let gone = 0;
  try {
    for (const id of ids) {
      if (await unlessGone(call("DELETE", withQuery(`/v1/dead-letters/${segment(id)}`, { reason })))) gone += 1;
    }
  } catch (error) {
    return { is: "bad", text: `${count(gone, "letter")} discarded. ${words(error)}` };
  }
  return { is: "good", text: `${count(gone, "letter")} discarded.` };
}
