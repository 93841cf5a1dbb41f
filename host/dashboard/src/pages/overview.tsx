// The overview: how the server is now, and the last 15 minutes as plots that move.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { follow } from "../live";
import { Heading, Mark } from "../parts/fields";
import { Plot, type Line } from "../parts/plot";
import { Table } from "../parts/table";
import { bytes, count, duration, moment, ms, rate } from "../units";

type Gate = "connect" | "subscribe" | "inbound" | "broadcast";

/** How much of a budget a team uses: `cpu` in percent of all processors, `publications` a second. */
interface Budget {
  team: string;
  budget: "cpu" | "instances" | "publications" | "subscriptions" | "dead_letters";
  used: number;
  of: number;
  refused: number;
}

/** One second of the server. */
export interface Sample {
  at_ms: number;
  connections: number;
  opened_per_s: number;
  refused: Record<string, number>;
  publications_per_s: number;
  deliveries_per_s: number;
  lag_ms: { p50: number | null; p99: number | null; slowest: number | null };
  gates: Partial<Record<Gate, { per_s: number; p50_ms: number | null; p99_ms: number | null }>>;
  memory_bytes: number;
  outbound_bytes: number;
  topics: number;
  teams: Budget[];
  nodes: { node: string; up: boolean }[];
  away: { what: string; since_ms?: number }[];
}

const SAMPLES_MAX = 900;
const GATES: [Gate, string][] = [
  ["connect", "1 connect"],
  ["subscribe", "2 subscribe"],
  ["inbound", "3 inbound"],
  ["broadcast", "4 broadcast"],
];

/** Earlier samples and newer ones as one ascending list without repetition. */
function joined(earlier: Sample[], newer: Sample[]): Sample[] {
  const last = earlier.at(-1)?.at_ms ?? -1;
  const rest = newer.filter(({ at_ms }) => at_ms > last);
  if (rest.length === newer.length) return [...earlier, ...newer].slice(-SAMPLES_MAX);
  const byTime = new Map([...earlier, ...newer].map((sample) => [sample.at_ms, sample]));
  return [...byTime.values()].sort((a, b) => a.at_ms - b.at_ms).slice(-SAMPLES_MAX);
}

export function Overview() {
  const samples = useSignal<Sample[]>([]);
  const refused = useSignal<string | undefined>(undefined);
  useEffect(
    () =>
      follow<Sample>("overview", {
        past: SAMPLES_MAX,
        took: (newer) => {
          if (newer.length) samples.value = joined(samples.value, newer);
        },
        refused: (message) => (refused.value = message),
      }),
    [],
  );
  const now = samples.value.at(-1);
  return (
    <>
      <Heading aside={now && <span class="quiet">Watched since {moment(samples.value[0]!.at_ms)}</span>}>Overview</Heading>
      {refused.value && <p class="notice bad" role="alert">The server refuses its live data: {refused.value}</p>}
      {now ? <Now now={now} samples={samples.value} /> : !refused.value && <p class="quiet">Waiting for the first sample, which comes within a second…</p>}
    </>
  );
}

function Now({ now, samples }: { now: Sample; samples: Sample[] }) {
  return (
    <>
      {now.away.map(({ what, since_ms }) => (
        <p key={what} class="notice bad">
          {/* The time changes each second; a screen reader says only what is away. */}
          <span role="status">Away: {what}</span>
          {since_ms !== undefined && `, for ${duration((now.at_ms - since_ms) / 1_000)}`}
        </p>
      ))}
      <ul class="tiles" aria-label="Now">
        <Tile name="Connections" value={count(now.connections)} more={`${rate(now.opened_per_s)} opened`} />
        <Tile name="Topics" value={count(now.topics)} more="with a subscriber" />
        <Tile name="Publications" value={rate(now.publications_per_s)} more="taken in" />
        <Tile name="Deliveries" value={rate(now.deliveries_per_s)} more="to clients" />
        <Tile name="Memory" value={bytes(now.memory_bytes)} more="of the process" />
        <Tile name="Waiting" value={bytes(now.outbound_bytes)} more="for slow clients" />
      </ul>
      <Plots samples={samples} />
      <div class="columns">
        <section aria-labelledby="refused">
          <h2 id="refused">Refusals of the last 15 minutes</h2>
          <Refusals samples={samples} />
        </section>
        <section aria-labelledby="nodes">
          <h2 id="nodes">Nodes</h2>
          <Table
            caption="Nodes"
            rows={now.nodes}
            of={({ node }) => node}
            empty="This server runs alone: no broker is configured."
            columns={[
              { head: "Node", cell: ({ node }) => node },
              { head: "Link", cell: ({ up }) => (up ? <Mark is="good">up</Mark> : <Mark is="bad">away</Mark>) },
            ]}
          />
        </section>
      </div>
      {now.teams.length > 0 && <Teams budgets={now.teams} />}
    </>
  );
}

function Teams({ budgets }: { budgets: Budget[] }) {
  const amount = (n: number, { budget }: Budget) => (budget === "cpu" ? `${n.toFixed(1)} %` : budget === "publications" ? rate(n) : count(n));
  return (
    <section aria-labelledby="teams">
      <h2 id="teams">Budgets of teams</h2>
      <Table
        caption="Budgets of teams"
        rows={budgets}
        of={({ team, budget }) => `${team} ${budget}`}
        empty="No team has a budget."
        columns={[
          { head: "Team", cell: ({ team }) => team },
          { head: "Budget", cell: ({ budget }) => budget.replace("_", " ") },
          { head: "Used", number: true, cell: (row) => (row.used >= row.of ? <Mark is="warn">{amount(row.used, row)}</Mark> : amount(row.used, row)) },
          { head: "Of", number: true, cell: (row) => amount(row.of, row) },
          { head: "Refused", number: true, cell: ({ refused }) => count(refused) },
        ]}
      />
    </section>
  );
}

function Tile({ name, value, more }: { name: string; value: string; more: string }) {
  return (
    <li>
      <span>{name}</span> <b>{value}</b> <small>{more}</small>
    </li>
  );
}

const refusals = ({ refused }: Sample) => Object.values(refused).reduce((sum, perS) => sum + perS, 0);

function Plots({ samples }: { samples: Sample[] }) {
  const times = samples.map(({ at_ms }) => at_ms / 1_000);
  const line = (name: string, value: (sample: Sample) => number | null | undefined): Line => ({ name, values: samples.map((sample) => value(sample) ?? null) });
  return (
    <div class="plots">
      <Plot title="Connections" times={times} unit={(n) => count(n)} steps="whole" lines={[line("open", (sample) => sample.connections)]} />
      <Plot
        title="Messages a second"
        times={times}
        unit={rate}
        lines={[line("deliveries", (sample) => sample.deliveries_per_s), line("publications", (sample) => sample.publications_per_s)]}
      />
      <Plot
        title="How far clients are behind"
        times={times}
        unit={ms}
        lines={[line("slowest", ({ lag_ms }) => lag_ms.slowest), line("p99", ({ lag_ms }) => lag_ms.p99), line("p50", ({ lag_ms }) => lag_ms.p50)]}
      />
      <Plot title="Time at the gates, p99" times={times} unit={ms} lines={GATES.map(([gate, name]) => line(name, ({ gates }) => gates[gate]?.p99_ms))} />
      <Plot
        title="Connects and refusals a second"
        times={times}
        unit={rate}
        lines={[line("opened", (sample) => sample.opened_per_s), line("refused", refusals)]}
      />
      <Plot title="Memory" times={times} unit={bytes} steps="binary" lines={[line("process", (sample) => sample.memory_bytes), line("waiting for clients", (sample) => sample.outbound_bytes)]} />
    </div>
  );
}

function Refusals({ samples }: { samples: Sample[] }) {
  const now = samples.at(-1)!.refused;
  const sums = new Map<string, number>();
  samples.forEach(({ at_ms, refused }, at) => {
    // While nobody looks, the server takes a sample less often; its rates are of the time between two of them.
    const [from, until] = at > 0 ? [samples[at - 1]!.at_ms, at_ms] : [at_ms, samples[1]?.at_ms ?? at_ms];
    const seconds = (until - from) / 1_000;
    for (const [code, perS] of Object.entries(refused)) sums.set(code, (sums.get(code) ?? 0) + perS * seconds);
  });
  const rows = [...sums].filter(([, sum]) => Math.round(sum) > 0).sort(([, a], [, b]) => b - a);
  return (
    <Table
      caption="Refusals by code"
      rows={rows}
      of={([code]) => code}
      empty="Nobody was refused."
      columns={[
        { head: "Code", cell: ([code]) => <code>{code}</code> },
        { head: "Now", number: true, cell: ([code]) => rate(now[code] ?? 0) },
        { head: "In all", number: true, cell: ([, sum]) => count(Math.round(sum)) },
      ]}
    />
  );
}
