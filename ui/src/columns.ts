// A trace as columns in tree pre-order: views on the bytes that came, no object per span.

export interface Columns {
  traceId: string;
  version: string;
  start: bigint; // Unix ns
  durationNs: number;
  rows: number;
  spans: number;
  errors: number;
  gaps: number;
  services: string[];
  names: string[];
  begin: Float64Array; // ns since start
  duration: Float64Array;
  self: Float64Array;
  spanId: Uint8Array; // 8 bytes each
  parent: Int32Array;
  size: Uint32Array; // rows of the subtree, itself included
  depth: Uint16Array;
  service: Uint32Array;
  name: Uint32Array;
  kind: Uint8Array;
  flags: Uint8Array;
}

export const FLAG = { error: 1, critical: 2, ghost: 4, events: 8, links: 16, skewed: 32 } as const;

export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

const makers = {
  f64: (b: ArrayBuffer, at: number, bytes: number) => new Float64Array(b, at, bytes / 8),
  i32: (b: ArrayBuffer, at: number, bytes: number) => new Int32Array(b, at, bytes / 4),
  u32: (b: ArrayBuffer, at: number, bytes: number) => new Uint32Array(b, at, bytes / 4),
  u16: (b: ArrayBuffer, at: number, bytes: number) => new Uint16Array(b, at, bytes / 2),
  u8: (b: ArrayBuffer, at: number, bytes: number) => new Uint8Array(b, at, bytes),
};

/** Reads the wire form that docs/http-api.md describes; throws on anything else. */
export function parseColumns(buffer: ArrayBuffer): Columns {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== "CLC1")
    throw new Error("the answer is not a trace in columns");
  const length = new DataView(buffer).getUint32(4, true);
  if (8 + length > bytes.length) throw new Error("the trace was cut off on its way");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const columns: Record<string, unknown> = {};
  for (const c of header.columns as { name: string; type: keyof typeof makers; offset: number; bytes: number }[]) {
    const at = 8 + length + c.offset;
    if (at + c.bytes > bytes.length) throw new Error(`column ${c.name} was cut off on its way`);
    columns[c.name] = makers[c.type](buffer, at, c.bytes);
  }
  const { start, columns: _, ...facts } = header;
  return {
    ...facts,
    services: header.services ?? [],
    names: header.names ?? [],
    start: BigInt(start),
    begin: columns.start,
    duration: columns.duration,
    self: columns.self,
    spanId: columns.spanId,
    parent: columns.parent,
    size: columns.size,
    depth: columns.depth,
    service: columns.service,
    name: columns.name,
    kind: columns.kind,
    flags: columns.flags,
  } as Columns;
}

/** The span ID of a row in hexadecimal digits. */
export function spanIdOf(c: Columns, row: number): string {
  let s = "";
  for (let i = row * 8; i < row * 8 + 8; i++) s += c.spanId[i].toString(16).padStart(2, "0");
  return s;
}

/** The row of a span ID, or -1. */
export function rowOf(c: Columns, spanId: string): number {
  if (!/^[0-9a-f]{16}$/.test(spanId)) return -1;
  const want = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => parseInt(spanId.slice(2 * i, 2 * i + 2), 16));
  for (let row = 0; row < c.rows; row++) {
    let i = 0;
    while (i < 8 && c.spanId[row * 8 + i] === want[i]) i++;
    if (i === 8) return row;
  }
  return -1;
}
