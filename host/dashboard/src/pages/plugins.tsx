// The plugins: each version with its state and why, what it does now, and its last faults.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { call, segment } from "../api";
import { useNewest } from "../live";
import { Confirm } from "../parts/confirm";
import { Facts, Heading, Json, Mark, When, Worded } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { Recording } from "../parts/recording";
import { type Shadow, ShadowView } from "../parts/shadow";
import { to } from "../route";
import { bytes, count, digest, ms, rate } from "../units";

type State = "active" | "standby" | "draining" | "rejected" | "quarantined";

interface Fault {
  at_ms: number;
  kind: string;
  message: string;
  channel?: string | null;
  place?: string | null;
  log: string[];
  /** Only for a key that may `read`, too. */
  input?: string | null;
}

type Breaker = "closed" | "open";

export interface PluginVersion {
  name: string;
  state: State;
  version: string | null;
  digest: string | null;
  since_unix_s: number;
  reasons: string[];
  service: {
    kinds: string[];
    instances: number;
    calls: number;
    faults: number;
    /** By the class of its calls. */
    breaker?: { authorizer: Breaker; worker: Breaker };
    /** Of the instances that rest. */
    memory_bytes?: number;
  } | null;
  last_faults?: Fault[];
  /** The candidate that is asked beside it. */
  shadow?: Shadow;
  recording?: { by: string; calls: number; ended?: string };
  /** Live, of the active version. */
  calls_per_s?: number;
  faults_per_s?: number;
  p50_ms?: number | null;
  p99_ms?: number | null;
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
  // The live numbers do not say why: what has changed is asked for.
  const changes = live.value?.plugins.map((version) => `${key(version)} ${version.service?.faults}`).join();
  useEffect(() => {
    if (changes !== undefined) loaded.again();
  }, [changes]);
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
      {versions.some(({ state }) => state === "active") && <Recording plugin={name} known={versions.some(({ recording }) => recording !== undefined)} />}
    </section>
  );
}

const CLASSES = { authorizer: "as an authorizer", worker: "all other calls" };

/** What of the plugin is paused, because it failed too often. */
function paused(breaker: Record<keyof typeof CLASSES, Breaker> | undefined): string | undefined {
  if (!breaker) return undefined;
  const open = (Object.keys(CLASSES) as (keyof typeof CLASSES)[]).filter((of) => breaker[of] === "open");
  return open.length ? `open, paused: ${open.map((of) => CLASSES[of]).join(", ")}` : "closed";
}

function Version({ version, ask }: { version: PluginVersion; ask: () => void }) {
  const { state, service } = version;
  const { is, words } = STATES[state];
  const faults = service?.faults ?? 0;
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
          ["Calls", service && `${count(service.calls)}${version.calls_per_s === undefined ? "" : `, ${rate(version.calls_per_s)}`}`],
          ["Faults", service && (faults ? <Mark is="bad">{`${count(faults)}${version.faults_per_s === undefined ? "" : `, ${rate(version.faults_per_s)}`}`}</Mark> : "0")],
          ["Time of a call", version.p50_ms === undefined || version.p50_ms === null ? "" : `p50 ${ms(version.p50_ms)}, p99 ${ms(version.p99_ms)}`],
          ["Instances", service && count(service.instances)],
          ["Memory of resting instances", service?.memory_bytes !== undefined && bytes(service.memory_bytes)],
          ["Breaker", paused(service?.breaker)],
        ]}
      />
      {version.shadow && <ShadowView shadow={version.shadow} />}
      {version.last_faults?.map((fault, at) => <FaultView key={`${fault.at_ms} ${at}`} fault={fault} />)}
    </article>
  );
}

function FaultView({ fault: { at_ms, kind, message, channel, place, log, input } }: { fault: Fault }) {
  return (
    <details>
      <summary>
        <When atMs={at_ms} /> {kind}: {message}
      </summary>
      <Facts
        of={[
          ["Channel", channel && <a href={to(["channels", channel])}>{channel}</a>],
          ["Place", place && <code>{place}</code>],
        ]}
      />
      {log.length > 0 && (
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
