// Compiled by types.test.mjs against what `tidegate types` prints. A line below `@ts-expect-error` must not compile.

import { type ChannelOf, type Subscription, type TidegateError, tidegate } from "@tidegate/client";
import { useChannel, useConnection } from "@tidegate/client/react";

import type { Channels } from "./channels.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const isTrue = <T extends true>(_: T | void) => {};

const client = tidegate<Channels>("https://live.example.com", { auth: async (why) => ({ token: why }) });
const vaultId: string = "v1";

// A topic finds its channel: by its name, else by the segments of a template.
isTrue<Same<ChannelOf<Channels, "vault.v1">, "vault.{vaultId}">>();
isTrue<Same<ChannelOf<Channels, `vault.${string}`>, "vault.{vaultId}">>();
isTrue<Same<ChannelOf<Channels, "vault.public">, "vault.public">>();
isTrue<Same<ChannelOf<Channels, "team.t1.chat">, "team.{teamId}.chat">>();
isTrue<Same<ChannelOf<Channels, `team.${string}.chat`>, "team.{teamId}.chat">>();
isTrue<Same<ChannelOf<Channels, "team.t1.files">, never>>();
isTrue<Same<ChannelOf<Channels, "vault.v1.more">, never>>();

// Payloads are typed by the channel.
const one = client.subscribe("vault.v1", {
  key: (source) => source.id,
  onPublication: (source, { offset }) => void [source.title.length, offset?.toFixed()],
  onSnapshot: ([first]) => first?.payload.title.length,
  onGap: (reason) => reason === "too_many",
  onRevoked: ({ code }) => code === "forbidden",
});
isTrue<Same<typeof one, Subscription<{ id: string; title: string }>>>();
client.subscribe(`vault.${vaultId}`, { onPublication: ({ title }) => title.length });
client.subscribe("vault.public", { onPublication: (text) => text.length });
// @ts-expect-error: `vault.public` has texts
client.subscribe("vault.public", { onPublication: ({ title }) => title });
// @ts-expect-error: a source has no such key
client.subscribe("vault.v1", { onPublication: ({ titel }) => titel });
// @ts-expect-error: no channel has this name
client.subscribe("vaults.v1");
// @ts-expect-error: it has a segment too many
client.subscribe("vault.v1.more");
// @ts-expect-error: any text may be no topic
client.subscribe(vaultId);
// @ts-expect-error: that is no handler
client.subscribe("vault.v1", { onPublish: () => {} });
// @ts-expect-error: that is no position
client.subscribe("vault.v1", { since: 7 });

// Messages are typed by the channel, and go only where it takes any.
client.send("team.t1.chat", { text: "hello" });
client.send(`team.${vaultId}.chat`, { text: "hello" });
// @ts-expect-error: not the payload of the channel
client.send("team.t1.chat", { txet: "hello" });
// @ts-expect-error: the channel takes no messages
client.send("vault.v1", { id: "1", title: "one" });

// An answer is a value or a typed error, and is looked at before it is used.
const answer = await client.send("team.t1.chat", { text: "hello" });
// @ts-expect-error: it may be a refusal
answer.reply;
if (answer.ok) answer.reply;
else {
  const error: TidegateError = answer.error;
  if (error.code === "rate_limited") error.retry;
  // @ts-expect-error: not one of the codes
  if (error.code === "rate_limitd") error.retry;
}
const past = await client.history("vault.v1", { limit: 10 });
if (past.ok) past.publications[0]?.payload.title.length;

// The hooks are typed in the same way.
const view = useChannel(client, "vault.v1", { onPublication: ({ title }) => title.length });
view.last?.title.length;
view.error?.code === "forbidden";
useChannel(client, null);
// @ts-expect-error: no channel has this name
useChannel(client, "vaults.v1");
useConnection(client).state === "degraded";
// @ts-expect-error: not one of the states
useConnection(client).state === "away";

// Without types every topic goes, with any payload.
const untyped = tidegate();
untyped.subscribe(vaultId, { onPublication: (payload) => payload.anything });
untyped.send(vaultId, { anything: 1 });
