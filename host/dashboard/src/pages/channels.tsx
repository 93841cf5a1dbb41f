// The channels: every template that is declared, with what happens on it now; and one of them with its topics.

import { call, withQuery } from "../api";
import { useNewest } from "../live";
import { Facts, Heading, Search } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { SchemaView } from "../parts/schema";
import { Paged } from "../parts/table";
import { Tail } from "../parts/tail";
import { Topics } from "../parts/topics";
import { keep, route, to } from "../route";
import { bytes, count, rate } from "../units";

type Scope = string | { role: string } | { roles: string[] } | { user: string };

export interface Channel {
  channel: string;
  description?: string | null;
  scope: Scope;
  schema: unknown;
  inbound?: { payload?: unknown } | null;
  handler?: string | null;
  relay?: string | null;
  authorizer?: string | null;
  /** The plugin that tells the state of a topic. */
  snapshot?: string | null;
  retain?: { keys: number; bytes: number; ttl: string } | null;
  delivery?: { mode: string; key?: string; at_most?: string; version?: string } | string | null;
  history?: { messages: number; bytes?: number; ttl?: string } | null;
  presence?: unknown;
  rate?: string | null;
  feature?: string | null;
  manifest: string;
  line: number;
  topics: number;
  subscriptions: number;
}

interface Rates {
  subscriptions: number;
  publications_per_s: number;
  deliveries_per_s: number;
  refused_per_s: number;
}

interface Live {
  at_ms: number;
  channels: Record<string, Rates>;
}

/** A scope in words. */
export function scope(of: Scope | null | undefined): string {
  if (of === undefined || of === null) return "–";
  if (typeof of === "string") return of === "public" ? "everybody" : of === "authenticated" ? "every user" : of;
  if ("user" in of) return `the user of {${of.user}}`;
  if ("role" in of) return `role ${of.role}`;
  return of.roles.length === 1 ? `role ${of.roles[0]}` : `a role of ${of.roles.join(", ")}`;
}

const brief = (of: unknown): string => (typeof of === "string" ? of : Object.entries(of as object).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", "));

export function Channels() {
  const name = route.value.path[1];
  return name === undefined ? <List /> : <One name={name} />;
}

function List() {
  const search = route.value.query.get("search") ?? "";
  const live = useNewest<Live>("channels");
  const rates = (channel: string) => live.value?.channels[channel];
  return (
    <>
      <Heading>Channels</Heading>
      <section>
        <Search label="Search" hint="a part of the name" value={search} onSearch={(text) => keep(["channels"], { search: text })} />
        <Paged
          caption="Channels"
          about={[search]}
          load={async (after) => {
            const { channels, next } = await call<{ channels: Channel[]; next?: string }>("GET", withQuery("/v1/channels", { search, after }));
            return { rows: channels, next };
          }}
          of={({ channel }) => channel}
          empty={search ? `No channel's name contains “${search}”.` : "No channel is declared. Write one into a file of the channels folder; it is here a moment later."}
          columns={[
            { head: "Channel", cell: ({ channel }) => <a href={to(["channels", channel])}>{channel}</a> },
            { head: "Who may subscribe", cell: (channel) => `${scope(channel.scope)}${channel.authorizer ? `, if ${channel.authorizer} allows` : ""}` },
            { head: "Messages in", cell: ({ handler, relay, inbound }) => (handler ? `plugin ${handler}` : relay ? `relayed to ${relay}` : inbound ? "relayed" : "–") },
            { head: "Topics", number: true, cell: ({ topics }) => count(topics) },
            { head: "Subscriptions", number: true, cell: ({ channel, subscriptions }) => count(rates(channel)?.subscriptions ?? subscriptions) },
            { head: "Publications", number: true, cell: ({ channel }) => rate(rates(channel)?.publications_per_s) },
            { head: "Deliveries", number: true, cell: ({ channel }) => rate(rates(channel)?.deliveries_per_s) },
            { head: "Refused", number: true, cell: ({ channel }) => rate(rates(channel)?.refused_per_s) },
          ]}
        />
      </section>
    </>
  );
}

/** The channel of exactly that name; the search finds those whose names contain it, too. */
async function find(name: string): Promise<Channel | undefined> {
  let after: string | undefined;
  do {
    const { channels, next } = await call<{ channels: Channel[]; next?: string }>("GET", withQuery("/v1/channels", { search: name, after }));
    const found = channels.find(({ channel }) => channel === name);
    if (found) return found;
    after = next;
  } while (after);
}

function One({ name }: { name: string }) {
  const loaded = useLoaded(async () => ({ channel: await find(name) }), [name]);
  const live = useNewest<Live>("channels");
  return (
    <>
      <Heading aside={<a href="#/channels">All channels</a>}>{name}</Heading>
      <Shown from={loaded}>
        {({ channel }) => (channel ? <Declared channel={channel} rates={live.value?.channels[name]} /> : <p class="notice warn">No channel of this name is declared now.</p>)}
      </Shown>
    </>
  );
}

function Declared({ channel, rates }: { channel: Channel; rates?: Rates }) {
  const { inbound } = channel;
  return (
    <>
      {channel.description && <p>{channel.description}</p>}
      <section aria-label="What is declared">
        <Facts
          of={[
            ["Who may subscribe", scope(channel.scope)],
            ["Authorizer", channel.authorizer && <a href={to(["plugins"])}>{channel.authorizer}</a>],
            ["Handler", channel.handler && <a href={to(["plugins"])}>{channel.handler}</a>],
            ["Relayed to", channel.relay],
            ["Rate of a sender", channel.rate],
            ["Snapshot", channel.snapshot && `of plugin ${channel.snapshot}`],
            ["Retained", channel.retain && `newest of ${count(channel.retain.keys, "key")}, ${bytes(channel.retain.bytes)}, ${channel.retain.ttl}`],
            ["Delivery", channel.delivery ? brief(channel.delivery) : ""],
            ["History", channel.history && `${count(channel.history.messages, "publication")}${channel.history.bytes ? `, ${bytes(channel.history.bytes)}` : ""}${channel.history.ttl ? `, ${channel.history.ttl}` : ""}`],
            ["Presence", channel.presence ? "told to subscribers" : ""],
            ["Feature", channel.feature],
            ["Declared at", <code>{`${channel.manifest}:${channel.line}`}</code>],
            ["Subscriptions", count(rates?.subscriptions ?? channel.subscriptions)],
            ["Publications", rates && rate(rates.publications_per_s)],
            ["Deliveries", rates && rate(rates.deliveries_per_s)],
            ["Refused", rates && rate(rates.refused_per_s)],
          ]}
        />
        <p class="after">
          <a href={to(["explain"], { topic: channel.channel })}>Explain who may use a topic of it</a>
        </p>
      </section>
      <div class="columns">
        <section aria-labelledby="payload">
          <h2 id="payload">What subscribers receive</h2>
          <SchemaView of={channel.schema} label="What subscribers receive" />
        </section>
        {inbound && (
          <section aria-labelledby="inbound">
            <h2 id="inbound">What clients send</h2>
            <SchemaView of={inbound.payload ?? channel.schema} label="What clients send" />
          </section>
        )}
      </div>
      <section aria-labelledby="tail">
        <h2 id="tail">Live tail</h2>
        <Tail of={{ channel: channel.channel }} />
      </section>
      <section aria-labelledby="topics">
        <h2 id="topics">Topics now</h2>
        <Topics channel={channel.channel} />
      </section>
    </>
  );
}
