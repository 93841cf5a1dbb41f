// One process of load: bare websockets that speak just enough Engine.IO and Socket.IO.

import WebSocket from "ws";

const { url, tokens, depth, first } = JSON.parse(process.argv[2]);

let acked = 0;
let refused = {};
let sending = true;

function count(packet) {
  const [, code = "no code"] = /"code":"(\w+)"/.exec(packet) ?? [];
  refused[code] = (refused[code] ?? 0) + 1;
}

function open(token, index) {
  const topic = `bench.${first + index}`;
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  let id = 0;
  const send = () => socket.send(`42${++id}["${topic}",{"n":${id}}]`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => sending && reject(new Error("a socket was closed")));
    socket.on("message", (data) => {
      const packet = data.toString("latin1");
      if (packet.startsWith("43") && id > 0) {
        if (packet.includes('"ok":true')) acked += 1;
        else count(packet);
        if (sending) send();
      } else if (packet === "2") socket.send("3");
      else if (packet.startsWith("0")) socket.send(`40${JSON.stringify({ token })}`);
      else if (packet.startsWith("40")) socket.send(`420["subscribe",{"channel":"${topic}"}]`);
      else if (packet.startsWith("430")) resolve({ start: () => Array.from({ length: depth }, send), socket });
      else if (packet.startsWith("44")) reject(new Error(packet));
    });
  });
}

const sockets = [];
for (const [index, token] of tokens.entries()) sockets.push(await open(token, index));

let began;
process.on("message", (order) => {
  if (order === "go") for (const { start } of sockets) start();
  if (order === "measure") {
    acked = 0;
    refused = {};
    began = process.cpuUsage();
  }
  if (order === "report") {
    const { user, system } = process.cpuUsage(began);
    process.send({ acked, refused, cpuMs: (user + system) / 1000 });
    sending = false;
    for (const { socket } of sockets) socket.terminate();
    process.disconnect();
  }
});
process.send("ready");
