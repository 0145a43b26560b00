// What the waterfall's canvas shows: grid, bars and the thread.
import { FLAG, type Columns } from "../columns";
import { durationText, ticks } from "../format";
import { hue } from "../hue";
import { ink } from "../paint";
import { indexOf, smooth, type Runs, type Segment, type Shown } from "../tree";

const padLeft = 6;
const padRight = 22;

export type Scale = (t: number) => number;

/** Pixels of a moment, in ns since the trace's start. */
export const scaleOf =
  ([z0, z1]: [number, number], w: number): Scale =>
  (t) =>
    padLeft + ((t - z0) / (z1 - z0)) * (w - padLeft - padRight);

export function drawGrid(g: CanvasRenderingContext2D, zoom: [number, number], x: Scale, w: number, height: number) {
  g.strokeStyle = ink("--line-1");
  g.lineWidth = 1;
  g.beginPath();
  for (const t of ticks(zoom[0], zoom[1], Math.max(2, w / 110))) {
    const px = Math.round(x(t)) + 0.5;
    g.moveTo(px, 0);
    g.lineTo(px, height);
  }
  g.stroke();
}

export interface Visible {
  c: Columns;
  runs: Runs;
  list: Shown;
  first: number;
  last: number;
}

export function drawBars(g: CanvasRenderingContext2D, v: Visible, y: (i: number) => number, h: number, x: Scale, w: number) {
  for (let i = v.first; i < v.last; i++) {
    const row = v.list.rows[i];
    const pen = { g, y: y(i), h, x, w, color: ink(hue(v.c.services[v.c.service[row]])) };
    if (v.c.flags[row] & FLAG.ghost) drawGhost(pen, v.c, row);
    else if (v.list.counts[i] > 1) drawRun(pen, v.c, row, v.runs.end[row]);
    else drawSpan(pen, v.c, row);
  }
}

interface Pen {
  g: CanvasRenderingContext2D;
  y: number;
  h: number;
  x: Scale;
  w: number;
  color: string;
}

function bar({ g, y, h, x, w, color }: Pen, from: number, to: number, alpha: number, least = 2) {
  const a = Math.max(-4, x(from));
  const b = Math.min(w + 4, Math.max(x(to), a + least));
  if (b < 0 || a > w) return;
  g.globalAlpha = alpha;
  g.fillStyle = color;
  g.beginPath();
  g.roundRect(a, y, b - a, h, Math.min(2, (b - a) / 2));
  g.fill();
  g.globalAlpha = 1;
}

function drawGhost({ g, y, h, x, w }: Pen, c: Columns, row: number) {
  const a = Math.max(-8, x(c.begin[row]));
  const b = Math.min(w + 8, Math.max(a + 2, x(c.begin[row] + c.duration[row])));
  g.strokeStyle = ink("--text-3");
  g.lineWidth = 1;
  g.save();
  g.beginPath();
  g.roundRect(a + 0.5, y + 0.5, Math.max(1, b - a - 1), h - 1, 2);
  g.setLineDash([3, 3]);
  g.stroke();
  g.clip();
  g.setLineDash([]);
  g.globalAlpha = 0.35;
  g.beginPath();
  for (let px = a - h; px < b; px += 5) {
    g.moveTo(px, y + h);
    g.lineTo(px + h, y);
  }
  g.stroke();
  g.restore();
}

// One tick a call, as far as there is a pixel for each; then how much they are together.
function drawRun(pen: Pen, c: Columns, row: number, end: number) {
  const { g, x, y, h, w } = pen;
  let to = c.begin[row];
  let sum = 0;
  let failed = false;
  const durations: number[] = [];
  for (let r = row; r < end; r += c.size[r]) {
    to = Math.max(to, c.begin[r] + c.duration[r]);
    sum += c.duration[r];
    durations.push(c.duration[r]);
    failed ||= (c.flags[r] & FLAG.error) !== 0;
  }
  bar(pen, c.begin[row], to, 0.3);
  let covered = -9;
  for (let r = row; r < end; r += c.size[r]) {
    const a = x(c.begin[r]);
    const b = x(c.begin[r] + c.duration[r]);
    if (b < covered + 1) continue;
    // A pixel is left free between calls, so that they can be told apart.
    bar(
      pen,
      a < covered + 1 ? c.begin[r] + ((covered + 1 - a) / Math.max(b - a, 1e-9)) * c.duration[r] : c.begin[r],
      c.begin[r] + c.duration[r],
      1,
      1,
    );
    covered = Math.max(b, a + 1);
  }
  const edge = Math.max(x(to), x(c.begin[row]) + 2);
  if (failed) cross(g, edge + 9, y + h / 2);
  durations.sort((p, q) => p - q);
  note(pen, edge + (failed ? 20 : 8), x(c.begin[row]) - 8, [
    `Σ ${durationText(sum)} in ${durations.length} calls, median ${durationText(durations[durations.length >> 1])}`,
    `Σ ${durationText(sum)} in ${durations.length}`,
  ]);
  if (edge < 0 || edge > w) return;
}

// Words beside a bar: behind it or before it, the longest that fits.
function note({ g, y, h, w }: Pen, behind: number, before: number, texts: string[]) {
  g.fillStyle = ink("--text-2");
  g.textBaseline = "middle";
  for (const text of texts) {
    const wide = g.measureText(text).width;
    if (behind > 0 && behind + wide < w - 4) {
      g.textAlign = "left";
      g.fillText(text, behind, y + h / 2 + 0.5);
      return;
    }
    if (before < w && before - wide > 4) {
      g.textAlign = "right";
      g.fillText(text, before, y + h / 2 + 0.5);
      return;
    }
  }
}

function drawSpan(pen: Pen, c: Columns, row: number) {
  const { g, x, y, h } = pen;
  const from = c.begin[row];
  const to = from + c.duration[row];
  const parent = c.size[row] > 1;
  bar(pen, from, to, parent ? 0.3 : 1);
  // Solid is work: the stretches in which no child runs.
  let at = from;
  let drawn = 0;
  for (let k = row + 1; k < row + c.size[row] && drawn < 400; k += c.size[k]) {
    if (c.begin[k] > at && at < to && x(c.begin[k]) - x(at) > 0.5) {
      bar(pen, at, Math.min(c.begin[k], to), 1, 1);
      drawn++;
    }
    at = Math.max(at, Math.min(to, c.begin[k] + c.duration[k]));
  }
  if (parent && at < to) bar(pen, at, to, 1, 1);
  if (!(c.flags[row] & FLAG.error)) return;
  const a = x(from);
  const b = Math.max(x(to), a + 2);
  g.strokeStyle = ink("--err");
  g.lineWidth = 1.5;
  g.beginPath();
  g.roundRect(a + 0.5, y + 0.5, Math.max(1, b - a - 1), h - 1, 2);
  g.stroke();
  cross(g, b + 9, y + h / 2);
}

function cross(g: CanvasRenderingContext2D, x: number, y: number) {
  g.strokeStyle = ink("--err");
  g.lineWidth = 2;
  g.beginPath();
  g.moveTo(x - 3, y - 3);
  g.lineTo(x + 3, y + 3);
  g.moveTo(x + 3, y - 3);
  g.lineTo(x - 3, y + 3);
  g.stroke();
}

/** The thread runs under the bars: in at the root, down each step the trace had to wait for, out at the end. */
export function drawThread(
  g: CanvasRenderingContext2D,
  path: Segment[],
  list: Shown,
  y: (i: number) => number,
  x: Scale,
  w: number,
  height: number,
) {
  if (path.length === 0) return;
  // Hops under a few pixels would make a thicket of it.
  const pixel = 1 / (x(1) - x(0));
  const steps = smooth(path, 4 * pixel).map((s) => ({ a: x(s.from), b: x(s.to), y: y(indexOf(list, s.row)) }));
  const seen = steps.filter((s) => s.b > -20 && s.a < w + 20);
  const near = (v: number) => Math.max(-40, Math.min(height + 40, v));
  g.strokeStyle = ink("--thread");
  g.globalAlpha = 0.75;
  g.lineWidth = 1.25;
  g.beginPath();
  const first = path[0];
  const last = path[path.length - 1];
  const [firstY, lastY] = [y(indexOf(list, first.row)), y(indexOf(list, last.row))];
  const tie = (px: number, from: number, to: number) => {
    g.moveTo(px, near(from));
    g.lineTo(px, near(to));
  };
  tie(x(first.from), firstY, steps[0].y);
  tie(x(last.to), steps[steps.length - 1].y, lastY);
  seen.forEach((s, k) => {
    if (k > 0) tie(s.a, seen[k - 1].y, s.y);
  });
  g.stroke();
  g.globalAlpha = 1;
  g.lineWidth = 2;
  g.beginPath();
  for (const s of seen) {
    if (s.y < -10 || s.y > height + 10) continue;
    g.moveTo(Math.max(-20, s.a), s.y);
    g.lineTo(Math.min(w + 20, s.b), s.y);
  }
  g.stroke();
  end(g, x(first.from), firstY, "--thread");
  end(g, x(last.to), lastY, "--panel");
}

function end(g: CanvasRenderingContext2D, x: number, y: number, fill: string) {
  g.beginPath();
  g.arc(x, y, 3.2, 0, 7);
  g.fillStyle = ink(fill);
  g.fill();
  g.lineWidth = 1.75;
  g.stroke();
}
