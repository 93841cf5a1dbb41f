// Packets that are not Socket.IO's: the session ends, and never hangs.

import assert from "node:assert/strict";

import { encode } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket } from "./kit/sessions.mjs";

const bytes = Buffer.from([1]);
const ONE = '{"_placeholder":true,"num":0}';

const CASES = [
  ["without a type", ["4"], "S20"],
  ["of type 7", ['47["message"]'], "S20"],
  ["of a type that is a letter", ["4abc"], "S20"],
  ["CONNECT with a payload that is a list", ["40/custom,[]"], "S5"],
  ["CONNECT with a payload that is a text", ['40/custom,"token"'], "S5"],
  ["CONNECT with a payload that is `null`", ["40/custom,null"], "S5"],
  ["CONNECT with half a payload", ['40/custom,{"token":'], "S5"],
  ["DISCONNECT with a payload", ["41{}"], "S14"],
  ["CONNECT_ERROR, which only a server sends", ['44{"message":"no"}'], "S2"],
  ["EVENT whose payload is an object", ["42{}"], "S8"],
  ["EVENT whose payload is a text", ['42"message"'], "S8"],
  ["EVENT whose payload is empty", ["42[]"], "S8"],
  ["EVENT whose payload is no JSON", ["42[message]"], "S8"],
  ["EVENT whose payload is cut off", ['42["message"'], "S8"],
  ["EVENT with something behind its payload", ['42["message"]]'], "S8"],
  ["EVENT whose name is `null`", ["42[null]"], "S8"],
  ["EVENT whose name is an object", ['42[{"message":1}]'], "S8"],
  ["EVENT whose name is a list", ['42[["message"]]'], "S8"],
  ["EVENT of a reserved name, `connect`", ['42["connect"]'], "S8"],
  ["EVENT of a reserved name, `disconnect`", ['42["disconnect"]'], "S8"],
  ["EVENT whose id is no number", ['42abc["message"]'], "S18"],
  ["EVENT whose id is negative", ['42-1["message"]'], "S18"],
  ["EVENT whose id has a fraction", ['421.5["message"]'], "S18"],
  ["EVENT whose namespace has no slash", ['42custom,["message"]'], "S17"],
  ["ACK whose payload is an object", ["431{}"], "S11"],
  ["ACK whose payload is a text", ['431"yes"'], "S11"],
  ["ACK whose payload is no JSON", ["431[yes]"], "S11"],
  ["BINARY_EVENT without a count", [`45-["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT without a count and without its dash", [`45["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT whose count has no dash", [`451["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT with no attachment", ['450-["message"]'], "S19"],
  ["BINARY_EVENT whose count is a letter", [`45x-["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT whose count is negative", [`45-1-["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT whose count has a fraction", [`451.5-["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT that announces 1,000,000 attachments", [`451000000-["message",${ONE}]`, bytes], "S19"],
  ["BINARY_EVENT with a placeholder beyond its attachments", ['451-["message",{"_placeholder":true,"num":1}]', bytes], "S19"],
  ["BINARY_EVENT with a negative placeholder", ['451-["message",{"_placeholder":true,"num":-1}]', bytes], "S19"],
  ["BINARY_EVENT with a placeholder that is no number", ['451-["message",{"_placeholder":true,"num":"0"}]', bytes], "S19"],
  ["BINARY_EVENT whose payload is an object", [`451-{"message":${ONE}}`, bytes], "S8"],
  ["BINARY_ACK whose payload is an object", [`461-1{"yes":${ONE}}`, bytes], "S11"],
  ["text where an attachment is awaited", [`451-["message",${ONE}]`, '42["message",1]'], "S19"],
  ["another binary event where an attachment is awaited", [`451-["message",${ONE}]`, `451-["message",${ONE}]`, bytes], "S19"],
  ["bytes that no packet announced", [bytes], "S19"],
  ["more bytes than were announced", [`451-["message",${ONE}]`, bytes, bytes], "S19"],
];

for (const [transport, kind] of [["polling", Polling], ["a websocket", Socket]]) {
  conformance(`malformed packets over ${transport}`, {}, (server, test) => {
    const provoke = async (packets) => {
      const session = await kind.open(server);
      await session.join();
      if (session instanceof Polling) await session.post(encode(packets));
      else await session.send(...packets);
      return session.ended();
    };

    for (const [what, packets, says] of CASES) {
      test(`a packet ${what} ends the session`, { says }, async () => {
        const answers = await provoke(packets);
        for (const answer of answers) assert.ok(["1", "6"].includes(answer) || String(answer).startsWith("45") || Buffer.isBuffer(answer), String(answer));
      });
    }

    test("an event without a payload ends the session", { says: "S8", only: "tidegate", why: "the page says so; the reference ignores it" }, async () => {
      await provoke(["42"]);
    });

    test("attachments that never come leave the session as it is, and it may end in order", { says: "S19" }, async () => {
      const session = await kind.open(server);
      await session.join();
      await session.send(`451-["message",${ONE}]`);
      if (session instanceof Polling) await session.post("1");
      else session.websocket.close();
      await session.ended();
    });
  });
}
