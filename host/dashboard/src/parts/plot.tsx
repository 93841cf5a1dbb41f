// One plot of the last 15 minutes, which moves with each sample; its last values stand beside the names of its lines.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  name: string;
  /** One value for each time; `null` where there was none. */
  values: (number | null)[];
}

interface Shape {
  title: string;
  /** In seconds since the Unix epoch, ascending. */
  times: number[];
  lines: Line[];
  unit: (value: number) => string;
  steps?: keyof typeof STEPS;
}

const HEIGHT_PX = 150;
/** The distances of the lines of the grid: as sizes are counted, and as things that have no half. */
const STEPS = {
  binary: Array.from({ length: 45 }, (_, power) => 2 ** power),
  whole: Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(),
};
const SHOWN_S = 15 * 60;
// Below this the plot would show noise as if it were a mountain.
const LEAST_RANGE = 1;

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width: number, { lines, unit, steps }: Omit<Shape, "title" | "times">): uPlot.Options {
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT_PX,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: { x: { range: (_, __, newest) => [newest - SHOWN_S, newest] }, y: { range: (_, __, most) => [0, Math.max(LEAST_RANGE, (most ?? 0) * 1.1)] } },
    axes: [
      { ...axis, size: 26, space: 90, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1_000).toTimeString().slice(0, 5)) },
      { ...axis, size: 66, space: 36, ...(steps ? { incrs: STEPS[steps] } : {}), values: (_, ticks) => ticks.map(unit) },
    ],
    series: [{}, ...lines.map(({ name }, at) => ({ label: name, stroke: colour(`--line-${at + 1}`), width: 1.6, points: { show: false } }))],
  };
}

export function Plot({ title, times, lines, unit, steps }: Shape) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const newest = useRef({ times, lines });
  newest.current = { times, lines };
  const names = lines.map(({ name }) => name).join();
  useEffect(() => {
    const into = place.current!;
    const draw = () => {
      plot.current?.destroy();
      const { times, lines } = newest.current;
      plot.current = new uPlot(options(into.clientWidth, { lines, unit, steps }), [times, ...lines.map(({ values }) => values)], into);
    };
    draw();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: into.clientWidth, height: HEIGHT_PX }));
    sized.observe(into);
    // The colours of a canvas do not change with the scheme by themselves.
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      scheme.removeEventListener("change", draw);
      sized.disconnect();
      plot.current?.destroy();
    };
  }, [names]);
  useEffect(() => plot.current?.setData([times, ...lines.map(({ values }) => values)]), [times, lines]);
  const now = lines.map(({ name, values }) => `${name} ${said(values.at(-1), unit)}`);
  return (
    <figure class="plot">
      <figcaption>
        <h2>{title}</h2>
        <ul>
          {lines.map(({ name, values }, at) => (
            <li key={name}>
              <span class={`key line-${at + 1}`} aria-hidden="true" />
              {name} <b>{said(values.at(-1), unit)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class="canvas" role="img" aria-label={`${title}, the last 15 minutes. Now: ${now.join(", ")}`} />
    </figure>
  );
}

const said = (value: number | null | undefined, unit: Shape["unit"]) => (value === null || value === undefined ? "–" : unit(value));
