// What the tests of the client share: channels, a server for them, and a subscriber that remembers all it hears.

import assert from "node:assert/strict";

import { tidegate } from "@tidegate/client";
import { Server, token, until, within } from "@tidegate/kit/harness.mjs";

export const CHANNELS = {
  "client.yaml": `
feature: client
channels:
  feed.{id}:
    scope: authenticated
    payload: { type: integer }
    history: { messages: 5000 }
    inbound: { relay: all, rate: 5/s }
  short.{id}: { scope: public, payload: { type: integer }, history: { messages: 2 } }
  plain.{id}: { scope: public, payload: {}, inbound: { relay: others } }
  editors: { scope: { role: editor }, payload: {}, history: { messages: 9 } }
  fleet.{id}:
    scope: public
    payload: { type: object, required: [device, at], properties: { device: { type: string }, at: { type: integer } } }
    delivery: { mode: latest, key: /device }
    snapshot: { retain: latest }
  room.{id}:
    scope: authenticated
    payload: {}
    presence: { debounce: 100ms, info: { type: object, properties: { mood: { type: string } } } }
`,
};

export const OPERATOR = "client-operator-key-0123456789abcdef";

/** A server with these channels. */
export const startServer = (change = (config) => config) =>
  Server.start({
    plugins: false,
    channels: CHANNELS,
    config: (config) => {
      config.api_keys.push({ name: "all", key: OPERATOR });
      return change(config);
    },
  });

export async function publish(server, topic, ...payloads) {
  for (const payload of payloads) assert.equal((await server.publish(topic, JSON.stringify(payload))).status, 202);
}

export const revoke = async (server, body) => assert.equal((await server.post("/v1/revoke", body, { key: OPERATOR })).status, 202);

/** Clients that are closed together. */
export class Clients {
  #all = [];

  /** A client, at `url`, of a user or of nobody. */
  open(url, user, { socket, ...options } = {}) {
    const client = tidegate(url, {
      ...(user && { auth: { token: token(user) } }),
      degradeAfterMs: 200,
      pollMs: [50, 100],
      ...options,
      socket: { transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 100, ...socket },
    });
    client.states = [];
    client.onState((state) => client.states.push(state));
    this.#all.push(client);
    return client;
  }

  close() {
    this.#all.forEach((client) => client.close());
  }
}

/** A subscriber that remembers everything, in the order in which it came. */
export class Seen {
  all = [];

  constructor(client, topic, options = {}) {
    const note = (what) => (value) => void this.all.push([what, value]);
    this.subscription = client.subscribe(topic, {
      onPublication: note("publication"),
      onSnapshot: (values) => void this.all.push(["snapshot", values.map(({ key, payload }) => [key, payload])]),
      onGap: note("gap"),
      onPresence: note("presence"),
      onRevoked: ({ code }) => void this.all.push(["revoked", code]),
      onRemoved: note("removed"),
      ...options,
    });
  }

  async ready() {
    const answer = await within("the first answer", this.subscription.ready);
    assert.deepEqual(answer, { ok: true });
    return this;
  }

  of(wanted) {
    return this.all.filter(([what]) => what === wanted).map(([, value]) => value);
  }

  get publications() {
    return this.of("publication");
  }

  /** Exactly these publications, once and in order. */
  async has(...payloads) {
    await until(`${payloads.at(-1)}`, () => this.publications.length >= payloads.length).catch((error) => {
      throw new Error(`${error.message}; it saw ${JSON.stringify(this.all)}`);
    });
    assert.deepEqual(this.publications, payloads);
  }

  async hears(what, count = 1) {
    await until(`${what} of ${this.subscription.topic}`, () => this.of(what).length >= count).catch((error) => {
      throw new Error(`${error.message}; it saw ${JSON.stringify(this.all)}`);
    });
    return this.of(what).at(count - 1);
  }
}

export const state = (client, wanted) =>
  until(`the state ${wanted}`, () => client.state === wanted).catch((error) => {
    throw new Error(`${error.message}; it is ${client.state}: ${JSON.stringify(client.error)}`);
  });

export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
