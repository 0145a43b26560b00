// Which rows of a trace are shown: subtrees folded, repeated siblings as one row, or only what a filter matches.
import { FLAG, rowOf, type Columns } from "./columns";
import type { Marks } from "./url";

/** How many like siblings in a row become one. */
export const REPEATS = 4;

export interface Runs {
  end: Int32Array; // by row: first row behind the run that begins here, 0 if none does
  count: Int32Array; // by row: siblings in the run that begins here
}

/** Finds runs of siblings of the same service and name. */
export function findRuns(c: Columns): Runs {
  const end = new Int32Array(c.rows);
  const count = new Int32Array(c.rows);
  const done = new Uint8Array(c.rows);
  for (let i = 0; i < c.rows; i++) {
    if (done[i]) continue;
    let n = 1;
    let j = i + c.size[i];
    while (
      j < c.rows &&
      c.parent[j] === c.parent[i] &&
      c.service[j] === c.service[i] &&
      c.name[j] === c.name[i] &&
      !(c.flags[j] & FLAG.ghost)
    ) {
      done[j] = 1;
      n++;
      j += c.size[j];
    }
    if (n >= REPEATS && !(c.flags[i] & FLAG.ghost)) {
      end[i] = j;
      count[i] = n;
    }
  }
  return { end, count };
}

export interface Shown {
  rows: Int32Array;
  counts: Int32Array; // > 1: a folded run of that many siblings
}

export interface Folding {
  folded: Marks; // rows whose subtree is hidden; all: those of all rows but roots
  opened: Marks; // first rows of runs that are not folded into one
}

export const isFolded = (c: Columns, f: Folding, row: number) => (f.folded.all && c.depth[row] > 0) !== f.folded.rows.has(row);

export const isOpened = (f: Folding, row: number) => f.opened.all !== f.opened.rows.has(row);

/** Marks, one of them the other way round. */
export function flip(m: Marks, row: number): Marks {
  const rows = new Set(m.rows);
  if (!rows.delete(row)) rows.add(row);
  return { all: m.all, rows };
}

/** The rows to show, in order. */
export function shown(c: Columns, runs: Runs, f: Folding, keep?: Uint8Array): Shown {
  const rows = new Int32Array(c.rows);
  const counts = new Int32Array(c.rows);
  let n = 0;
  for (let i = 0; i < c.rows;) {
    if (keep) {
      if (keep[i]) {
        rows[n] = i;
        counts[n++] = 1;
        i++;
      } else {
        i += c.size[i];
      }
      continue;
    }
    rows[n] = i;
    if (runs.count[i] > 1 && !isOpened(f, i)) {
      counts[n++] = runs.count[i];
      i = runs.end[i];
    } else {
      counts[n++] = 1;
      i += isFolded(c, f, i) ? c.size[i] : 1;
    }
  }
  return { rows: rows.subarray(0, n), counts: counts.subarray(0, n) };
}

export interface Found {
  keep: Uint8Array; // by row: matches, or has a match below
  hit: Uint8Array; // by row: matches
  hits: number;
}

/** Marks the rows that a text matches, and their ancestors. `error`, `gap` and `critical` match those. */
export function match(c: Columns, text: string): Found {
  const want = text.trim().toLowerCase();
  const keep = new Uint8Array(c.rows);
  const hit = new Uint8Array(c.rows);
  let hits = 0;
  const bit = { error: FLAG.error, gap: FLAG.ghost, critical: FLAG.critical }[want] ?? 0;
  const services = c.services.map((s) => s.toLowerCase().includes(want));
  const names = c.names.map((s) => s.toLowerCase().includes(want));
  const exact = rowOf(c, want);
  for (let i = 0; i < c.rows; i++) {
    if (i === exact || (bit ? c.flags[i] & bit : services[c.service[i]] || names[c.name[i]])) {
      hit[i] = 1;
      hits++;
      for (let p = i; p >= 0 && !keep[p]; p = c.parent[p]) keep[p] = 1;
    }
  }
  return { keep, hit, hits };
}

/** Where a row is in what is shown: itself, or what it is folded into. */
export function indexOf(s: Shown, row: number): number {
  let lo = 0;
  let hi = s.rows.length - 1;
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1;
    if (s.rows[mid] <= row) lo = mid;
    else hi = mid - 1;
  }
  return lo;
}

/** What must be unfolded for a row to be shown. */
export function reveal(c: Columns, runs: Runs, f: Folding, row: number): Folding {
  let { folded, opened } = f;
  for (let p = c.parent[row]; p >= 0; p = c.parent[p]) if (isFolded(c, f, p)) folded = flip(folded, p);
  for (let r = row; r >= 0; r = c.parent[r]) {
    const first = runStart(c, runs, r);
    if (first >= 0 && !isOpened({ folded, opened }, first)) opened = flip(opened, first);
  }
  return { folded, opened };
}

function runStart(c: Columns, runs: Runs, row: number): number {
  for (let i = row; i >= 0 && i > c.parent[row]; i--) {
    if (runs.count[i] > 1 && c.parent[i] === c.parent[row]) return runs.end[i] > row ? i : -1;
  }
  return -1;
}

export interface Segment {
  row: number;
  from: number; // ns since the trace's start
  to: number;
}

/** The critical path as one line in time: each row's time less that of its children on the path. */
export function thread(c: Columns): Segment[] {
  const out: Segment[] = [];
  const stack: { row: number; at: number; end: number }[] = [];
  const close = () => {
    const top = stack.pop()!;
    if (top.end > top.at) out.push({ row: top.row, from: top.at, to: top.end });
    const parent = stack.at(-1);
    if (parent) parent.at = Math.max(parent.at, Math.min(top.end, parent.end));
  };
  for (let i = 0; i < c.rows; i++) {
    if (!(c.flags[i] & FLAG.critical)) continue;
    while (stack.length && stack.at(-1)!.row !== c.parent[i]) {
      if (i < stack.at(-1)!.row + c.size[stack.at(-1)!.row] && c.parent[i] !== stack.at(-1)!.row) break;
      close();
    }
    const parent = stack.at(-1);
    const from = parent ? Math.max(c.begin[i], parent.at) : c.begin[i];
    const end = parent ? Math.min(c.begin[i] + c.duration[i], parent.end) : c.begin[i] + c.duration[i];
    if (parent && from > parent.at) out.push({ row: parent.row, from: parent.at, to: from });
    if (parent) parent.at = Math.max(parent.at, from);
    stack.push({ row: i, at: from, end });
  }
  while (stack.length) close();
  return out.sort((a, b) => a.from - b.from);
}

/** Time on the critical path, by row. */
export function onThread(c: Columns, path: readonly Segment[]): Float64Array {
  const out = new Float64Array(c.rows);
  for (const s of path) out[s.row] += s.to - s.from;
  return out;
}

/**
 * The path for drawing: stretches shorter than the least are gathered, as long as they follow each other, into one of the
 * row that has most of it, so that the line stays a clean stair and still leaves no time out.
 */
export function smooth(path: readonly Segment[], least: number): Segment[] {
  const out: Segment[] = [];
  let run: Segment[] = [];
  const flush = () => {
    if (run.length === 0) return;
    const by = new Map<number, number>();
    for (const s of run) by.set(s.row, (by.get(s.row) ?? 0) + s.to - s.from);
    const [row] = [...by].reduce((a, b) => (b[1] > a[1] ? b : a));
    const from = run[0].from;
    const to = run[run.length - 1].to;
    const last = out.at(-1);
    if (to - from >= least || !last) out.push({ row, from, to });
    else last.to = to;
    run = [];
  };
  for (const s of path) {
    if (s.to - s.from >= least) {
      flush();
      out.push({ ...s });
    } else {
      run.push(s);
      if (run[run.length - 1].to - run[0].from >= least) flush();
    }
  }
  flush();
  return out;
}
