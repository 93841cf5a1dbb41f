// Which page is shown: the fragment of the address, `#/clients?user=u1`. So only one file is served, and a reload stays.

import { signal } from "@preact/signals";

export interface Route {
  /** The segments of the path, decoded. */
  path: string[];
  query: URLSearchParams;
  /** Counts how often somebody went to an address, the same one too: then the page begins anew. */
  visit: number;
}

function read(visit: number): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query), visit };
}

// What a person typed may be no valid encoding.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal(read(0));
addEventListener("hashchange", () => (route.value = read(route.peek().visit + 1)));

/** The address of a page. */
export function to(path: string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => !!entry[1]);
  const search = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** Changes the address without a step in the history: what is typed into a search, or must not stay. */
export function keep(path: string[], query: Record<string, string | undefined> = {}): void {
  history.replaceState(null, "", to(path, query));
  route.value = read(route.peek().visit);
}
