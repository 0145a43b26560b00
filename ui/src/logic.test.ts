import { describe, expect, it } from "vitest";
import { FLAG, parseColumns, rowOf, spanIdOf, type Columns } from "./columns";
import { count, duration, logTicks, several, ticks, tickText, timeTicks } from "./format";
import { assign } from "./hue";
import { clamped, pretty } from "./pages/value";
import { findRuns, flip, indexOf, match, reveal, shown, smooth, thread } from "./tree";
import {
  formatQuery,
  parseQuery,
  readMarks,
  readSearch,
  readTrace,
  readTyped,
  readZoom,
  searchQuery,
  firstOf,
  traceIdIn,
  writeMarks,
} from "./url";

// rows: [parent, name, start, duration, flags]
function trace(rows: [number, string, number, number, number?][]): Columns {
  const n = rows.length;
  const names = [...new Set(rows.map((r) => r[1]))];
  const size = new Uint32Array(n).fill(1);
  const depth = new Uint16Array(n);
  rows.forEach((r, i) => (depth[i] = r[0] < 0 ? 0 : depth[r[0]] + 1));
  for (let i = n - 1; i >= 0; i--) if (rows[i][0] >= 0) size[rows[i][0]] += size[i];
  const spanId = new Uint8Array(n * 8);
  rows.forEach((_, i) => (spanId[i * 8 + 7] = i + 1));
  return {
    traceId: "t",
    version: "1",
    start: 0n,
    durationNs: 100,
    rows: n,
    spans: n,
    errors: 0,
    gaps: 0,
    services: ["s"],
    names,
    begin: Float64Array.from(rows, (r) => r[2]),
    duration: Float64Array.from(rows, (r) => r[3]),
    self: new Float64Array(n),
    spanId,
    parent: Int32Array.from(rows, (r) => r[0]),
    size,
    depth,
    service: new Uint32Array(n),
    name: Uint32Array.from(rows, (r) => names.indexOf(r[1])),
    kind: new Uint8Array(n),
    flags: Uint8Array.from(rows, (r) => r[4] ?? 0),
  };
}

const marks = (...rows: number[]) => ({ all: false, rows: new Set(rows) });
const none = { folded: marks(), opened: marks() };

describe("columns", () => {
  it("reads what the server writes", () => {
    let header = JSON.stringify({
      traceId: "ab",
      start: "1763885409000000123",
      rows: 1,
      services: ["s"],
      names: ["n"],
      columns: [
        { name: "start", type: "f64", offset: 0, bytes: 8 },
        { name: "spanId", type: "u8", offset: 8, bytes: 8 },
      ],
    });
    header = header.padEnd(Math.ceil(header.length / 8) * 8);
    const b = new Uint8Array(8 + header.length + 16);
    b.set(new TextEncoder().encode("CLC1"));
    new DataView(b.buffer).setUint32(4, header.length, true);
    b.set(new TextEncoder().encode(header), 8);
    new DataView(b.buffer).setFloat64(8 + header.length, 42, true);
    b[b.length - 1] = 7;
    const c = parseColumns(b.buffer);
    expect(c.begin[0]).toBe(42);
    expect(c.start).toBe(1763885409000000123n);
    expect(spanIdOf(c, 0)).toBe("0000000000000007");
    expect(rowOf(c, "0000000000000007")).toBe(0);
    expect(() => parseColumns(b.buffer.slice(0, b.length - 1))).toThrow("cut off");
    expect(() => parseColumns(new ArrayBuffer(3))).toThrow("not a trace");
  });
});

describe("tree", () => {
  const c = trace([
    [-1, "root", 0, 100],
    [0, "a", 0, 10],
    [1, "x", 0, 5],
    [0, "q", 10, 2],
    [0, "q", 12, 2],
    [0, "q", 14, 2],
    [4, "deep", 14, 1],
    [0, "q", 16, 2],
    [0, "b", 20, 5, FLAG.error],
  ]);
  // row 6 hangs below row 4, which pre-order forbids here: put it right
  c.parent[6] = 5;
  c.size[4] = 1;
  c.size[5] = 2;
  const runs = findRuns(c);
  it("folds repeated siblings into one row", () => {
    const s = shown(c, runs, none);
    expect([...s.rows]).toEqual([0, 1, 2, 3, 8]);
    expect([...s.counts]).toEqual([1, 1, 1, 4, 1]);
  });
  it("opens them and folds subtrees", () => {
    const s = shown(c, runs, { folded: marks(1, 5), opened: marks(3) });
    expect([...s.rows]).toEqual([0, 1, 3, 4, 5, 7, 8]);
  });
  it("keeps matches and their ancestors", () => {
    const { keep, hit, hits } = match(c, "DEEP");
    expect(hits).toBe(1);
    expect(hit[6]).toBe(1);
    expect([...shown(c, runs, none, keep).rows]).toEqual([0, 5, 6]);
    expect(match(c, "error").hit[8]).toBe(1);
    expect(match(c, "0000000000000003").hit[2]).toBe(1);
  });
  it("finds what a row is folded into, and unfolds it", () => {
    expect(indexOf(shown(c, runs, none), 6)).toBe(3);
    const f = reveal(c, runs, { folded: marks(5), opened: marks() }, 6);
    expect([...shown(c, runs, f).rows]).toContain(6);
  });
  it("folds and opens all in a few bytes, and some the other way round", () => {
    const all = { folded: readMarks("all"), opened: readMarks(undefined) };
    expect([...shown(c, runs, all).rows]).toEqual([0, 1, 3, 8]);
    const but = { folded: readMarks("all,1"), opened: readMarks("all") };
    expect([...shown(c, runs, but).rows]).toEqual([0, 1, 2, 3, 4, 5, 7, 8]);
    const f = reveal(c, runs, all, 6);
    expect([...shown(c, runs, f).rows]).toContain(6);
    expect(writeMarks(flip(flip(all.folded, 5), 5))).toBe("all");
    expect(writeMarks(f.folded)).toBe("all,5");
    expect(writeMarks(readMarks("4,2,x"))).toBe("2,4");
  });
  it("makes a clean stair of many small steps, without leaving time out", () => {
    const s = (row: number, from: number, to: number) => ({ row, from, to });
    expect(smooth([s(0, 0, 1), s(1, 1, 3), s(0, 3, 3.5), s(2, 3.5, 50)], 4)).toEqual([s(1, 0, 3.5), s(2, 3.5, 50)]);
    expect(smooth([s(0, 0, 50), s(1, 50, 51)], 4)).toEqual([s(0, 0, 51)]);
  });
  it("makes one line of the critical path", () => {
    const p = trace([
      [-1, "r", 0, 100, 2],
      [0, "a", 10, 30, 2],
      [1, "b", 15, 5, 2],
      [0, "c", 60, 80, 2],
    ]);
    expect(thread(p)).toEqual([
      { row: 0, from: 0, to: 10 },
      { row: 1, from: 10, to: 15 },
      { row: 2, from: 15, to: 20 },
      { row: 1, from: 20, to: 40 },
      { row: 0, from: 40, to: 60 },
      { row: 3, from: 60, to: 100 },
    ]);
  });
});

describe("values", () => {
  it("shows JSON in lines, and numbers that JavaScript would round as they are", () => {
    const json = '{"items":[1,2,3],"customer":{"tier":"wholesale","since":2019},"currency":"EUR"}';
    expect(pretty("map", json)).toContain('\n  "items": [');
    expect(pretty("string", json)).toContain("\n");
    expect(pretty("map", json.replace("2019", "12345678901234567"))).not.toContain("\n");
    expect(pretty("array", '[1,"\\u003cb\\u003e"]')).toBe('[1,"<b>"]');
    expect(pretty("string", "{ not json ".repeat(20))).toBe("{ not json ".repeat(20));
  });
  it("cuts what is long, and says so", () => {
    expect(clamped("x".repeat(410), false)).toEqual({ text: "x".repeat(410), cut: false });
    expect(clamped("x".repeat(1000), false)).toEqual({ text: "x".repeat(400), cut: true });
    expect(clamped("a\n".repeat(30), false).text.split("\n")).toHaveLength(16);
    expect(clamped("x".repeat(1000), true).cut).toBe(false);
  });
});

describe("hues", () => {
  const names = ["frontend", "checkout", "payment", "shipping", "cart", "catalog", "email", "inventory", "kafka", "a", "b", "c"];
  it("differ up to twelve services, whoever asks", () => {
    const given = assign(names);
    expect(new Set(given.values()).size).toBe(12);
    expect(assign([...names].reverse())).toEqual(given);
  });
  it("are shared evenly beyond that", () => {
    const given = [...assign([...names, "d", "e", "f"]).values()];
    for (let h = 0; h < 12; h++) expect(given.filter((x) => x === h).length).toBeLessThan(3);
  });
});

describe("url", () => {
  it("understands its own, Jaeger's and Zipkin's searches", () => {
    const q = { service: "a", tag: ["k=v", "x"], range: "15m" };
    expect(readSearch(parseQuery(formatQuery(q)))).toMatchObject(q);
    expect(readSearch(parseQuery('?service=a&lookback=2h&tags={"k":"v"}&minDuration=5ms'))).toMatchObject({
      range: "2h",
      tag: ["k=v"],
      min: "5ms",
    });
    expect(readSearch(parseQuery("?service=a&lookback=custom&start=1763885409000000&tag=k:v"))).toMatchObject({
      from: "1763885409000000000",
      tag: ["k=v"],
    });
    expect(readSearch(parseQuery("?serviceName=0.0.0.0%2F4140"))).toMatchObject({ service: "0.0.0.0/4140" });
  });
  it("understands Zipkin's conditions and Jaeger's text to find", () => {
    expect(
      readSearch(parseQuery("?annotationQuery=error+and+http.path%3D%2Fx&minDuration=1500&endTs=1763885409000&lookback=60000")),
    ).toMatchObject({
      tag: ["error=true", "http.path=/x"],
      min: "1500us",
      from: "1763885349000000000",
      to: "1763885409000000000",
    });
    expect(readTrace(parseQuery("?uiFind=00000000000000ab"))).toMatchObject({ span: "00000000000000ab" });
    expect(readTrace(parseQuery("?uiFind=charge"))).toMatchObject({ q: "charge" });
  });
  it("understands the times of Zipkin's links, in all their forms", () => {
    const of = (query: string) => readSearch(parseQuery(query));
    const between = (from: number, to: number) => ({ from: `${from}000000`, to: `${to}000000` });
    expect(of("?lookback=15m&endTs=1763885409000")).toMatchObject(between(1763884509000, 1763885409000));
    expect(of("?lookback=range&startTs=1763885400000&endTs=1763885409000")).toMatchObject(between(1763885400000, 1763885409000));
    expect(of("?lookback=millis&millis=5000&endTs=1763885409000")).toMatchObject(between(1763885404000, 1763885409000));
    expect(of("?lookback=custom&startTs=1763885400000&endTs=1763885409000")).toMatchObject(between(1763885400000, 1763885409000));
    expect(of("?endTs=1763885409000")).toMatchObject(between(1763799009000, 1763885409000));
    expect(of("?endTs=9&lookback=3600000")).toMatchObject({ from: "0000000", to: "9000000" });
    expect(of("?endTs=soon&lookback=3600000")).toMatchObject({ from: undefined, to: undefined });
    expect(of("?lookback=3600000")).toMatchObject({ range: "1h", from: undefined });
    expect(of("?lookback=5000")).toMatchObject({ range: "5s" });
    expect(of("?lookback=9999999999999")).toMatchObject({ range: "115741d" });
    expect(of("?serviceName=all&spanName=all&sortOrder=duration-desc&remoteServiceName=mysql&limit=10")).toMatchObject({
      service: undefined,
      operation: undefined,
      sortOrder: undefined,
      tag: ["peer.service=mysql"],
      limit: "10",
    });
  });
  it("understands a foreign link once, however often it is read", () => {
    const once = readSearch(parseQuery('?tags={"k":"v"}&annotationQuery=error&lookback=2h&tag=k:v'));
    const query = formatQuery({ ...parseQuery('?tags={"k":"v"}&annotationQuery=error&lookback=2h'), ...once });
    expect(query).toBe("?range=2h&tag=k%3Dv&tag=error%3Dtrue".replace("range=2h&", "") + "&range=2h");
    expect(readSearch(parseQuery(query))).toEqual(once);
  });
  it("drops times that are none", () => {
    expect(readSearch(parseQuery("?from=yesterday&to=1&tmin=1e9"))).toMatchObject({ from: undefined, to: "1", tmin: undefined });
    expect(readSearch(parseQuery("?from=1577836800000000000")).from).toBe("1577836800000000000");
  });
  it("reads several tags, quotes, and values with spaces", () => {
    expect(readTyped("a=1 b=2")).toEqual(["a=1", "b=2"]);
    expect(readTyped('a="two words" b="say \\"hi\\""')).toEqual(["a=two words", 'b=say "hi"']);
    expect(readTyped("db.statement=SELECT * FROM t WHERE a=1")).toEqual(["db.statement=SELECT * FROM t WHERE a=1"]);
    expect(readTyped("  http.route  ")).toEqual(["http.route"]);
    expect(readTyped("url=http://x/?a=b c=d")).toEqual(["url=http://x/?a=b", "c=d"]);
    expect(readTyped('say="unfinished')).toEqual(['say="unfinished']);
    expect(readTyped("empty=")).toEqual(["empty="]);
  });
  it("asks the API for what the page says", () => {
    expect(searchQuery({ service: "a", range: "5m" }, 1_000_000_000_000n).toString()).toBe(
      "service=a&from=700000000000&limit=100",
    );
  });
  it("finds trace IDs in headers and links", () => {
    const id = "5b8efff798038103d269b633813fc60c";
    for (const s of [
      id,
      id.toUpperCase(),
      `00-${id}-eee19b7ec3c1b174-01`,
      `traceparent: 00-${id}-eee19b7ec3c1b174-01`,
      `${id}-eee19b7ec3c1b174-1`,
      `${id}:1:0:1`,
      `http://x/trace/${id}?a=b`,
    ])
      expect(traceIdIn(s), s).toBe(id);
    expect(traceIdIn("eee19b7ec3c1b174")).toBe("0000000000000000eee19b7ec3c1b174");
    expect(traceIdIn("cart")).toBeUndefined();
    expect(["a1...b2", "...b2", "a1...", "a1", "..."].map(firstOf)).toEqual(["a1", "b2", "a1", "a1", "..."]);
  });
  it("reads a zoom, or all", () => {
    expect(readZoom("5-10", 100)).toEqual([5, 10]);
    expect(readZoom("10-5", 100)).toEqual([0, 100]);
    expect(readZoom(undefined, 100)).toEqual([0, 100]);
  });
});

describe("format", () => {
  it("has three figures at most", () => {
    expect(duration(1_420_000_000)).toEqual(["1.42", "s"]);
    expect(duration(410_400_000)).toEqual(["410", "ms"]);
    expect(duration(5_000)).toEqual(["5", "µs"]);
    expect(duration(12)).toEqual(["12", "ns"]);
    expect(count(41_234)).toBe("41.2k");
    expect([0, 1, 2, 41_234].map((n) => several(n, "span"))).toEqual(["0 spans", "1 span", "2 spans", "41.2k spans"]);
    expect(ticks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticks(1_234_500, 1_234_600, 5)).toEqual([1_234_500, 1_234_520, 1_234_540, 1_234_560, 1_234_580, 1_234_600]);
  });
  it("tells places on an axis apart, however near", () => {
    expect(tickText(1_234_520_000, 20_000)).toBe("1.23452 s");
    expect(tickText(50e6, 50e6)).toBe("50 ms");
    expect(tickText(0, 5)).toBe("0");
  });
  it("puts round times and durations on the picture's axes", () => {
    const base = new Date(2026, 0, 5, 12, 0, 3).getTime() * 1000;
    expect(timeTicks(base, base + 60_000_000, 5).map((t) => t[1])).toEqual(["12:00:15", "12:00:30", "12:00:45", "12:01:00"]);
    expect(logTicks(4e6, 120e6)).toEqual([5e6, 10e6, 20e6, 50e6, 100e6]);
    expect(logTicks(1e3, 2e9)).toEqual([1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);
  });
});
