// Who is there on two nodes: the members of both, and what becomes of those of a node that is killed or stops.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { BROKERS, Cluster } from "@tidegate/kit/cluster.mjs";
import { ask, token, until } from "@tidegate/kit/harness.mjs";
import { changes, roster } from "@tidegate/kit/presence.mjs";

const CHANNELS = `
feature: presence
channels:
  hall.{room}:
    scope: public
    payload: {}
    presence: { debounce: 500ms }
`;

for (const broker of Object.keys(BROKERS)) {
  describe(`presence on two nodes on ${broker}`, () => {
    let cluster, a, b;
    before(async () => {
      cluster = await Cluster.start({ broker, channels: { "presence.yaml": CHANNELS } });
      [a, b] = cluster.nodes;
    });
    after(() => cluster?.stop());

    const join = async (node, user, channel) => {
      const socket = await node.connect({ token: token(user) });
      const heard = changes(socket, channel);
      const ack = await ask(socket, "subscribe", { channel });
      assert.equal(ack.ok, true, JSON.stringify(ack));
      return { socket, users: () => roster(ack, heard).users, count: () => roster(ack, heard).count, heard };
    };

    test("each hears of those on the other node, and a user on both is one", async () => {
      const alice = await join(a, "alice", "hall.1");
      const bob = await join(b, "bob", "hall.1");
      await until("alice hears of bob", () => alice.users().includes("bob"));
      await until("bob knows alice", () => bob.users().includes("alice"));
      const second = await join(b, "alice", "hall.1");
      assert.deepEqual(second.users(), ["alice", "bob"]);
      const before = bob.heard.length;
      alice.socket.close();
      await pause(3000);
      assert.deepEqual([bob.heard.slice(before), bob.users()], [[], ["alice", "bob"]], "alice is still on the other node");
      second.socket.close();
      await until("alice left", () => !bob.users().includes("alice"));
      assert.equal(bob.count(), 1);
      bob.socket.close();
    });

    test("a user who moves from one node to the other has never left", async () => {
      const alice = await join(a, "alice", "hall.2");
      const bob = await join(a, "bob", "hall.2");
      await until("both are there", () => alice.users().length === 2);
      const before = alice.heard.length;
      bob.socket.close();
      const again = await join(b, "bob", "hall.2");
      await pause(3000);
      assert.deepEqual(alice.heard.slice(before), []);
      for (const { socket } of [alice, again]) socket.close();
    });

    test("the members of a node that is killed are gone within 15 s, and those who came over stay", async () => {
      const [stays, gone, moves] = [await join(a, "stays", "hall.3"), await join(b, "gone", "hall.3"), await join(b, "moves", "hall.3")];
      await until("all are there", () => stays.users().length === 3);
      for (const { socket } of [gone, moves]) socket.io.opts.reconnection = false;
      const killed = performance.now();
      b.signal("SIGKILL");
      const moved = await join(a, "moves", "hall.3");
      await until("who is gone left", () => !stays.users().includes("gone"));
      const ms = performance.now() - killed;
      assert.ok(ms < 15_000, `after ${ms} ms`);
      assert.deepEqual([stays.users(), moved.users()], [["moves", "stays"], ["moves", "stays"]]);
      const left = stays.heard.flatMap((change) => change.left.map(({ user }) => user));
      assert.deepEqual(left, ["gone"]);
      for (const { socket } of [stays, moved]) socket.close();
    });
  });
}
