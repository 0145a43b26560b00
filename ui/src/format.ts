// Numbers as people read them: at most three significant figures, the unit apart.

export function duration(ns: number): [string, string] {
  if (ns >= 60e9) return [trim(ns / 60e9), "min"];
  if (ns >= 1e9) return [trim(ns / 1e9), "s"];
  if (ns >= 1e6) return [trim(ns / 1e6), "ms"];
  if (ns >= 1e3) return [trim(ns / 1e3), "µs"];
  return [String(Math.round(ns)), "ns"];
}

function trim(v: number): string {
  if (v >= 100) return v.toFixed(0);
  if (v >= 10) return v.toFixed(1).replace(/\.0$/, "");
  return v.toFixed(2).replace(/\.?0+$/, "");
}

export const durationText = (ns: number) => duration(ns).join(" ");

export function count(n: number): string {
  if (n >= 1e9) return trim(n / 1e9) + "G";
  if (n >= 1e6) return trim(n / 1e6) + "M";
  if (n >= 10_000) return trim(n / 1e3) + "k";
  return n.toLocaleString("en");
}

/** A number and what it counts, in the plural where it is not one: "1 span", "12 spans". */
export const several = (n: number, what: string) => `${count(n)} ${n === 1 ? what : what + "s"}`;

export function bytes(n: number): string {
  if (n >= 1e9) return trim(n / 1e9) + " GB";
  if (n >= 1e6) return trim(n / 1e6) + " MB";
  if (n >= 1e3) return trim(n / 1e3) + " kB";
  return n + " B";
}

const pad = (n: number, w = 2) => String(n).padStart(w, "0");

/** Time of day of Unix ns, in the reader's zone. */
export function clock(ns: bigint, withMs = true): string {
  const d = new Date(Number(ns / 1_000_000n));
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}` + (withMs ? "." + pad(d.getMilliseconds(), 3) : "");
}

/** Day and time: "Today 12:04:31.207". */
export function moment(ns: bigint, now = new Date(), withMs = true): string {
  const d = new Date(Number(ns / 1_000_000n));
  const day = (t: Date) => `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}`;
  return `${day(d) === day(now) ? "Today" : day(d)} ${clock(ns, withMs)}`;
}

/** Steps of 1, 2 or 5 for an axis of a length, about n of them. */
function stepOf(length: number, n: number): number {
  const raw = length / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((s) => s * power >= raw * 0.999)! * power;
}

/** Round places on an axis from a to b, about n of them. */
export function ticks(a: number, b: number, n: number): number[] {
  if (!(b > a)) return [a];
  const step = stepOf(b - a, n);
  const out: number[] = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + step * 1e-9; k++) out.push(k * step || 0); // and never -0
  return out;
}

/** A moment on an axis of such steps: with as many digits as tell it from the next one. */
export function tickText(ns: number, step: number): string {
  if (ns === 0) return "0";
  const [size, unit] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : ns >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  return `${(ns / size).toFixed(Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9)))} ${unit}`;
}

const SECOND = 1e6; // µs
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Round times of day from a to b (Unix µs), at most about n, each with its text; in the reader's zone. */
export function timeTicks(a: number, b: number, n: number): [number, string][] {
  const raw = (b - a) / n;
  const step = raw < SECOND ? stepOf(b - a, n) : (STEPS.find((s) => s * SECOND >= raw) ?? 604800) * SECOND;
  const zone = new Date(a / 1000).getTimezoneOffset() * 60 * SECOND;
  const out: [number, string][] = [];
  for (let t = Math.ceil((a - zone) / step) * step + zone; t <= b; t += step) out.push([t, timeText(t, step)]);
  return out;
}

function timeText(us: number, step: number): string {
  const d = new Date(us / 1000);
  if (step >= 86400 * SECOND) return `${d.getMonth() + 1}/${d.getDate()}`;
  const text = `${pad(d.getHours())}:${pad(d.getMinutes())}`;
  if (step >= 60 * SECOND) return text;
  const seconds = `${text}:${pad(d.getSeconds())}`;
  return step >= SECOND ? seconds : `${seconds}.${pad(d.getMilliseconds(), 3)}`;
}

/** Durations of 1, 2 and 5 between two, for a logarithmic axis; only powers of ten where that is enough. */
export function logTicks(low: number, high: number): number[] {
  const out: number[] = [];
  const many = Math.log10(high / low) < 2;
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++)
    for (const m of many ? [1, 2, 5] : [1]) {
      const v = m * 10 ** p;
      if (v >= low && v <= high) out.push(v);
    }
  return out;
}

/** The value of a datetime-local input. */
export function localTime(ns: bigint): string {
  const d = new Date(Number(ns / 1_000_000n));
  const day = `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
  return `${day}T${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}
