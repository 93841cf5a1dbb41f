// Clients that have a bad plugin do what it can: every ack is followed by the next message, after a breath, so that the
// processors are the server's and not the abusers'.

import { open, outcome, Tally } from "./wire.mjs";

// With `topic` all of them are in one room, else each has a topic to itself.
const { url, tokens, deeds, topic } = JSON.parse(process.argv[2]);

const BREATH_MS = 20;

let said = new Tally();
let sending = true;

async function connect(token, index) {
  const next = (id) => JSON.stringify(deeds[(id + index) % deeds.length]);
  const socket = await open({
    url,
    token,
    topic: topic ?? `abuse.${index}`,
    answered(_id, packet) {
      said.add(outcome(packet));
      if (sending) setTimeout(() => sending && socket.send(next), BREATH_MS);
    },
    closed() {
      if (sending) said.add("a socket was closed");
    },
  });
  socket.send(next);
  return socket;
}

const sockets = [];
for (const [index, token] of tokens.entries()) sockets.push(await connect(token, index));

process.on("message", (order) => {
  if (order !== "stop") return;
  sending = false;
  process.send({ said: said.counts });
  for (const socket of sockets) socket.terminate();
  process.disconnect();
});
process.send("ready");
