// Which rows of a trace are shown: subtrees folded, repeated siblings as one row, or only what a filter matches.
import { FLAG, type Columns } from "./columns";

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
  folded: ReadonlySet<number>; // rows whose subtree is hidden
  opened: ReadonlySet<number>; // first rows of runs that are not folded into one
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
    if (runs.count[i] > 1 && !f.opened.has(i)) {
      counts[n++] = runs.count[i];
      i = runs.end[i];
    } else {
      counts[n++] = 1;
      i += f.folded.has(i) ? c.size[i] : 1;
    }
  }
  return { rows: rows.subarray(0, n), counts: counts.subarray(0, n) };
}

/** Marks the rows that a text matches, and their ancestors. `error`, `gap` and `critical` match those. */
export function match(c: Columns, text: string): { keep: Uint8Array; hits: number[] } {
  const want = text.trim().toLowerCase();
  const keep = new Uint8Array(c.rows);
  const hits: number[] = [];
  const bit = { error: FLAG.error, gap: FLAG.ghost, critical: FLAG.critical }[want] ?? 0;
  const services = c.services.map((s) => s.toLowerCase().includes(want));
  const names = c.names.map((s) => s.toLowerCase().includes(want));
  for (let i = 0; i < c.rows; i++) {
    if (bit ? c.flags[i] & bit : services[c.service[i]] || names[c.name[i]]) {
      hits.push(i);
      for (let p = i; p >= 0 && !keep[p]; p = c.parent[p]) keep[p] = 1;
    }
  }
  return { keep, hits };
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
  const folded = new Set(f.folded);
  const opened = new Set(f.opened);
  for (let p = c.parent[row]; p >= 0; p = c.parent[p]) folded.delete(p);
  for (let r = row; r >= 0; r = c.parent[r]) {
    const first = runStart(c, runs, r);
    if (first >= 0) opened.add(first);
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
