// The URL is the state: what it may say, and what foreign links mean here.

export interface SearchParams {
  service?: string;
  operation?: string;
  tag?: string[];
  min?: string; // Go durations
  max?: string;
  range?: string; // relative, such as 1h
  from?: string; // absolute, Unix ns
  to?: string;
  tmin?: string; // of the whole trace, in ns: the box that was drawn in the picture
  tmax?: string;
  limit?: string;
}

export interface TraceParams {
  span?: string; // span ID
  z?: string; // zoom: from-to in ns since the trace's start
  q?: string; // filter
  fold?: string; // rows folded, comma-separated; after "all", rows not folded
  open?: string; // runs opened, in the same form
}

export type Raw = Record<string, string | string[] | undefined>;

/** Query strings are plain: no JSON in them, repeated keys are lists. */
export function parseQuery(s: string): Raw {
  const out: Raw = {};
  for (const [k, v] of new URLSearchParams(s)) {
    const old = out[k];
    out[k] = old === undefined ? v : Array.isArray(old) ? [...old, v] : [old, v];
  }
  return out;
}

export function formatQuery(q: Record<string, unknown>): string {
  const p = new URLSearchParams();
  for (const [k, v] of Object.entries(q)) {
    if (Array.isArray(v)) v.forEach((x) => p.append(k, String(x)));
    else if (v !== undefined && v !== "") p.append(k, String(v));
  }
  const s = p.toString();
  return s ? "?" + s : "";
}

const one = (v: string | string[] | undefined) => (Array.isArray(v) ? v[0] : v) || undefined;
const many = (v: string | string[] | undefined) => (v === undefined ? [] : Array.isArray(v) ? v : [v]);

const whole = (v: string | undefined) => (v && /^\d{1,19}$/.test(v) ? v : undefined);
const times = (v: string | undefined, zeros: string) => (v && /^\d{1,17}$/.test(v) ? v + zeros : undefined);

// Jaeger: tag=k:v (repeated) and tags={"k":"v"}. Zipkin: annotationQuery=error and k=v.
function readTags(raw: Raw): string[] {
  const tag = many(raw.tag).map((t) => (t.includes("=") || !t.includes(":") ? t : t.replace(":", "=")));
  const tags = one(raw.tags);
  if (tags) {
    try {
      for (const [k, v] of Object.entries(JSON.parse(tags))) tag.push(`${k}=${v}`);
    } catch {
      tag.push(tags);
    }
  }
  const remote = one(raw.remoteServiceName);
  if (remote && remote !== "all") tag.push(`peer.service=${remote}`);
  const annotations = one(raw.annotationQuery);
  if (annotations) tag.push(...annotations.split(" and ").map((t) => (t.trim() === "error" ? "error=true" : t.trim())));
  return tag;
}

// Zipkin's times are ms: an end, and how far back from it in a number, in Lens's words (15m, millis), or until another time.
function readZipkinTimes(raw: Raw, endTs: string): Pick<SearchParams, "range" | "from" | "to"> {
  const ms = (v: string | undefined) => (v && /^\d{1,14}$/.test(v) ? Number(v) : undefined);
  const [end, start, lookback] = [ms(endTs), ms(one(raw.startTs)), one(raw.lookback)];
  if (end === undefined) return { range: undefined, from: undefined, to: undefined };
  const seconds = rangeSeconds(lookback ?? "");
  const back = ms(lookback) ?? ms(one(raw.millis)) ?? (seconds ? seconds * 1000 : 86_400_000);
  return { range: undefined, from: times(String(Math.max(0, start ?? end - back)), "000000"), to: times(String(end), "000000") };
}

// A lookback without an end is until now: in ms Zipkin's, in units Jaeger's and Lens's.
function readLookback(lookback: string | undefined): string | undefined {
  if (!lookback || !/^\d{4,13}$/.test(lookback)) return lookback && rangeSeconds(lookback) ? lookback : undefined;
  const seconds = Math.ceil(Number(lookback) / 1000);
  return RANGES.find(([, , s]) => s === seconds)?.[0] ?? (seconds < 1e6 ? `${seconds}s` : `${Math.ceil(seconds / 86400)}d`);
}

// Jaeger's custom times are µs.
function readTimes(raw: Raw): Pick<SearchParams, "range" | "from" | "to"> {
  const endTs = one(raw.endTs);
  if (endTs) return readZipkinTimes(raw, endTs);
  // The dependencies of Lens are of a time in ms.
  const endTime = one(raw.endTime);
  if (endTime) return readZipkinTimes({ startTs: raw.startTime }, endTime);
  const lookback = readLookback(one(raw.lookback));
  return {
    range: one(raw.range) ?? lookback,
    from: whole(one(raw.from)) ?? (lookback ? undefined : times(one(raw.start), "000")),
    to: whole(one(raw.to)) ?? (lookback ? undefined : times(one(raw.end), "000")),
  };
}

/** Reads a search's parameters; Jaeger's and Zipkin's forms are understood, too. */
export function readSearch(raw: Raw): SearchParams {
  const tag = readTags(raw);
  // In Zipkin's first page "all" is any.
  const any = (v?: string) => (v === "all" ? undefined : v);
  // Zipkin's durations are µs.
  const duration = (v?: string) => (v && /^\d+$/.test(v) ? v + "us" : v);
  return {
    service: one(raw.service) ?? any(one(raw.serviceName)),
    operation: any(one(raw.operation) ?? one(raw.spanName)),
    tag: tag.length ? [...new Set(tag)] : undefined,
    min: one(raw.min) ?? duration(one(raw.minDuration)),
    max: one(raw.max) ?? duration(one(raw.maxDuration)),
    ...readTimes(raw),
    tmin: whole(one(raw.tmin)),
    tmax: whole(one(raw.tmax)),
    limit: one(raw.limit),
    ...said,
  };
}

// The foreign forms are gone once they are understood: they would be understood again with every step.
const foreign =
  "tags annotationQuery serviceName remoteServiceName spanName minDuration maxDuration lookback millis start end startTs endTs startTime endTime sortOrder".split(
    " ",
  );
const said = Object.fromEntries(foreign.map((k) => [k, undefined]));

/** The first trace ID of Jaeger's comparison of two, A...B; else the ID itself. */
export const firstOf = (id: string) => id.split("...").find((part) => part !== "") ?? id;

export function readTrace(raw: Raw): TraceParams {
  // Jaeger's uiFind is a span ID in its links to spans, and a text to find otherwise.
  const find = one(raw.uiFind);
  const isSpan = /^[0-9a-f]{16}$/.test(find ?? "");
  return {
    span: one(raw.span) ?? (isSpan ? find : undefined),
    z: one(raw.z),
    q: one(raw.q) ?? (isSpan ? undefined : find),
    fold: one(raw.fold),
    open: one(raw.open),
    ...{ uiFind: undefined },
  };
}

/**
 * The tags in what was typed: `k=v k2="two words"` are several, as long as all of the text has that form; anything else
 * is one tag whose value may have spaces, quotes and equals signs.
 */
export function readTyped(text: string): string[] {
  const s = text.trim();
  if (!s) return [];
  const tag = /([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?:\s+|$)/y;
  const out: string[] = [];
  while (tag.lastIndex < s.length) {
    const m = tag.exec(s);
    if (!m) return [s];
    out.push(`${m[1]}=${m[2] === undefined ? m[3] : m[2].replace(/\\(.)/g, "$1")}`);
  }
  return out;
}

/** The tag at the end of what was typed so far, and what is before it. The value is there once "=" was typed. */
export function lastTag(text: string): { before: string; key: string; value?: string } {
  let start = 0;
  let inQuotes = false;
  for (let i = 0; i < text.length; i++) {
    if (inQuotes && text[i] === "\\") i++;
    else if (text[i] === '"') inQuotes = !inQuotes;
    else if (!inQuotes && /\s/.test(text[i])) start = i + 1;
  }
  const tag = text.slice(start);
  const eq = tag.indexOf("=");
  if (eq < 0) return { before: text.slice(0, start), key: tag };
  const value = tag
    .slice(eq + 1)
    .replace(/^"|"$/g, "")
    .replace(/\\(.)/g, "$1");
  return { before: text.slice(0, start), key: tag.slice(0, eq), value };
}

/** A value as readTyped reads it. */
export const quoted = (value: string) => (/[\s"]/.test(value) || value === "" ? `"${value.replace(/[\\"]/g, "\\$&")}"` : value);

/** A trace ID in what was typed or pasted: the ID, a traceparent or b3 header, a link to a trace. */
export function traceIdIn(text: string): string | undefined {
  const s = text.trim().toLowerCase();
  const parent = /(?:^|[\s:])00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(s);
  if (parent) return parent[1];
  const b3 = /^(?:b3:\s*)?([0-9a-f]{32}|[0-9a-f]{16})-[0-9a-f]{16}(?:-[01d])?(?:-[0-9a-f]{16})?$/.exec(s);
  if (b3) return b3[1].padStart(32, "0");
  const uber = /^(?:uber-trace-id:\s*)?([0-9a-f]{1,32}):[0-9a-f]{1,16}:[0-9a-f]{1,16}:[0-9a-f]{1,2}$/.exec(s);
  if (uber) return uber[1].padStart(32, "0");
  const link = /\/traces?\/([0-9a-f]{16,32})(?:[?#/]|$)/.exec(s);
  if (link) return link[1].padStart(32, "0");
  return /^[0-9a-f]{16}$|^[0-9a-f]{31,32}$/.test(s) ? s.padStart(32, "0") : undefined;
}

export const RANGES: [string, string, number][] = [
  ["5m", "Last 5 minutes", 300],
  ["15m", "Last 15 minutes", 900],
  ["1h", "Last hour", 3600],
  ["6h", "Last 6 hours", 21600],
  ["24h", "Last day", 86400],
  ["7d", "Last week", 604800],
];

export const DEFAULT_RANGE = "1h";

/** Seconds of a relative range such as 30m, 2h or 7d; undefined if it is none. */
export function rangeSeconds(range: string): number | undefined {
  const m = /^(\d{1,6})(s|m|h|d)$/.exec(range);
  return m ? Number(m[1]) * { s: 1, m: 60, h: 3600, d: 86400 }[m[2] as "s"]! : undefined;
}

/** The API call for a search at a moment (Unix ns). */
export function searchQuery(p: SearchParams, nowNs: bigint, cursor = ""): URLSearchParams {
  const q = new URLSearchParams();
  if (p.service) q.set("service", p.service);
  if (p.operation) q.set("operation", p.operation);
  p.tag?.forEach((t) => q.append("tag", t));
  if (p.min) q.set("minDuration", p.min);
  if (p.max) q.set("maxDuration", p.max);
  if (p.from || p.to) {
    if (p.from) q.set("from", p.from);
    if (p.to) q.set("to", p.to);
  } else {
    const seconds = rangeSeconds(p.range ?? DEFAULT_RANGE) ?? 3600;
    q.set("from", String(nowNs - BigInt(seconds) * 1_000_000_000n));
  }
  q.set("limit", p.limit ?? "100");
  if (cursor) q.set("cursor", cursor);
  return q;
}

/** Rows that are meant: these, or all but these. A list of every row of a large trace would be no URL. */
export interface Marks {
  all: boolean;
  rows: ReadonlySet<number>;
}

export function readMarks(s?: string): Marks {
  const parts = (s ?? "").split(",");
  return { all: parts[0] === "all", rows: new Set(parts.filter((x) => /^\d{1,9}$/.test(x)).map(Number)) };
}

export function writeMarks(m: Marks): string | undefined {
  const rows = [...m.rows].sort((a, b) => a - b).map(String);
  return [...(m.all ? ["all"] : []), ...rows].join(",") || undefined;
}

export function readZoom(z: string | undefined, length: number): [number, number] {
  const m = /^(\d+)-(\d+)$/.exec(z ?? "");
  const from = m ? Math.min(Number(m[1]), length) : 0;
  const to = m ? Math.min(Number(m[2]), length) : length;
  return to > from ? [from, to] : [0, length];
}
