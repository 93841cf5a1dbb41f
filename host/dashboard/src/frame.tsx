// What stands around every page: the navigation, who is signed in, and a notice while the server is away.

import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";

import { link } from "./live";
import { Failure } from "./parts/load";
import { Bridge } from "./pages/bridge";
import { Channels } from "./pages/channels";
import { Clients } from "./pages/clients";
import { Explain } from "./pages/explain";
import { Overview } from "./pages/overview";
import { Plugins } from "./pages/plugins";
import { Reloads } from "./pages/reloads";
import { Topic } from "./pages/topic";
import { route, to } from "./route";
import { session, signOut } from "./session";

const PAGES: [string, string, ComponentType][] = [
  ["", "Overview", Overview],
  ["channels", "Channels", Channels],
  ["topics", "Topics", Topic],
  ["clients", "Clients", Clients],
  ["explain", "Explain", Explain],
  ["plugins", "Plugins", Plugins],
  ["bridge", "Bridge", Bridge],
  ["reloads", "Reloads", Reloads],
];

export function Frame() {
  const { path, visit } = route.value;
  const [name = "", ...rest] = path;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const [, title, Page] = PAGES.find(([of]) => of === name) ?? [name, "Not found", NotFound];
  useEffect(() => {
    document.title = `${rest.at(-1) ?? title} · Tidegate`;
    // Who opened the page is at its beginning anyway.
    if (first.current) return void (first.current = false);
    scrollTo(0, 0);
    main.current?.querySelector("h1")?.focus();
  }, [visit]);
  return (
    <>
      <header class="top">
        <a class="skip" href={location.hash || "#/"} onClick={(event) => (event.preventDefault(), main.current?.focus())}>
          Skip to the page
        </a>
        <a class="brand" href="#/">
          <img src="/dashboard/icon.svg" alt="" width="24" height="24" />
          Tidegate
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([path, title]) => (
            <a key={path} href={to(path ? [path] : [])} aria-current={path === name ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <Who />
      </header>
      <main ref={main} tabIndex={-1}>
        <Connection />
        <Page key={visit} />
      </main>
    </>
  );
}

function Connection() {
  const text = "The server does not answer. What you see is from before; this page tries again by itself.";
  return (
    <div role="status">{link.value === "away" && <p class="notice bad">{text}</p>}</div>
  );
}

function Who() {
  const error = useSignal<unknown>(undefined);
  const state = session.value;
  if (state.is !== "in") return null;
  const leave = () => signOut().catch((failed: unknown) => (error.value = failed));
  return (
    <div class="who">
      <span>
        Signed in as <b>{state.operator.operator}</b>
      </span>
      <button type="button" onClick={leave}>
        Sign out
      </button>
      <Failure error={error.value} />
    </div>
  );
}

function NotFound() {
  return (
    <>
      <h1 tabIndex={-1}>There is no such page</h1>
      <p>
        <a href="#/">Go to the overview</a>
      </p>
    </>
  );
}
