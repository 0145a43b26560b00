import { describe, expect, it } from "vitest";
import { FLAG, parseColumns, rowOf, spanIdOf, type Columns } from "./columns";
import { count, duration, ticks } from "./format";
import { findRuns, indexOf, match, reveal, shown, thread } from "./tree";
import { formatQuery, parseQuery, readSearch, readZoom, searchQuery, traceIdIn } from "./url";

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

const none = { folded: new Set<number>(), opened: new Set<number>() };

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
    const s = shown(c, runs, { folded: new Set([1, 5]), opened: new Set([3]) });
    expect([...s.rows]).toEqual([0, 1, 3, 4, 5, 7, 8]);
  });
  it("keeps matches and their ancestors", () => {
    const { keep, hits } = match(c, "DEEP");
    expect(hits).toEqual([6]);
    expect([...shown(c, runs, none, keep).rows]).toEqual([0, 5, 6]);
    expect(match(c, "error").hits).toEqual([8]);
  });
  it("finds what a row is folded into, and unfolds it", () => {
    expect(indexOf(shown(c, runs, none), 6)).toBe(3);
    const f = reveal(c, runs, { folded: new Set([5]), opened: new Set() }, 6);
    expect([...shown(c, runs, f).rows]).toContain(6);
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
    expect(ticks(100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
  });
});
