// The page: a login, then one event on two connections, side by side.

import { RallyMap } from "./map.mjs";
import { Reader } from "./reader.mjs";

const SHOW_INTERVAL_MS = 500;
const REPORT_INTERVAL_MS = 10_000;
// So long nothing came: the connection lives, and there are no positions.
const SILENCE_MS = 3000;

const find = (selector, within = document) => within.querySelector(selector);
const read = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()).data;
};

const percentile = (sorted, share) => sorted[Math.floor((sorted.length - 1) * share)];
const inMs = (age) => (age === undefined ? "–" : `${age} ms`);

// The stock client, with the cookie of the application.
function view(panel, url, event) {
  const socket = io(url, { withCredentials: true, transports: ["websocket"], reconnectionDelay: 500, reconnectionDelayMax: 2000 });
  const reader = new Reader(socket, event.id, () => map.draw());
  const map = new RallyMap(find("canvas", panel), event.road, reader.positions);
  let before = performance.now();
  let report;
  const show = () => {
    const now = performance.now();
    const ages = reader.takeAges();
    const isSilent = reader.state === "live" && reader.silence > SILENCE_MS;
    const [p50, p99] = [percentile(ages, 0.5), percentile(ages, 0.99)];
    const shown = {
      state: isSilent ? "live, and no positions come" : reader.state,
      cars: reader.positions.size,
      rate: Math.round(ages.length / ((now - before) / 1000)),
      p50: inMs(p50),
      p99: inMs(p99),
      stale: reader.counts.stale,
      notices: reader.notices.size,
      missed: reader.missed,
    };
    before = now;
    if (ages.length > 0) report = { positions: ages.length, p50_ms: p50, p99_ms: p99 };
    for (const [name, value] of Object.entries(shown)) find(`[data-show="${name}"]`, panel).textContent = value;
    panel.dataset.is = reader.state === "live" && !isSilent ? "live" : "away";
    const said = [...reader.notices.values()].slice(-4).reverse().map(({ flag, text }) => {
      const line = document.createElement("li");
      Object.assign(line, { className: flag, textContent: text });
      return line;
    });
    find("ul", panel).replaceChildren(...said);
    map.draw();
  };
  setInterval(show, SHOW_INTERVAL_MS);
  // What people see is known to who runs it.
  setInterval(() => report && socket.connected && socket.emit(reader.topic, report), REPORT_INTERVAL_MS);
  return reader;
}

const post = (path, content) =>
  fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content) });

// A marshal tells the application, which keeps it and tells everybody.
function raceControl(form, event) {
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    const answer = await post("/items/notices", { event: event.id, flag: form.flag.value, text: form.text.value }).then(
      async (response) => (response.ok ? "sent" : `not sent: ${(await response.json()).errors[0].extensions.code}`),
      () => "not sent: the application is away",
    );
    find("output", form).textContent = answer;
  });
}

async function follow() {
  const [{ fast, slow, slowKilobytes }, [event]] = await Promise.all([read("/settings"), read("/items/events")]);
  find("#login").hidden = true;
  find("#event").hidden = false;
  find("#slow h2").textContent = `A line of ${slowKilobytes} KB/s, to node b`;
  find("h1").textContent = event.name;
  const readers = { fast: view(find("#fast"), fast, event), slow: view(find("#slow"), slow, event) };
  raceControl(find("#control"), event);
  // For the test, which compares what the two of them know.
  Object.assign(window, { readers });
}

find("#login").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const { email, password } = submitted.target;
  const response = await post("/auth/login", { email: email.value, password: password.value });
  if (response.ok) await follow();
  else find("#login output").textContent = response.status === 401 ? "wrong password" : "the application is away";
});

// Who is signed in already sees the map at once.
follow().catch(() => (find("#login").hidden = false));
