// The shadow of a version: the candidate that is asked beside it, and how its answers differ.

import { count, digest } from "../units";
import { Facts, Json, Mark, When } from "./fields";

export interface Shadow {
  component: string;
  digest: string | null;
  share: string;
  since_unix_s: number;
  error?: string;
  calls: number;
  same: number;
  dropped: number;
  differences: Record<string, number>;
  last_differences: {
    at_ms: number;
    of: string;
    kind: string;
    /** Only for a key that may `read`, too. */
    shown?: string[];
  }[];
}

export function ShadowView({ shadow }: { shadow: Shadow }) {
  const kinds = Object.entries(shadow.differences);
  return (
    <>
      <h3>Shadow</h3>
      {shadow.error && (
        <p class="notice">
          <Mark is="warn">does not work</Mark> {shadow.error}
        </p>
      )}
      <Facts
        of={[
          ["Candidate", <code>{shadow.component}</code>],
          ["Digest of the candidate", shadow.digest && <code title={shadow.digest}>{digest(shadow.digest)}</code>],
          ["Share of the calls", shadow.share],
          ["Since", <When atMs={shadow.since_unix_s * 1_000} />],
          ["Calls", `${count(shadow.calls)}, ${count(shadow.same)} answered alike`],
          ["Dropped while it was busy", count(shadow.dropped)],
          ["Differences", kinds.length ? <Mark is="warn">{kinds.map(([kind, calls]) => `${kind}: ${count(calls)}`).join(", ")}</Mark> : "none"],
        ]}
      />
      {shadow.last_differences.map(({ at_ms, of, kind, shown }, at) => (
        <details key={`${at_ms} ${at}`}>
          <summary>
            <When atMs={at_ms} /> {of}: {kind}
          </summary>
          <Json value={shown ? shown.join("\n") : "Only a key that may read sees how it differs."} label="How it differs" />
        </details>
      ))}
    </>
  );
}
