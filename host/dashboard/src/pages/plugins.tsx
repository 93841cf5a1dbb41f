// The plugins: each version with its state and why, what it does now, and its last faults.

import { useSignal } from "@preact/signals";

import { call, segment } from "../api";
import { useNewest } from "../live";
import { Confirm } from "../parts/confirm";
import { Facts, Heading, Json, Mark, When, Worded } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { bytes, count, digest, ms, rate } from "../units";

type State = "active" | "standby" | "draining" | "rejected" | "quarantined";

interface Fault {
  at_ms: number;
  kind: string;
  message: string;
  place?: string | null;
  log?: string[];
  input?: string | null;
}

export interface PluginVersion {
  name: string;
  state: State;
  version: string | null;
  digest: string | null;
  since_unix_s: number;
  reasons: string[];
  service: { kinds: string[]; cached: boolean; vectors: number; instances: number; paused: string[]; calls: number; faults: number } | null;
  calls?: number;
  faults?: number;
  breaker?: unknown;
  memory?: number | null;
  memory_bytes?: number | null;
  last_faults?: Fault[];
  calls_per_s?: number;
  faults_per_s?: number;
  p50_ms?: number | null;
  p99_ms?: number | null;
  instances?: number;
}

const STATES: Record<State, { is: "good" | "bad" | "warn" | "plain"; words: string }> = {
  active: { is: "good", words: "serves" },
  standby: { is: "plain", words: "is kept in case the active version fails" },
  draining: { is: "plain", words: "finishes the calls that it began" },
  rejected: { is: "bad", words: "was wanted by the last reload, which could not load it" },
  quarantined: { is: "bad", words: "failed after it was put in place, and was rolled back" },
};

const key = ({ name, state, digest }: PluginVersion) => `${name} ${state} ${digest}`;

/** The loaded versions with the newest live numbers. */
function merged(loaded: PluginVersion[], live: PluginVersion[] | undefined): PluginVersion[] {
  if (!live) return loaded;
  const known = new Map(loaded.map((version) => [key(version), version]));
  return live.map((version) => ({ ...known.get(key(version)), ...version }));
}

export function Plugins() {
  const loaded = useLoaded(() => call<{ plugins: PluginVersion[] }>("GET", "/v1/plugins"), []);
  const live = useNewest<{ plugins: PluginVersion[] }>("plugins");
  const clearing = useSignal<PluginVersion | undefined>(undefined);
  const done = useSignal<string | undefined>(undefined);
  const clear = async ({ name, digest }: PluginVersion) => {
    await call("DELETE", `/v1/plugins/quarantine/${segment(digest ?? name)}`);
    done.value = `This version of ${name} is admitted again. The server reads its files now.`;
    loaded.again();
  };
  return (
    <>
      <Heading>Plugins</Heading>
      <div role="status">{done.value && <p class="notice good">{done.value}</p>}</div>
      <Shown from={loaded}>
        {({ plugins }) => {
          const versions = merged(plugins, live.value?.plugins);
          const names = [...new Set(versions.map(({ name }) => name))];
          if (!names.length) return <div class="empty">No plugin is installed. `tidegate new plugin NAME` begins one.</div>;
          return names.map((name) => <Plugin key={name} name={name} versions={versions.filter((version) => version.name === name)} ask={(version) => (clearing.value = version)} />);
        }}
      </Shown>
      {clearing.value && (
        <Confirm verb="Admit again" title={`Admit this version of ${clearing.value.name} again?`} reasoned={false} close={() => (clearing.value = undefined)} act={() => clear(clearing.value!)}>
          <p>
            It was taken back because it failed: {clearing.value.reasons.join("; ") || "no reason is known"}. If its file is still in place, it serves at once.
          </p>
        </Confirm>
      )}
    </>
  );
}

function Plugin({ name, versions, ask }: { name: string; versions: PluginVersion[]; ask: (version: PluginVersion) => void }) {
  return (
    <section aria-labelledby={`plugin-${name}`}>
      <h2 id={`plugin-${name}`}>{name}</h2>
      {versions.map((version) => (
        <Version key={key(version)} version={version} ask={() => ask(version)} />
      ))}
    </section>
  );
}

function breaker(of: unknown, paused: string[]): string {
  if (typeof of === "string") return of;
  if (paused.length) return `paused: ${paused.join(", ")}`;
  return of ? JSON.stringify(of) : "";
}

function Version({ version, ask }: { version: PluginVersion; ask: () => void }) {
  const { state, service } = version;
  const { is, words } = STATES[state];
  const faults = version.faults ?? service?.faults ?? 0;
  return (
    <article class="version">
      <div class="row">
        <span>
          <Mark is={is}>{state}</Mark> {words}
        </span>
        {state === "quarantined" && (
          <button type="button" onClick={ask}>
            Clear the quarantine
          </button>
        )}
      </div>
      {version.reasons.length > 0 && (
        <ul class="words">
          {version.reasons.map((reason) => (
            <li key={reason}>
              <Worded text={reason} />
            </li>
          ))}
        </ul>
      )}
      <Facts
        of={[
          ["Digest of the component", version.digest && <code title={version.digest}>{digest(version.digest)}</code>],
          ["Version", version.version && <code title={version.version}>{digest(version.version)}</code>],
          ["Since", <When atMs={version.since_unix_s * 1_000} />],
          ["Kind", service?.kinds.join(", ")],
          ["Calls", service && `${count(version.calls ?? service.calls)}${version.calls_per_s === undefined ? "" : `, ${rate(version.calls_per_s)}`}`],
          ["Faults", service && (faults ? <Mark is="bad">{`${count(faults)}${version.faults_per_s === undefined ? "" : `, ${rate(version.faults_per_s)}`}`}</Mark> : "0")],
          ["Time of a call", version.p50_ms === undefined || version.p50_ms === null ? "" : `p50 ${ms(version.p50_ms)}, p99 ${ms(version.p99_ms)}`],
          ["Instances", service && count(version.instances ?? service.instances)],
          ["Memory", typeof (version.memory_bytes ?? version.memory) === "number" ? bytes((version.memory_bytes ?? version.memory)!) : ""],
          ["Breaker", service && breaker(version.breaker, service.paused)],
        ]}
      />
      {version.last_faults?.map((fault) => <FaultView key={fault.at_ms} fault={fault} />)}
    </article>
  );
}

function FaultView({ fault: { at_ms, kind, message, place, log, input } }: { fault: Fault }) {
  return (
    <details>
      <summary>
        <When atMs={at_ms} /> {kind}: {message}
      </summary>
      <Facts of={[["Place", place && <code>{place}</code>]]} />
      {log && log.length > 0 && (
        <>
          <h3>What it logged</h3>
          <Json value={log.join("\n")} label="What it logged" />
        </>
      )}
      {input && (
        <>
          <h3>What it was given</h3>
          <Json value={input} label="What it was given" />
        </>
      )}
    </details>
  );
}
