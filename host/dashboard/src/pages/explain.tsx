// Explain: what each gate answers to a question, and why; asked of the gates themselves.

import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";

import { call } from "../api";
import { Heading, Mark, Worded } from "../parts/fields";
import { Failure } from "../parts/load";
import { Table } from "../parts/table";
import { keep, route } from "../route";
import { digest, ms } from "../units";

interface Step {
  gate: string;
  check: string;
  detail: string;
  rule?: string | null;
  plugin?: string | null;
  version?: string | null;
  refused?: string | boolean | null;
  took_us: number;
}

export interface Explanation {
  allowed: boolean;
  code?: string | null;
  steps: Step[];
}

type Who = "user" | "anonymous" | "token";

export function Explain() {
  const { query } = route.peek();
  const who = useSignal<Who>(query.has("anonymous") ? "anonymous" : "user");
  const action = useSignal<"subscribe" | "send">("subscribe");
  const answer = useSignal<Explanation | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const ask = async (form: HTMLFormElement) => {
    error.value = undefined;
    try {
      answer.value = await call<Explanation>("POST", "/v1/explain", question(who.value, action.value, new FormData(form)));
    } catch (failed) {
      answer.value = undefined;
      error.value = failed instanceof SyntaxError ? new Error(`the payload is no JSON: ${failed.message}`) : failed;
    }
  };
  // What stands in the address can be sent to a colleague; a token cannot.
  const share = (form: FormData) => keep(["explain"], { user: text(form, "user"), anonymous: who.value === "anonymous" ? "true" : undefined, topic: text(form, "topic") });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    share(new FormData(form));
    void ask(form);
  };
  return (
    <>
      <Heading>Explain</Heading>
      <p class="quiet">May this user subscribe to a topic, or send to it? The gates answer as they answer a client, step by step.</p>
      <section aria-label="The question">
        <form onSubmit={submit}>
          <Asker who={who.value} choose={(chosen) => (who.value = chosen)} user={query.get("user") ?? ""} />
          <div class="row">
            <Input label="Topic" name="topic" value={query.get("topic") ?? ""} hint="a concrete name, such as vault.v1" required />
            <div class="field">
              <label for="action">Wants to</label>
              <select id="action" value={action.value} onChange={(event) => (action.value = event.currentTarget.value as "subscribe" | "send")}>
                <option value="subscribe">subscribe</option>
                <option value="send">send</option>
              </select>
            </div>
          </div>
          {action.value === "send" && (
            <div class="field">
              <label for="payload">Payload, as JSON (may stay empty)</label>
              <textarea id="payload" name="payload" spellcheck={false} />
            </div>
          )}
          <button type="submit" class="main">
            Explain
          </button>
        </form>
      </section>
      <Failure error={error.value} />
      <div role="status">{answer.value && <Answer answer={answer.value} />}</div>
    </>
  );
}

const text = (form: FormData, name: string): string | undefined => String(form.get(name) ?? "").trim() || undefined;

function question(who: Who, action: string, form: FormData): object {
  const payload = action === "send" ? text(form, "payload") : undefined;
  const roles = text(form, "roles")?.split(/[\s,]+/).filter(Boolean);
  const asker = { user: { user: { id: text(form, "user"), roles, tenant: text(form, "tenant") } }, anonymous: { anonymous: true }, token: { token: text(form, "token") } }[who];
  return { ...asker, action, topic: text(form, "topic"), ...(payload === undefined ? {} : { payload: JSON.parse(payload) }) };
}

function Asker({ who, choose, user }: { who: Who; choose: (who: Who) => void; user: string }) {
  const choices: [Who, string][] = [
    ["user", "a user"],
    ["token", "the user of a token"],
    ["anonymous", "nobody: without a credential"],
  ];
  return (
    <>
      <fieldset class="row">
        <legend>Who asks</legend>
        {choices.map(([value, label]) => (
          <label key={value} class="choice">
            <input type="radio" name="who" value={value} checked={who === value} onChange={() => choose(value)} />
            {label}
          </label>
        ))}
      </fieldset>
      {who === "user" && (
        <div class="row">
          <Input label="User id" name="user" value={user} required />
          <Input label="Roles" name="roles" hint="editor, admin" />
          <Input label="Tenant" name="tenant" />
        </div>
      )}
      {who === "token" && <Input label="Token" name="token" secret required />}
    </>
  );
}

function Input({ label, name, value, hint, required, secret }: { label: string; name: string; value?: string; hint?: string; required?: boolean; secret?: boolean }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} name={name} {...(secret ? { type: "password" } : { type: "text" })} defaultValue={value} placeholder={hint} required={required} autocomplete="off" spellcheck={false} />
    </div>
  );
}

function Answer({ answer: { allowed, code, steps } }: { answer: Explanation }) {
  const took = steps.reduce((sum, { took_us }) => sum + took_us, 0);
  return (
    <section aria-labelledby="answer">
      <h2 id="answer">
        {allowed ? <Mark is="good">allowed</Mark> : <Mark is="bad">refused{code ? `: ${code}` : ""}</Mark>} <small class="quiet">in {ms(took / 1_000)}</small>
      </h2>
      <Table
        caption="What each gate answered"
        rows={steps.map((step, at) => ({ ...step, at: at + 1 }))}
        of={({ at }) => String(at)}
        empty="No gate was asked."
        columns={[
          { head: "Gate", cell: ({ gate }) => gate },
          { head: "Check", cell: ({ check }) => check },
          { head: "Answer", cell: ({ refused }) => (refused ? <Mark is="bad">no</Mark> : <Mark is="good">yes</Mark>) },
          { head: "Why", cell: ({ detail }) => <Worded text={detail} /> },
          { head: "Rule", cell: ({ rule }) => (rule ? <code>{rule}</code> : "–") },
          { head: "Plugin", cell: ({ plugin, version }) => (plugin ? `${plugin}${version ? ` ${digest(version)}` : ""}` : "–") },
          { head: "Took", number: true, cell: ({ took_us }) => ms(took_us / 1_000) },
        ]}
      />
    </section>
  );
}
