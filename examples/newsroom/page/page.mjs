// The page, with the stock client. `?as=ada` signs in; without it the page is a visitor's.

import { io } from "/socket.io.mjs";

// Shorter than a view lives without a word (plugins/presence).
const VIEWING_INTERVAL_MS = 20_000;

const $ = (selector) => document.querySelector(selector);
const name = new URLSearchParams(location.search).get("as");
const api = async (path, { body, token } = {}) => {
  const headers = { ...(body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(`/api/${path}`, { headers, ...(body && { method: "POST", body: JSON.stringify(body) }) }).catch(() => undefined);
  const answer = response && (await response.json());
  if (!response?.ok) throw new Error(answer?.code ?? "unreachable");
  return answer;
};
const say = (text) => ($("#said").textContent = text);
// The answer, or that the connection ended first: then the next one says everything again.
const ask = (...event) => socket.emitWithAck(...event).catch(() => ({ ok: false, error: { code: "disconnected" } }));
const item = (...nodes) => {
  const li = document.createElement("li");
  li.append(...nodes);
  return li;
};

const articles = new Map();
const viewersOf = new Map();
let reading;

function show(article, list) {
  if (list.querySelector(`[data-id="${CSS.escape(article.id)}"]`)) return;
  articles.set(article.id, article);
  const button = document.createElement("button");
  button.textContent = article.title;
  button.onclick = () => read(article);
  const li = item(button, " ", Object.assign(document.createElement("small"), { textContent: `${article.section}, by ${article.author}` }));
  li.dataset.id = article.id;
  list.prepend(li);
}

async function load() {
  for (const article of (await api("articles")).reverse()) {
    show(article, $("#feed"));
    if (article.section === "sports") show(article, $("#sports"));
  }
  showViewers();
}

const signedIn = name ? await api("sign-in", { body: { name } }).catch((error) => say(`not signed in: ${error.message}`)) : undefined;
if (signedIn) {
  $("#who").textContent = name;
  $("#publish").hidden = $("#notifications").hidden = false;
  $("#viewers").hidden = !signedIn.roles.includes("editor");
}

const { url } = await api("realtime");
const socket = io(url, { auth: signedIn ? { token: signedIn.token } : {} });
const state = (text) => Object.assign($("#state"), { textContent: text }).setAttribute("data-state", text);
socket.on("disconnect", () => state("connecting"));
socket.on("connect_error", ({ message }) => state(socket.active ? "connecting" : `refused: ${message}`));

// Runs on every connect: subscriptions belong to one connection.
socket.on("connect", async () => {
  const topics = ["blog.article.feed", "blog.section.sports"];
  if (signedIn) topics.push(`notifications.user.${name}`);
  if (!$("#viewers").hidden) topics.push("presence.viewers");
  for (const channel of topics) {
    const ack = await ask("subscribe", { channel });
    if (!ack.ok) return state(ack.error.code === "disconnected" ? "connecting" : `refused: ${channel}: ${ack.error.code}`);
    for (const { payload } of ack.snapshot ?? []) viewersOf.set(payload.articleId, payload.viewers);
  }
  // What was published before, and while the connection was away: the store has it.
  await load().catch((error) => say(`articles cannot be loaded: ${error.message}`));
  if (reading) await view(reading, true);
  if (socket.connected) state("live");
});

socket.on("blog.article.feed", (article) => show(article, $("#feed")));
socket.on("blog.section.sports", (article) => show(article, $("#sports")));
socket.on(`notifications.user.${name}`, ({ text }) => $("#notifications ul").prepend(item(text)));
socket.on("presence.viewers", ({ articleId, viewers }) => {
  viewersOf.set(articleId, viewers);
  showViewers();
});

function showViewers() {
  const read = [...viewersOf].filter(([, viewers]) => viewers.length > 0);
  const lines = read.map(([id, viewers]) => item(`${articles.get(id)?.title ?? `article ${id}`}: ${viewers.join(", ")}`));
  $("#viewers ul").replaceChildren(...lines);
}

// Says that this page views an article, or no longer. Visitors say it as well; the plugin takes no note of them.
async function view(article, viewing) {
  const topic = `presence.article.${article.id}`;
  if (!socket.connected) return;
  if (viewing) await ask("subscribe", { channel: topic });
  const ack = await ask(topic, { viewing });
  if (!ack.ok) say(`nobody is told who reads this: ${ack.error.code}`);
  if (!viewing) await ask("unsubscribe", { channel: topic });
}

async function read(article) {
  if (reading) await close();
  reading = article;
  $("#open").hidden = false;
  $("#open strong").textContent = article.title;
  await view(article, true);
}

async function close() {
  const article = reading;
  reading = undefined;
  $("#open").hidden = true;
  await view(article, false);
}

setInterval(() => reading && view(reading, true), VIEWING_INTERVAL_MS);
$("#open button").onclick = close;
$("#publish").onsubmit = async (event) => {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(event.target));
  const { title } = event.target.elements;
  title.value = "";
  try {
    const { article, announced } = await api("articles", { body, token: signedIn.token });
    show(article, $("#feed"));
    say(announced ? "" : "stored; readers hear of it when Tidegate is back");
  } catch (error) {
    title.value ||= body.title;
    say(`not published: ${error.message}`);
  }
};
