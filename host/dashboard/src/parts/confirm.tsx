// The question before something is destroyed: what will happen, a reason that is logged, and the server's answer.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { Failure } from "./load";

interface Question {
  /** What the button does: `Disconnect`. */
  verb: string;
  title: string;
  children: ComponentChildren;
  /** Whether a reason is asked for. */
  reasoned?: boolean;
  act: (reason: string) => Promise<unknown>;
  close: () => void;
}

export function Confirm({ verb, title, children, reasoned = true, act, close }: Question) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const error = useSignal<unknown>(undefined);
  const busy = useSignal(false);
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget as HTMLFormElement).get("reason") ?? "").trim();
    busy.value = true;
    error.value = undefined;
    try {
      await act(reason);
      close();
    } catch (failed) {
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby={`${id}-title`} onClose={close}>
      <form onSubmit={submit}>
        <h2 id={`${id}-title`}>{title}</h2>
        <div>{children}</div>
        {reasoned && (
          <div class="field">
            <label for={`${id}-reason`}>Reason, for the server's log</label>
            <input id={`${id}-reason`} name="reason" required maxLength={200} autocomplete="off" pattern=".*\S.*" title="a few words" />
          </div>
        )}
        <Failure error={error.value} />
        <div class="row end">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={busy.value}>
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
