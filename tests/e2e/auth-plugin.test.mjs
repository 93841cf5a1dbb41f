// A plugin says whose a credential is: `auth.providers: [{ plugin: … }]`, to stock clients.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, collect, KEYS, next, now, Server, subscribe, TRANSPORTS, token } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const MANIFEST = `
component: typed.wasm
kinds: [authorizer]
grants: { http: ["http://api.test"], emit: [lobby], publish: [connection.*] }
limits: { cpu: 300ms, wall: 5s }
`;

function lay(directory) {
  const into = join(directory, "plugins/my-auth");
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, "plugin.yaml"), MANIFEST);
  copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/typed"), "typed"), join(into, "typed.wasm"));
}

for (const transport of TRANSPORTS) {
  describe(`a plugin as auth provider, over ${transport}`, () => {
    let server;
    before(async () => {
      const provider = { plugin: { name: "my-auth", cookies: ["sid"] } };
      const config = (config) => {
        config.auth.providers.push(provider);
        return config;
      };
      // The guest is a connection listener, too, and tells this channel.
      const channels = { "lobby.yaml": "feature: lobby\nchannels: { lobby: { scope: public, payload: {} } }\n" };
      server = await Server.start({ config, channels, files: lay });
    });
    after(() => server?.stop());

    const connect = (options) => server.connect({ transport, ...options });
    const refused = (options) => server.refused({ transport, ...options });

    test("its users join what their id and roles let them", async () => {
      const alice = await connect({ token: "user:alice" });
      await subscribe(alice, "e2e.inbox.alice");
      await subscribe(alice, "e2e.editors");
      assert.equal((await ask(alice, "subscribe", { channel: "e2e.inbox.bob" })).error.code, "forbidden");
    });

    test("a cookie it lists is as good, and another says nothing", async () => {
      const extraHeaders = (cookie) => ({ extraHeaders: { cookie } });
      const alice = await connect(extraHeaders("theme=dark; sid=user:alice"));
      await subscribe(alice, "e2e.inbox.alice");
      const nobody = await connect(extraHeaders("theme=user:alice"));
      assert.equal((await ask(nobody, "subscribe", { channel: "e2e.inbox.alice" })).error.code, "unauthenticated");
    });

    test("a token of the provider before it is not its to judge", async () => {
      const bob = await connect({ token: token("bob") });
      await subscribe(bob, "e2e.inbox.bob");
      assert.equal(await refused({ token: token("bob", { exp: now() - 60 }) }), "token_expired");
    });

    test("its no is unauthenticated, and the client stays away", async () => {
      assert.equal(await refused({ token: "stolen" }), "unauthenticated");
    });

    test("a yes without a user is an anonymous connection", async () => {
      const guest = await connect({ token: "guest" });
      await subscribe(guest, "e2e.open");
      assert.equal((await ask(guest, "subscribe", { channel: "e2e.inbox.guest" })).error.code, "unauthenticated");
    });

    test("while it cannot tell the client comes back, and gets in when it can", async () => {
      let word = "away";
      const socket = server.client({ transport, auth: (give) => give({ token: word }) });
      let attempts = 0;
      socket.io.on("reconnect_attempt", () => {
        attempts += 1;
        if (attempts === 3) word = "user:alice";
      });
      await next(socket, "connect");
      assert.equal(attempts, 3);
      await subscribe(socket, "e2e.inbox.alice");
    });

    test("a crash of it costs one attempt and nobody else", async () => {
      const alice = await connect({ token: "user:alice" });
      const faulted = server.logged("plugin.fault");
      const crasher = server.client({ transport, token: "trap", reconnection: false });
      const { plugin, kind, detail } = await faulted;
      assert.deepEqual([plugin, kind], ["my-auth", "trap"]);
      assert.match(detail, /as it was told/);
      crasher.close();
      await subscribe(alice, "e2e.inbox.alice");
      await connect({ token: "user:bob" });
    });

    test("the session ends with the time it granted, and is renewed by it", async () => {
      const renewed = await connect({ token: "for-2s:alice" });
      const left = await connect({ token: "for-2s:alice" });
      const [told, over] = [collect(left, "tidegate"), next(left, "disconnect")];
      const ack = await ask(renewed, "authenticate", { token: "user:alice" });
      assert.ok(ack.ok && ack.expires_at > now() + 3000, JSON.stringify(ack));
      await over;
      assert.deepEqual(told.received.map(({ type }) => type), ["expiring", "expired"]);
      await subscribe(renewed, "e2e.inbox.alice");
      const ended = next(renewed, "disconnect");
      assert.equal((await ask(renewed, "authenticate", { token: "user:mallory" })).error.code, "forbidden");
      await ended;
    });

    test("a reload that takes it away is rejected, and it goes on deciding", async () => {
      const path = "plugins/my-auth/plugin.yaml";
      await server.reload(() => server.remove(path), "reload.rejected");
      await connect({ token: "user:alice" });
      await server.reload(() => server.write(path, `${MANIFEST}# back\n`));
      await connect({ token: "user:alice" });
    });

    test("its calls are counted as an authorizer's", async () => {
      const { text } = await server.get("/metrics", { key: KEYS.operator });
      assert.match(text, /tidegate_plugin_calls_total\{plugin="my-auth",kind="authorizer",outcome="ok"\} [1-9]/);
      assert.match(text, /tidegate_gate_decisions_total\{gate="connect",channel="-",outcome="unavailable"\} [1-9]/);
    });
  });
}
