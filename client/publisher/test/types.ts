// Held by the compiler: what is typed by `tidegate types` compiles, and each wrong line owes an error.

import { publisher, topic } from "@tidegate/publisher";
import { recordingPublisher } from "@tidegate/publisher/recording";

import type { Channels } from "./channels.js";

const tidegate = publisher<Channels>({ url: "http://127.0.0.1:3000", key: "key" });
const userId: string = "u42";

// A topic without params, a topic of a channel with params, written in place or made by `topic`.
tidegate.publish("feed.all", "One");
tidegate.publish("feed.sports", { id: "7", title: "One" });
tidegate.publish(`notifications.user.${userId}`, { kind: "reply", text: "Hello" }, { idempotencyKey: "k" });
tidegate.publish(topic("notifications.user.{userId}", { userId }), { kind: "reply", text: "Hello" });

// @ts-expect-error a key is missing
tidegate.publish("feed.sports", { title: "One" });
// @ts-expect-error a key is of another type
tidegate.publish("feed.sports", { id: 7, title: "One" });
// @ts-expect-error a key that the schema does not know
tidegate.publish("feed.sports", { id: "7", titel: "One" });
// @ts-expect-error a name without params wins
tidegate.publish("feed.all", { id: "7" });
// @ts-expect-error the payload of another channel
tidegate.publish(`notifications.user.${userId}`, { id: "7", title: "One" });
// @ts-expect-error not one of the words
tidegate.publish("notifications.user.u1", { kind: "poke", text: "Hello" });
// @ts-expect-error no channel has this topic
tidegate.publish("feed", { id: "7" });
// @ts-expect-error a param is one segment
tidegate.publish("notifications.user.u1.extra", { kind: "reply", text: "Hello" });
// @ts-expect-error it may be any topic
tidegate.publish(userId, { kind: "reply", text: "Hello" });
// @ts-expect-error the param has another name
topic("notifications.user.{userId}", { user: userId });

tidegate.batch([
  { topic: "feed.all", payload: "One" },
  { topic: `notifications.user.${userId}`, payload: { kind: "reply", text: "Hello" }, idempotencyKey: "k" },
]);
// @ts-expect-error the payload of another channel
tidegate.batch([{ topic: "notifications.user.u1", payload: { id: "7" } }]);

tidegate.events({ type: "article.published", data: { id: "7" }, subject: "7" });
// @ts-expect-error an event has a type
tidegate.events({ data: { id: "7" } });
tidegate.revoke({ user: "u1", issuedBefore: 1_700_000_000 });
// @ts-expect-error it would be everybody
tidegate.revoke({ reason: "stolen laptop" });

// The double is a publisher of the same types.
const recorded: typeof tidegate = recordingPublisher<Channels>({ channels: "channels" });
void recorded;

// Without types everything is taken.
publisher().publish("blog.article", { anything: true });
publisher().publish(userId, 1);
