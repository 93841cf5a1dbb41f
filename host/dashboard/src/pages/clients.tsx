// The clients of this node: found by user, topic or connection; and one of them, with what an operator may do to it.

import { useSignal } from "@preact/signals";

import { call, segment, withQuery } from "../api";
import { useSecond } from "../live";
import { Confirm } from "../parts/confirm";
import { Facts, Heading, Mark, Search, When } from "../parts/fields";
import { Shown, useLoaded } from "../parts/load";
import { Paged, Table } from "../parts/table";
import { keep, route, to } from "../route";
import { bytes, count, duration, ms } from "../units";

export interface Client {
  connection: string;
  user?: string | null;
  address: string;
  origin?: string | null;
  transport: string;
  since_ms: number;
  /** In seconds since the Unix epoch. */
  credential_ends_at?: number | null;
  lag_ms: number | null;
  outbound_bytes: number;
  topics: string[];
  topics_count: number;
  last_refusals: { at_ms: number; gate: string; topic?: string | null; code: string }[];
}

// A client that is further behind is a slow consumer in the making.
const SLOW_MS = 1_000;
const FILTERS = ["user", "topic", "connection"] as const;

export function Clients() {
  const connection = route.value.path[1];
  return connection === undefined ? <List /> : <One connection={connection} />;
}

function List() {
  const { query } = route.value;
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? undefined]));
  const isFiltered = Object.values(filter).some(Boolean);
  const now = useSecond();
  return (
    <>
      <Heading>Clients</Heading>
      <section>
        <div class="row">
          {FILTERS.map((name) => (
            <Search key={name} label={{ user: "User", topic: "On topic", connection: "Connection" }[name]} value={filter[name] ?? ""} onSearch={(text) => keep(["clients"], { ...filter, [name]: text })} />
          ))}
        </div>
        <Paged
          caption="Clients"
          about={[filter]}
          load={async (after) => {
            const { clients, next } = await call<{ clients: Client[]; next?: string }>("GET", withQuery("/v1/clients", { ...filter, after }));
            return { rows: clients, next };
          }}
          of={({ connection }) => connection}
          empty={isFiltered ? "No client of this node matches. A user's whole id and a topic's whole name are compared." : "Nobody is connected to this node."}
          columns={[
            { head: "User", cell: ({ user }) => user ?? <span class="quiet">anonymous</span> },
            { head: "Connection", cell: ({ connection }) => <a href={to(["clients", connection])}>{connection}</a> },
            { head: "Address", cell: ({ address }) => address },
            { head: "Transport", cell: ({ transport }) => transport },
            { head: "Connected", number: true, cell: ({ since_ms }) => duration(Math.max(0, now - Math.floor(since_ms / 1_000))) },
            { head: "Topics", number: true, cell: ({ topics_count }) => count(topics_count) },
            { head: "Behind by", number: true, cell: ({ lag_ms }) => <Lag ms={lag_ms} /> },
            { head: "Waiting", number: true, cell: ({ outbound_bytes }) => bytes(outbound_bytes) },
            { head: "Last refusal", cell: ({ last_refusals }) => last_refusals[0]?.code ?? "–" },
          ]}
        />
      </section>
    </>
  );
}

const Lag = ({ ms: lag }: { ms: number | null }) => (lag !== null && lag > SLOW_MS ? <Mark is="warn">{ms(lag)}</Mark> : <>{ms(lag)}</>);

type Doing = { does: "disconnect" } | { does: "revoke"; user: string } | { does: "unsubscribe"; topic: string };

function One({ connection }: { connection: string }) {
  const loaded = useLoaded(async () => {
    const { clients } = await call<{ clients: Client[] }>("GET", withQuery("/v1/clients", { connection }));
    return { client: clients[0] };
  }, [connection]);
  const doing = useSignal<Doing | undefined>(undefined);
  const done = useSignal<string | undefined>(undefined);
  const finish = (text: string) => {
    done.value = text;
    loaded.again();
  };
  return (
    <>
      <Heading
        aside={
          <span class="row bare">
            <button type="button" onClick={loaded.again}>
              Refresh
            </button>
            <a href="#/clients">All clients</a>
          </span>
        }
      >
        {loaded.answer.value?.client?.user ?? "Client"} <small class="quiet">{connection}</small>
      </Heading>
      <div role="status">{done.value && <p class="notice good">{done.value}</p>}</div>
      <Shown from={loaded}>
        {({ client }) => (client ? <State client={client} ask={(what) => (doing.value = what)} /> : <p class="notice">This connection is not open on this node, or not any more.</p>)}
      </Shown>
      {doing.value && <Do doing={doing.value} connection={connection} finish={finish} close={() => (doing.value = undefined)} />}
    </>
  );
}

function State({ client, ask }: { client: Client; ask: (what: Doing) => void }) {
  const now = useSecond();
  const { user } = client;
  return (
    <>
      <section aria-label="What is known of it">
        <Facts
          of={[
            ["User", user ? <a href={to(["clients"], { user })}>{user}</a> : "anonymous"],
            ["Address", client.address],
            ["Origin", client.origin],
            ["Transport", client.transport],
            ["Connected for", duration(Math.max(0, now - Math.floor(client.since_ms / 1_000)))],
            ["Credential ends", client.credential_ends_at ? `in ${duration(client.credential_ends_at - now)}` : "never"],
            ["Behind by", <Lag ms={client.lag_ms} />],
            ["Waiting for it", bytes(client.outbound_bytes)],
          ]}
        />
        <div class="row after">
          <button type="button" class="danger" onClick={() => ask({ does: "disconnect" })}>
            Disconnect
          </button>
          {user && (
            <button type="button" class="danger" onClick={() => ask({ does: "revoke", user })}>
              Revoke the user
            </button>
          )}
        </div>
      </section>
      <div class="columns">
        <section aria-labelledby="topics">
          <h2 id="topics">Topics</h2>
          {client.topics_count > client.topics.length && <p class="quiet">The first {count(client.topics.length)} of {count(client.topics_count)}.</p>}
          <Table
            caption="Topics"
            rows={client.topics}
            of={(topic) => topic}
            empty="It is subscribed to nothing."
            columns={[
              { head: "Topic", cell: (topic) => <a href={to(["topics", topic])}>{topic}</a> },
              { head: "Why", cell: (topic) => <a href={to(["explain"], { user: user ?? undefined, anonymous: user ? undefined : "true", topic })}>Explain</a> },
              {
                head: "End it",
                cell: (topic) => (
                  <button type="button" aria-label={`Unsubscribe from ${topic}`} onClick={() => ask({ does: "unsubscribe", topic })}>
                    Unsubscribe
                  </button>
                ),
              },
            ]}
          />
        </section>
        <section aria-labelledby="refusals">
          <h2 id="refusals">Last refusals</h2>
          <Table
            caption="Last refusals"
            rows={client.last_refusals}
            of={({ at_ms, topic, code }) => `${at_ms} ${topic} ${code}`}
            empty="Nothing was refused to it."
            columns={[
              { head: "At", cell: ({ at_ms }) => <When atMs={at_ms} /> },
              { head: "Gate", cell: ({ gate }) => gate },
              { head: "Topic", cell: ({ topic }) => topic ?? "–" },
              { head: "Code", cell: ({ code }) => <code>{code}</code> },
            ]}
          />
        </section>
      </div>
    </>
  );
}

function Do({ doing, connection, finish, close }: { doing: Doing; connection: string; finish: (text: string) => void; close: () => void }) {
  const path = `/v1/clients/${segment(connection)}`;
  switch (doing.does) {
    case "disconnect":
      return (
        <Confirm
          verb="Disconnect"
          title="Disconnect this client?"
          close={close}
          act={async (reason) => {
            await call("POST", `${path}/disconnect`, { reason });
            finish("The client is disconnected.");
          }}
        >
          <p>Its connection ends, and the stock client does not come back by itself. Its credential stays good: the user may connect again.</p>
        </Confirm>
      );
    case "unsubscribe":
      return (
        <Confirm
          verb="Unsubscribe"
          title={`Unsubscribe it from ${doing.topic}?`}
          close={close}
          act={async (reason) => {
            await call("POST", `${path}/unsubscribe`, { topic: doing.topic, reason });
            finish(`The client is not subscribed to ${doing.topic} any more.`);
          }}
        >
          <p>The client hears that the subscription was revoked. It may subscribe again, if the gates allow it.</p>
        </Confirm>
      );
    case "revoke":
      return (
        <Confirm
          verb="Revoke"
          title={`Revoke ${doing.user}?`}
          close={close}
          act={async (reason) => {
            await call("POST", "/v1/revoke", { user: doing.user, reason });
            finish(`Every credential of ${doing.user} that was issued until now is refused.`);
          }}
        >
          <p>Every session of the user ends, on every node, and every credential that was issued until now is refused. The user needs a new one.</p>
        </Confirm>
      );
  }
}
