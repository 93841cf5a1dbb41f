// What the user sees and clicks. How messages come and go is the feed's.

import { Feed } from "./feed.js";
import { Session } from "./session.js";

const SHOWN_MAX = 500;
const NOW = { connecting: "connecting", live: "live", degraded: "no connection", offline: "offline", off: "realtime is off" };
const SOURCES = { history: "Tidegate's history", application: "the application" };

const at = (selector) => document.querySelector(selector);
const session = new Session((path, options) => fetch(path, options));
let feed;
// The message that is being sent: it keeps its key until it is stored.
let draft;

function showState({ state, source, next_s }) {
  Object.assign(at("#state"), { textContent: NOW[state] });
  at("#state").dataset.state = state;
  const banner = at("#banner");
  banner.hidden = state === "live" || state === "connecting";
  banner.dataset.state = state;
  if (banner.hidden) return;
  banner.textContent = state === "offline"
    ? `Nobody answers. The page asks again in ${next_s} s.`
    : `${state === "off" ? "Realtime is off" : "No realtime connection"}. New messages come from ${SOURCES[source] ?? "nobody"}; the page asks again in ${next_s} s.`;
}

function showMessage({ number, from, to, text, sent_at }) {
  const item = document.createElement("li");
  item.dataset.number = number;
  item.classList.toggle("direct", Boolean(to));
  const about = document.createElement("div");
  about.className = "about";
  about.textContent = `${number} · ${from.name}${to ? ` → ${to}` : ""} · ${new Date(sent_at).toLocaleTimeString()}`;
  const said = document.createElement("div");
  said.className = "text";
  said.textContent = text;
  item.append(about, said);
  const list = at("#messages");
  // The two topics of a user may overtake one another; the numbers say the order.
  const after = [...list.children].findLast((other) => Number(other.dataset.number) < number);
  if (after) after.after(item);
  else list.prepend(item);
  while (list.children.length > SHOWN_MAX) list.firstChild.remove();
  list.scrollTop = list.scrollHeight;
}

const isRealtimeWanted = () => localStorage.getItem("realtime") !== "off";

async function openDesk({ me, people }) {
  const { realtime } = await session.call("/api/settings");
  at("#sign-in").hidden = true;
  at("#desk").hidden = false;
  at("#area").textContent = me.area ?? "no area";
  at("#who").textContent = `${me.name}, ${me.role}`;
  at("#messages").replaceChildren();
  at("#composer").hidden = me.role !== "supervisor";
  at("#composer [name=to]").replaceChildren(new Option("everybody in the area", ""), ...people.map(({ id, name }) => new Option(name, id)));
  at("#realtime").checked = isRealtimeWanted();
  at("#sent").textContent = "";
  feed?.stop();
  feed = new Feed({
    topics: [...(me.area ? [`team.${me.area}`] : []), `inbox.${me.id}`],
    session,
    realtime: isRealtimeWanted() ? realtime : undefined,
    onMessage: showMessage,
    onState: showState,
    onEnd: (reason) => showSignIn(`You are signed out (${reason}).`),
    onNotice: (notice) => (at("#sent").textContent = notice),
  });
  feed.area = me.area;
  feed.start();
}

function showSignIn(reason = "") {
  feed?.stop();
  feed = undefined;
  at("#desk").hidden = true;
  at("#sign-in").hidden = false;
  at("#sign-in [role=alert]").textContent = reason;
}

// Runs `act` when the form is sent, and shows why it failed in the form.
function onSubmit(selector, act) {
  const form = at(selector);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const told = form.querySelector("[role=alert]");
    told.classList.remove("good");
    told.textContent = "";
    try {
      told.textContent = (await act(Object.fromEntries(new FormData(form)))) ?? "";
      told.classList.add("good");
    } catch (error) {
      told.textContent = error.code ? `${error.code}: ${error.message}` : error.message;
      if (error.retry) told.textContent += ". Press the button again: nothing happens twice.";
    }
  });
}

onSubmit("#sign-in form", async ({ user, password }) => {
  await openDesk(await session.signIn(user, password));
  at("#sign-in form").reset();
});

onSubmit("#composer", async ({ text, to }) => {
  // The same message again has the same key: it is stored once, whatever was heard of the first try.
  if (draft?.text !== text || draft?.to !== (to || undefined)) draft = { text, to: to || undefined, key: crypto.randomUUID() };
  const number = await feed.send(feed.area, draft);
  draft = undefined;
  at("#composer [name=text]").value = "";
  return `stored as ${number}`;
});

onSubmit("#password", async ({ old, next }) => {
  await session.changePassword(old, next);
  at("#password").reset();
  return "changed; everybody else with your name is signed out";
});

at("#realtime").addEventListener("change", async ({ target }) => {
  localStorage.setItem("realtime", target.checked ? "on" : "off");
  await openDesk(await session.renew());
});

at("#sign-out").addEventListener("click", async () => {
  try {
    await session.signOut();
    showSignIn();
  } catch (error) {
    at("#sent").textContent = `${error.code}: ${error.message}`;
  }
});

for (const event of ["pointerdown", "keydown", "wheel"]) addEventListener(event, () => session.touch(), { capture: true, passive: true });
addEventListener("online", () => feed?.retry());

// A page that is loaded anew still has its cookie.
session.renew().then(openDesk, () => showSignIn());
