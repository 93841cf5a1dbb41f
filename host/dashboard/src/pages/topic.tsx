// The topics, and one of them: who is subscribed, who is present, what is kept, and its publications as they happen.

import { call, segment } from "../api";
import { Facts, Heading, Json } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { Table } from "../parts/table";
import { Tail } from "../parts/tail";
import { Topics } from "../parts/topics";
import { route, to } from "../route";
import { bytes, count } from "../units";

export interface TopicState {
  topic: string;
  channel: string;
  subscribers: { connection: string; user?: string | null }[];
  subscribers_count: number;
  presence?: { count: number; members?: { user: string; info?: unknown }[] } | null;
  position?: { epoch: string; offset: number } | null;
  history_entries?: number | null;
  /** The first of them. */
  retained?: Retained[] | null;
  retained_count?: number | null;
}

interface Retained {
  /** Any JSON value. */
  key: unknown;
  bytes: number;
  position?: { epoch: string; offset: number } | null;
  payload?: unknown;
}

export function Topic() {
  const name = route.value.path[1];
  return name === undefined ? <List /> : <One name={name} />;
}

function List() {
  return (
    <>
      <Heading>Topics</Heading>
      <section>
        <Topics />
      </section>
    </>
  );
}

function One({ name }: { name: string }) {
  const loaded = useLoaded(() => call<TopicState>("GET", `/v1/topics/${segment(name)}`), [name]);
  return (
    <>
      <Heading
        aside={
          <button type="button" onClick={loaded.again}>
            Refresh
          </button>
        }
      >
        {name}
      </Heading>
      <Shown from={loaded}>{(topic) => <State topic={topic} />}</Shown>
    </>
  );
}

function State({ topic }: { topic: TopicState }) {
  const { presence, retained, position } = topic;
  return (
    <>
      <section aria-label="What is known of it">
        <Facts
          of={[
            ["Channel", <a href={to(["channels", topic.channel])}>{topic.channel}</a>],
            ["Subscribers on this node", count(topic.subscribers_count)],
            ["Present", presence && count(presence.count, "user", "users")],
            ["Newest position", position && `${position.offset} of epoch ${position.epoch}`],
            ["Kept in history", topic.history_entries === undefined || topic.history_entries === null ? "" : count(topic.history_entries, "publication")],
            ["Retained", retained && count(topic.retained_count ?? retained.length, "value")],
          ]}
        />
        <p class="after">
          <a href={to(["clients"], { topic: topic.topic })}>Clients on it</a> · <a href={to(["explain"], { topic: topic.topic })}>Explain who may use it</a>
        </p>
      </section>
      <div class="columns">
        <section aria-labelledby="subscribers">
          <h2 id="subscribers">Subscribers</h2>
          <Subscribers topic={topic} />
        </section>
        {presence && (
          <section aria-labelledby="presence">
            <h2 id="presence">Present</h2>
            <Table
              caption="Present"
              rows={presence.members ?? []}
              of={({ user }) => user}
              empty={presence.count ? `${count(presence.count)} are present, more than the channel tells by name.` : "Nobody is present."}
              columns={[
                { head: "User", cell: ({ user }) => <a href={to(["clients"], { user })}>{user}</a> },
                { head: "Tells about itself", cell: ({ info }) => (info === undefined || info === null ? "–" : <code>{JSON.stringify(info)}</code>) },
              ]}
            />
          </section>
        )}
      </div>
      {retained && (
        <section aria-labelledby="retained">
          <h2 id="retained">Retained values</h2>
          <RetainedValues values={retained} />
        </section>
      )}
      <section aria-labelledby="tail">
        <h2 id="tail">Live tail</h2>
        <Tail of={{ topic: topic.topic }} />
      </section>
    </>
  );
}

function Subscribers({ topic: { subscribers, subscribers_count } }: { topic: TopicState }) {
  return (
    <>
      {subscribers_count > subscribers.length && <p class="quiet">The first {count(subscribers.length)} of {count(subscribers_count)}.</p>}
      <Table
        caption="Subscribers"
        rows={subscribers}
        of={({ connection }) => connection}
        empty="Nobody is subscribed on this node."
        columns={[
          { head: "User", cell: ({ user }) => (user ? <a href={to(["clients"], { user })}>{user}</a> : "anonymous") },
          { head: "Connection", cell: ({ connection }) => <a href={to(["clients", connection])}>{connection}</a> },
        ]}
      />
    </>
  );
}

function RetainedValues({ values }: { values: Retained[] }) {
  return (
    <Table
      caption="Retained values"
      rows={values}
      of={({ key }) => JSON.stringify(key)}
      empty="No value is retained."
      columns={[
        { head: "Key", cell: ({ key }) => <code>{JSON.stringify(key)}</code> },
        { head: "Size", number: true, cell: (value) => bytes(value.bytes) },
        { head: "Position", number: true, cell: ({ position }) => position?.offset ?? "–" },
        { head: "Payload", cell: ({ payload }) => (payload === undefined ? <span class="quiet">your key may not read</span> : <Json value={JSON.stringify(payload)} label="Payload" />) },
      ]}
    />
  );
}
