/** `@tidegate/client`: what a page uses. */

import type { AnyChannels } from "./channels.js";
import { type Options, Tidegate } from "./client.js";

export type { AnyChannels, Channel, ChannelOf, InboundOf, PayloadOf, SendTopicOf, TopicOf } from "./channels.js";
export type { Credential, Options, SendOptions, State, Tidegate, Why } from "./client.js";
export type { HistoryOptions } from "./history.js";
export type { Handlers, Key, SubscribeOptions, Subscription, Value } from "./subscriber.js";
export type { ClientCode, Code, GapReason, History, Member, Meta, Position, Presence, Publication, Result, TidegateError } from "./wire.js";

/**
 * Connects to a server, `https://live.example.com` or the path on the page's own origin. `Channels` is what
 * `tidegate types --lang ts` prints.
 */
export function tidegate<Channels = AnyChannels>(url: string | URL = "/", options: Options = {}): Tidegate<Channels> {
  return new Tidegate<Channels>(url, options);
}
