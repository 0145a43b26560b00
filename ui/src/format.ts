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
export function moment(ns: bigint, now = new Date()): string {
  const d = new Date(Number(ns / 1_000_000n));
  const day = (t: Date) => `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())}`;
  return `${day(d) === day(now) ? "Today" : day(d)} ${clock(ns)}`;
}

/** Round steps for an axis of a length, about n of them. */
export function ticks(length: number, n: number): number[] {
  if (!(length > 0)) return [0];
  const raw = length / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((s) => s * power >= raw)! * power;
  const out: number[] = [];
  for (let t = 0; t <= length * 1.0001; t += step) out.push(t);
  return out;
}
