// Well-behaved clients: each sends a ping at a steady pace, knows every message it sent, and measures how long each ack takes.

import { open, outcome, Tally } from "./wire.mjs";

// An ack that takes longer is lost.
const LOST_AFTER_MS = 10_000;

const { url, tokens, everyMs } = JSON.parse(process.argv[2]);

let tookMs = [];
let said = new Tally();
let lost = 0;
let sending = true;
const open_messages = [];

async function connect(token, index) {
  const sentAt = new Map();
  open_messages.push(sentAt);
  const socket = await open({
    url,
    token,
    topic: `bench.${index}`,
    answered(id, packet) {
      const at = sentAt.get(id);
      if (at === undefined) return said.add("an ack nobody waits for");
      sentAt.delete(id);
      tookMs.push(performance.now() - at);
      said.add(outcome(packet));
    },
    closed() {
      if (sending) said.add("a socket was closed");
    },
  });
  const timer = setInterval(() => {
    if (sending) sentAt.set(socket.send((id) => `{"n":${id}}`), performance.now());
  }, everyMs);
  return { terminate: () => (clearInterval(timer), socket.terminate()) };
}

function countLost() {
  for (const sentAt of open_messages) {
    for (const [id, at] of sentAt) {
      if (performance.now() - at < LOST_AFTER_MS) continue;
      sentAt.delete(id);
      lost += 1;
    }
  }
}
const underway = () => open_messages.reduce((sum, sentAt) => sum + sentAt.size, 0);

const sockets = [];
for (const [index, token] of tokens.entries()) sockets.push(await connect(token, index));

function report() {
  countLost();
  tookMs.sort((a, b) => a - b);
  const at = (share) => tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))] ?? Number.NaN;
  process.send({ answered: tookMs.length, p50Ms: at(0.5), p99Ms: at(0.99), mostMs: at(1), said: said.counts, lost });
  tookMs = [];
  said = new Tally();
}

process.on("message", async (order) => {
  if (order === "measure") [tookMs, said] = [[], new Tally()];
  if (order === "report") report();
  if (order === "stop") {
    sending = false;
    const until = performance.now() + LOST_AFTER_MS;
    while (underway() > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
    lost += underway();
    report();
    for (const socket of sockets) socket.terminate();
    process.disconnect();
  }
});
process.send("ready");
