// Tables: with a page forward and back where the server has more rows; on a narrow screen each row is a card.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";

import { Shown, useLoaded } from "./load";

export interface Column<Row> {
  head: string;
  cell: (row: Row) => ComponentChildren;
  /** Aligned to the right, as numbers are read. */
  number?: boolean;
}

interface Shape<Row> {
  caption: string;
  columns: Column<Row>[];
  of: (row: Row) => string;
  /** What stands in place of a table without rows. */
  empty: ComponentChildren;
}

// A stylesheet that makes cards of rows takes their meaning away; the roles give it back.
export function Table<Row>({ caption, columns, of, empty, rows }: Shape<Row> & { rows: Row[] }) {
  if (!rows.length) return <div class="empty">{empty}</div>;
  return (
    <table role="table">
      <caption class="unseen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ head, number }) => (
            <th key={head} role="columnheader" scope="col" class={number ? "number" : undefined}>
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={of(row)} role="row">
            {columns.map(({ head, cell, number }) => (
              <td key={head} role="cell" data-head={head} class={number ? "number" : undefined}>
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export interface Page<Row> {
  rows: Row[];
  next?: string | null;
}

interface Pages<Row> extends Shape<Row> {
  load: (after: string | undefined) => Promise<Page<Row>>;
  /** What the list is about; another list begins at its first page. */
  about: unknown[];
  /** Changes when the same page is to be loaded again. */
  turn?: number;
}

/** A table of a list that the server gives page by page. */
export function Paged<Row>({ load, about, turn, ...shape }: Pages<Row>) {
  const key = JSON.stringify(about);
  // The cursors of the pages so far, of this list; the last is the page that is shown.
  const place = useSignal<{ key: string; cursors: (string | undefined)[] }>({ key, cursors: [undefined] });
  const cursors = place.value.key === key ? place.value.cursors : [undefined];
  const go = (to: (string | undefined)[]) => (place.value = { key, cursors: to });
  const after = cursors.at(-1);
  // The number belongs to the rows that are shown, and not to those that are on their way.
  const page = cursors.length;
  const loaded = useLoaded(async () => ({ ...(await load(after)), page }), [key, after, turn]);
  return (
    <Shown from={loaded}>
      {({ rows, next, page }) => (
        <>
          <Table {...shape} rows={rows} />
          {(next || cursors.length > 1) && (
            <nav class="pages" aria-label={`Pages of ${shape.caption}`}>
              <button type="button" disabled={cursors.length === 1} onClick={() => go(cursors.slice(0, -1))}>
                Previous
              </button>
              <span aria-live="polite">
                Page {page}, {rows.length} rows
              </span>
              <button type="button" disabled={!next} onClick={() => next && go([...cursors, next])}>
                Next
              </button>
            </nav>
          )}
        </>
      )}
    </Shown>
  );
}
