// The page: who is signed in, the state of the connection, the list, and what happens.

import { SourceList } from "./list.mjs";
import { followVault } from "./realtime.mjs";

const POLL_MS = 3_000;
const EVENTS_MAX = 50;

const query = new URLSearchParams(location.search);
const vaultId = query.get("vaultId") ?? "tides";
const list = new SourceList();
const at = (id) => document.getElementById(id);
let connection;
let polling;

// The application's answer, or its code: `unreachable` when it is away.
async function api(method, path, body) {
  const sent = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(`/api/${path}`, { method, ...sent }).catch(() => undefined);
  if (!response) throw new Error("unreachable");
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.code);
  return answer;
}

function say(text, kind = "") {
  at("said").textContent = text;
  at("said").className = kind;
}

function showState(state, code = "") {
  at("state").textContent = code ? `${state}: ${code}` : state;
  at("state").className = state;
  // Without a connection the page reads the list now and then, as it would without realtime.
  if (state === "connecting" || state === "waiting") polling ??= setInterval(load, POLL_MS);
  else polling = clearInterval(polling);
  if (state === "refused" || state === "ended") connection?.close();
}

function showList() {
  at("sources").replaceChildren(...list.sources.map(({ id, title, url, version }) => {
    const row = at("row").content.cloneNode(true).firstElementChild;
    row.dataset.id = id;
    row.querySelector("b").textContent = title;
    row.querySelector("i").textContent = `${url} · version ${version}`;
    row.querySelector("[name=edit]").onclick = () => edit({ id, title, url });
    row.querySelector("[name=delete]").onclick = () => write("DELETE", `/${id}`);
    return row;
  }));
}

function showEvent({ kind, source, actor, at: time }) {
  const row = document.createElement("li");
  const title = source.title ?? list.titleOf(source.id) ?? "a source";
  row.textContent = `${new Date(time).toLocaleTimeString()} ${actor.name} (${actor.role}) ${kind} ${title}`;
  at("events").prepend(row);
  while (at("events").children.length > EVENTS_MAX) at("events").lastChild.remove();
}

// Reads the list by the API; resolves to whether it could.
async function load() {
  try {
    await list.load(async () => {
      const vault = await api("GET", `vaults/${vaultId}`);
      at("vault").textContent = vault.title;
      at("role").textContent = vault.role;
      return vault.sources;
    });
    at("list-state").textContent = "";
  } catch (error) {
    at("list-state").textContent = `not read: ${error.message}`;
  }
  showList();
}

async function write(method, path, body) {
  try {
    await api(method, `vaults/${vaultId}/sources${path}`, body);
    say("saved");
    if (polling) await load();
    return true;
  } catch (error) {
    say(`not saved: ${error.message}`, "error");
    return false;
  }
}

// Tells the others first that this source is being edited: what a viewer is refused.
async function edit({ id, title, url }) {
  const form = at("form");
  Object.assign(form.elements.title, { value: title }).focus();
  form.elements.url.value = url;
  form.dataset.id = id;
  const ack = await connection.send({ editing: id });
  if (ack.ok) say("the others see that you edit this source");
  else say(`not told to the others: ${ack.error.code}`, "error");
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const body = { title: form.elements.title.value, url: form.elements.url.value };
  const isSaved = form.dataset.id ? await write("PUT", `/${form.dataset.id}`, body) : await write("POST", "", body);
  if (!isSaved) return;
  delete form.dataset.id;
  form.reset();
});

at("sign-out").addEventListener("click", () =>
  api("POST", "sign-out", {}).catch((error) => say(`not signed out: ${error.message}`, "error")));

at("people").addEventListener("click", async ({ target }) => {
  if (!target.name) return;
  await api("POST", "sign-in", { email: `${target.name}@example.com` });
  await begin();
});

async function begin() {
  connection?.close();
  showState("connecting");
  const session = await api("GET", "session").catch((error) => ({ error }));
  at("user").textContent = session.user?.name ?? "nobody";
  const { port } = await api("GET", "realtime");
  connection = followVault(`http://${location.hostname}:${port}`, vaultId, {
    onState: showState,
    onMissed: load,
    onExpiring: () => api("GET", "session"),
    onPublication(change) {
      showEvent(change);
      list.take(change);
      showList();
    },
  });
}

// `as=ada` signs in, where nobody is signed in yet.
const as = query.get("as");
const isNobody = await api("GET", "session").then(() => false, (error) => error.message === "unauthenticated");
if (as && isNobody) {
  await api("POST", "sign-in", { email: `${as}@example.com` }).catch((error) => say(`not signed in: ${error.message}`, "error"));
}
await begin();
