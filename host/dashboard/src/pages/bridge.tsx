// The bridge: its rules with their counts, its sources, and the events that could not cross.

import { call } from "../api";
import { useNewest } from "../live";
import { Heading, Mark } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { Table } from "../parts/table";
import { count, ms, rate } from "../units";
import { DeadLetters } from "./dead-letters";

interface Rule {
  on: string;
  to: string;
  does?: "publish" | "remove" | "revoke" | "end_sessions";
  crossed: number;
  removed: number;
  revoked: number;
  skipped: number;
  dead: number;
  per_s?: number;
}

interface Source {
  source: string;
  up: boolean;
  lag_ms?: number | null;
  events: number;
}

export interface BridgeState {
  rules: Rule[];
  sources: Source[];
  dead_letters: number;
}

export function Bridge() {
  const loaded = useLoaded(() => call<BridgeState>("GET", "/v1/bridge"), []);
  const live = useNewest<BridgeState>("bridge");
  return (
    <>
      <Heading>Bridge</Heading>
      <Shown from={loaded}>{(state) => <State state={live.value ?? state} />}</Shown>
      <section aria-labelledby="letters">
        <h2 id="letters">Dead letters</h2>
        <p class="quiet">Events that a rule matched and that could not cross. No client has seen them; they wait here for you.</p>
        <DeadLetters state={live.value && lettersOf(live.value)} />
      </section>
    </>
  );
}

/** Changes with every new letter, and with every one that is gone: as many may have come as went within a second. */
function lettersOf({ rules, dead_letters }: BridgeState): string {
  return `${rules.reduce((sum, { dead }) => sum + dead, 0)} ${dead_letters}`;
}

function State({ state: { rules, sources } }: { state: BridgeState }) {
  return (
    <>
      <section aria-labelledby="rules">
        <h2 id="rules">Rules</h2>
        <Table
          caption="Rules"
          rows={rules}
          of={({ on, to }) => `${on} ${to}`}
          empty="The bridge table has no rule: no event reaches a client."
          columns={[
            { head: "On event", cell: ({ on }) => <code>{on}</code> },
            { head: "To topic", cell: ({ to }) => <code>{to}</code> },
            { head: "Now", number: true, cell: ({ per_s }) => rate(per_s) },
            { head: "Crossed", number: true, cell: ({ crossed }) => count(crossed) },
            { head: "Skipped", number: true, cell: ({ skipped }) => count(skipped) },
            { head: "Removed", number: true, cell: ({ removed }) => count(removed) },
            { head: "Revoked", number: true, cell: ({ revoked }) => count(revoked) },
            { head: "Dead", number: true, cell: ({ dead }) => (dead ? <Mark is="bad">{count(dead)}</Mark> : "0") },
          ]}
        />
      </section>
      <section aria-labelledby="sources">
        <h2 id="sources">Sources</h2>
        <Table
          caption="Sources"
          rows={sources}
          of={({ source }) => source}
          empty="Events come from handlers and from POST /v1/events only: no bus is configured."
          columns={[
            { head: "Source", cell: ({ source }) => source },
            { head: "Link", cell: ({ up }) => (up ? <Mark is="good">up</Mark> : <Mark is="bad">away</Mark>) },
            { head: "Behind by", number: true, cell: ({ lag_ms }) => ms(lag_ms) },
            { head: "Events", number: true, cell: ({ events }) => count(events) },
          ]}
        />
      </section>
    </>
  );
}
