// A live tail: the publications of a channel or topic as they happen. It is switched on, ends by itself, and is logged.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { call, segment } from "../api";
import { follow, useSecond } from "../live";
import { to } from "../route";
import { bytes, count, duration, moment } from "../units";
import { Json } from "./fields";
import { Failure } from "./load";
import { Table } from "./table";

interface Started {
  tail: string;
  topic: string;
  /** In seconds since the Unix epoch. */
  ends_at: number;
}

interface Publication {
  at_ms: number;
  topic: string;
  channel: string;
  position?: { epoch: string; offset: number } | null;
  /** The bridge rule that made it. */
  rule?: { on: string; to: string } | null;
  /** How many were left out before it, because there were too many a second. */
  skipped?: number;
  bytes: number;
  subscribers: number;
  payload?: unknown;
  /** Given by this page, because two publications may be alike. */
  row: number;
}

// The newest are kept; a busy topic would fill the memory of the browser.
const ROWS_MAX = 100;

export function Tail({ of }: { of: { channel: string } | { topic: string } }) {
  const started = useSignal<Started | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const payloads = useSignal(false);
  const start = async () => {
    error.value = undefined;
    try {
      started.value = await call<Started>("POST", "/v1/tails", { ...of, payloads: payloads.value });
    } catch (failed) {
      error.value = failed;
    }
  };
  const running = started.value;
  if (running) return <Running key={running.tail} started={running} end={() => (started.value = undefined)} />;
  return (
    <>
      <p class="quiet">Shows each publication as it happens, for 10 minutes at most. The server logs who watched what, and when.</p>
      <Failure error={error.value} />
      <div class="row">
        <button type="button" onClick={start}>
          Watch publications
        </button>
        <label class="choice">
          <input type="checkbox" checked={payloads.value} onChange={(event) => (payloads.value = event.currentTarget.checked)} />
          with their payloads, if your key may <code>read</code>
        </label>
      </div>
    </>
  );
}

function Running({ started, end }: { started: Started; end: () => void }) {
  const rows = useSignal<Publication[]>([]);
  const seen = useSignal(0);
  const skipped = useSignal(0);
  const paused = useSignal(false);
  // What was published before is not seen: nothing says "watching" too early.
  const hears = useSignal(false);
  const refused = useSignal<string | undefined>(undefined);
  const left = started.ends_at - useSecond();
  const isOver = left <= 0;
  const status = isOver ? "The tail is over." : paused.value ? "Paused." : hears.value ? "Watching." : "Beginning to watch…";
  useEffect(() => {
    const leave = follow<Publication>(started.topic, {
      took: (publications) => {
        hears.value = true;
        seen.value += publications.length;
        skipped.value += publications.reduce((sum, { skipped = 0 }) => sum + skipped, 0);
        if (paused.value) return;
        const newer = publications.map((publication, at) => ({ ...publication, row: seen.value + at }));
        rows.value = [...newer.reverse(), ...rows.value].slice(0, ROWS_MAX);
      },
      refused: (message) => (refused.value = message),
    });
    return () => {
      leave();
      // It is over already, or ends by itself.
      call("DELETE", `/v1/tails/${segment(started.tail)}`).catch(() => {});
    };
  }, []);
  return (
    <>
      <div class="row">
        <span role="status">{refused.value ?? status}</span>
        <span>
          {count(seen.value, "publication")}
          {skipped.value > 0 && `, ${count(skipped.value)} left out because there were too many a second`}
          {!isOver && `, ends in ${duration(left)}`}
        </span>
        <button type="button" aria-pressed={paused.value} disabled={isOver} onClick={() => (paused.value = !paused.value)}>
          Pause
        </button>
        <button type="button" onClick={end}>
          {isOver ? "Close" : "Stop"}
        </button>
      </div>
      <Table
        caption="Publications, the newest first"
        rows={rows.value}
        of={({ row }) => String(row)}
        empty={hears.value ? "Nothing was published since you began to watch." : "Nothing is watched yet."}
        columns={[
          { head: "At", cell: ({ at_ms }) => moment(at_ms) },
          { head: "Topic", cell: ({ topic }) => <a href={to(["topics", topic])}>{topic}</a> },
          { head: "By rule", cell: ({ rule }) => (rule ? <code>{rule.on}</code> : "–") },
          { head: "Position", number: true, cell: ({ position }) => (position ? position.offset : "–") },
          { head: "Size", number: true, cell: (row) => bytes(row.bytes) },
          { head: "Subscribers", number: true, cell: ({ subscribers }) => count(subscribers) },
          { head: "Payload", cell: ({ payload }) => (payload === undefined ? "–" : <Json value={JSON.stringify(payload)} label="Payload" />) },
        ]}
      />
    </>
  );
}
