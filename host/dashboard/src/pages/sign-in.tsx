// Signing in: an API key that may `operate` is exchanged for a cookie that no script can read.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Refused } from "../api";
import { Failure } from "../parts/load";
import { signIn } from "../session";

export function SignIn({ because }: { because?: string }) {
  const error = useSignal<unknown>(undefined);
  const busy = useSignal(false);
  const key = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Sign in · Tidegate";
    key.current?.focus();
  }, []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    busy.value = true;
    error.value = undefined;
    try {
      await signIn({ key: key.current!.value.trim() });
    } catch (failed) {
      error.value = failed instanceof Refused && failed.status === 401 ? new Refused(401, failed.code, "this is no API key that may `operate`") : failed;
      key.current?.select();
    } finally {
      busy.value = false;
    }
  };
  return (
    <main class="gate">
      <img src="/dashboard/icon.svg" alt="" width="48" height="48" />
      <h1>Tidegate</h1>
      {because && (
        <p class="notice" role="status">
          {because}
        </p>
      )}
      <form onSubmit={submit}>
        <div class="field">
          <label for="key">API key</label>
          <input id="key" ref={key} type="password" required autocomplete="current-password" spellcheck={false} aria-describedby="key-hint" />
        </div>
        <Failure error={error.value} />
        <button type="submit" class="main" disabled={busy.value}>
          Sign in
        </button>
        <p id="key-hint" class="quiet">
          A key under <code>api_keys</code> in the server's configuration that may <code>operate</code>. The session lasts one hour.
          With <code>tidegate dev</code>, open the link that it prints instead.
        </p>
      </form>
    </main>
  );
}
