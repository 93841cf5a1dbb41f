// The recording of a plugin's calls: begun, followed, saved as a file, and ended.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { call, Refused, segment } from "../api";
import { count } from "../units";
import { Confirm } from "./confirm";
import { Failure } from "./load";

export interface RecordingPage {
  calls: unknown[];
  next: number;
  ended?: { reason: string; calls: number; skipped: number; bytes: number };
}

/** Beyond every call: the page says how many there are, and shows none. */
const NONE = 1_000_000_000;
const LOOK_INTERVAL_MS = 1_000;
const ENDS: Record<string, string> = {
  calls: "it has all the calls that were asked for",
  bytes: "it is as large as it may be",
  time: "its time is over",
  replaced: "another version serves",
  stopped: "an operator ended it",
};

/** `known`: the list of plugins has a recording of it. */
export function Recording({ plugin, known }: { plugin: string; known: boolean }) {
  const path = `/v1/recordings/${segment(plugin)}`;
  const page = useSignal<RecordingPage | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const asks = useSignal(false);
  const look = async () => {
    try {
      page.value = await call<RecordingPage>("GET", `${path}?after=${NONE}`);
    } catch (failed) {
      page.value = undefined;
      if (!(failed instanceof Refused && failed.status === 404)) error.value = failed;
    }
  };
  useEffect(() => {
    if (known) void look();
  }, [path, known]);
  const runs = page.value !== undefined && !page.value.ended;
  useEffect(() => {
    if (!runs) return undefined;
    const timer = setInterval(() => void look(), LOOK_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [runs, path]);
  const begin = async () => {
    const form = document.getElementById(`record-${plugin}`) as HTMLElement;
    const value = (name: string) => form.querySelector<HTMLInputElement>(`[name=${name}]`)!.value;
    const redact = value("redact").split(/[\s,]+/).filter(Boolean);
    await call("POST", path, { calls: Number(value("calls")), redact });
    await look();
  };
  const forget = async () => {
    error.value = undefined;
    await call("DELETE", path).then(
      () => (page.value = undefined),
      (failed: unknown) => (error.value = failed),
    );
  };
  return (
    <div class="row" role="group" aria-label={`Recording of ${plugin}`}>
      {page.value ? (
        <>
          <span role="status">
            {page.value.ended ? `Recorded ${count(page.value.ended.calls)} calls: ${ENDS[page.value.ended.reason] ?? page.value.ended.reason}.` : `Records: ${count(page.value.next)} calls so far.`}
          </span>
          <a href={`${path}/calls`} download={`${plugin}.ndjson`}>
            Save the file
          </a>
          <button type="button" onClick={forget}>
            {runs ? "End and forget" : "Forget"}
          </button>
        </>
      ) : (
        <button type="button" onClick={() => (asks.value = true)}>
          Record calls
        </button>
      )}
      <Failure error={error.value} />
      {asks.value && (
        <Confirm verb="Record" title={`Record the next calls of ${plugin}?`} reasoned={false} close={() => (asks.value = false)} act={begin}>
          <p>A recording shows payloads. Secrets of the plugin and credentials are never in it.</p>
          <div id={`record-${plugin}`}>
            <div class="field">
              <label for={`record-${plugin}-calls`}>Calls</label>
              <input id={`record-${plugin}-calls`} name="calls" type="number" min={1} defaultValue="1000" required />
            </div>
            <div class="field">
              <label for={`record-${plugin}-redact`}>JSON Pointers to what is not shown, such as /payload/email</label>
              <input id={`record-${plugin}-redact`} name="redact" autocomplete="off" />
            </div>
          </div>
        </Confirm>
      )}
    </div>
  );
}
