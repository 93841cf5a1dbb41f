// One process of load: every socket has `depth` messages under way, always.

import { open, outcome, Tally } from "./wire.mjs";

const { url, tokens, depth, first } = JSON.parse(process.argv[2]);

const payload = (id) => `{"n":${id}}`;
let acked = 0;
let refused = new Tally();
let sending = true;

async function connect(token, index) {
  const socket = await open({
    url,
    token,
    topic: `bench.${first + index}`,
    answered(_id, packet) {
      const said = outcome(packet);
      if (said === "ok") acked += 1;
      else refused.add(said);
      if (sending) socket.send(payload);
    },
    closed() {
      if (sending) throw new Error("a socket was closed");
    },
  });
  return socket;
}

const sockets = [];
for (const [index, token] of tokens.entries()) sockets.push(await connect(token, index));

let began;
process.on("message", (order) => {
  if (order === "go") for (const socket of sockets) for (let sent = 0; sent < depth; sent += 1) socket.send(payload);
  if (order === "measure") {
    acked = 0;
    refused = new Tally();
    began = process.cpuUsage();
  }
  if (order === "report") {
    const { user, system } = process.cpuUsage(began);
    process.send({ acked, refused: refused.counts, cpuMs: (user + system) / 1000 });
    sending = false;
    for (const socket of sockets) socket.terminate();
    process.disconnect();
  }
});
process.send("ready");
