// Numbers as people read them, each with its unit.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A rate that has fallen to nothing may come as minus zero. */
const plain = (value: number): number => value || 0;

/** A count, with its noun in the right number: `1 client`, `2 clients`. */
export const count = (n: number | undefined, one?: string, many = `${one}s`): string =>
  n === undefined ? "–" : one ? `${whole.format(plain(n))} ${n === 1 ? one : many}` : whole.format(plain(n));

export const rate = (perS: number | undefined): string => (perS === undefined ? "–" : `${perS < 100 ? short.format(plain(perS)) : whole.format(perS)}/s`);

export function ms(value: number | undefined | null): string {
  if (value === undefined || value === null) return "–";
  if (value === 0) return "0 ms";
  if (value < 1) return `${whole.format(value * 1_000)} µs`;
  if (value < 1_000) return `${short.format(value)} ms`;
  return duration(value / 1_000);
}

const STEPS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

/** A duration in its two largest units at most. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${short.format(Math.max(0, seconds))} s`;
  const at = STEPS.findIndex(([step]) => seconds >= step);
  const [step, unit] = STEPS[at]!;
  const [lesser, lesserUnit] = STEPS[at + 1] ?? [1, "s"];
  const rest = Math.floor((seconds % step) / lesser);
  return `${whole.format(Math.floor(seconds / step))} ${unit}${rest ? ` ${rest} ${lesserUnit}` : ""}`;
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value: number | undefined): string {
  if (value === undefined) return "–";
  const power = value < 1 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log2(value) / 10));
  return `${short.format(plain(value / 1024 ** power))} ${SIZES[power]}`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day, with the day where it is not today. */
export function moment(atMs: number | undefined | null): string {
  if (atMs === undefined || atMs === null) return "–";
  const at = new Date(atMs);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : day.format(at);
}

/** How long ago it was. */
export const ago = (atMs: number): string => `${duration(Math.floor(Math.max(0, Date.now() - atMs) / 1_000))} ago`;

/** The first digits of a digest: enough to tell versions apart, and for `tidegate plugin clear`. */
export const digest = (value: string | null | undefined): string => (value ? value.slice(0, 12) : "–");
