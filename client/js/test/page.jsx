// The page of the browser's tests: a banner, and what a component shows of a topic. `window.seen` is all it has heard.

import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

import { tidegate } from "@tidegate/client";
import { useChannel, useConnection } from "@tidegate/client/react";

const { server, token, ...query } = Object.fromEntries(new URLSearchParams(location.search));
const client = tidegate(server, {
  auth: { token },
  degradeAfterMs: 200,
  pollMs: [50, 100],
  socket: { reconnectionDelay: 50, reconnectionDelayMax: 100 },
});
window.client = client;
window.states = [client.state];
client.onState((state) => window.states.push(state));
window.seen = [];
window.asked = [];
client.socket.onAnyOutgoing((event, { channel }) => window.asked.push(`${event} ${channel}`));

function Banner() {
  const { state, error } = useConnection(client);
  return <p id="state">{error ? `${state}: ${error.code}` : state}</p>;
}

function Topic({ topic, label }) {
  const { status, error, last, values, presence } = useChannel(client, topic, {
    // A new function at every render, which tells what the newest render knows.
    onPublication: (payload) => window.seen.push([label, payload]),
    onGap: (reason) => window.seen.push(["gap", reason]),
    key: ({ device }) => device,
  });
  const listed = [...values].map(([key, { at }]) => `${key}=${at}`).join(" ");
  return (
    <section>
      <p id="status">{error ? `${status}: ${error.code}` : status}</p>
      <p id="last">{JSON.stringify(last)}</p>
      <p id="values">{listed}</p>
      <p id="present">{presence?.count}</p>
    </section>
  );
}

function Page() {
  const [topic, show] = useState(query.topic);
  const [label, rename] = useState("one");
  const [count, repeat] = useState(1);
  Object.assign(window, { show, rename, repeat });
  return (
    <>
      <Banner />
      {Array.from({ length: count }, (_, at) => <Topic key={at} topic={topic} label={label} />)}
    </>
  );
}

createRoot(document.body.appendChild(document.createElement("main"))).render(<StrictMode><Page /></StrictMode>);
