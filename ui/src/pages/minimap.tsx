// All rows of a trace at once, however many; dragging over it zooms.
import { useCallback, useMemo, useRef, useState, type PointerEvent } from "react";
import { FLAG, type Columns } from "../columns";
import { several } from "../format";
import { hue } from "../hue";
import { ink, useCanvas, type Draw } from "../paint";
import type { Segment } from "../tree";
import styles from "./trace.module.css";

const LINES = 20; // rows are gathered into that many lines at most
const BINS = 800; // and time into that many steps

/** What each cell shows: the service of its longest span + 1, and whether one failed. At most LINES × BINS, however long the trace. */
function gather(c: Columns) {
  const lines = Math.min(LINES, c.rows);
  const cells = new Uint16Array(lines * BINS);
  const weight = new Float32Array(lines * BINS);
  const failed = new Uint8Array(lines * BINS);
  const length = c.durationNs || 1;
  for (let i = 0; i < c.rows; i++) {
    if (c.flags[i] & FLAG.ghost) continue;
    const line = Math.floor((i / c.rows) * lines) * BINS;
    const from = Math.min(BINS - 1, Math.floor((c.begin[i] / length) * BINS));
    const to = Math.min(BINS - 1, Math.floor(((c.begin[i] + c.duration[i]) / length) * BINS));
    const error = c.flags[i] & FLAG.error;
    // Long spans are background: what is shorter is drawn over them.
    const w = 1 / (to - from + 1);
    for (let x = from; x <= to; x++) {
      if (w >= weight[line + x]) {
        weight[line + x] = w;
        cells[line + x] = c.service[i] + 1;
      }
    }
    if (error) failed[line + to] = 1;
  }
  return { lines, cells, failed };
}

interface Props {
  c: Columns;
  path: Segment[];
  zoom: [number, number];
  set: (from: number, to: number) => void;
}

export function Minimap({ c, path, zoom, set }: Props) {
  const cells = useMemo(() => gather(c), [c]);
  const [drag, setDrag] = useState<[number, number]>();
  const width = useRef(1);
  const draw = useCallback<Draw>(
    (g, w, h) => {
      width.current = w;
      const step = (h - 18) / cells.lines;
      const tall = Math.max(1, Math.min(3, step - 0.5));
      for (let l = 0; l < cells.lines; l++) {
        const y = 5 + l * step;
        for (let x = 0; x < BINS;) {
          const s = cells.cells[l * BINS + x];
          let n = x + 1;
          while (n < BINS && cells.cells[l * BINS + n] === s) n++;
          if (s) {
            g.fillStyle = ink(hue(c.services[s - 1]));
            g.fillRect((x / BINS) * w, y, Math.max(1, ((n - x) / BINS) * w), tall);
          }
          x = n;
        }
        g.fillStyle = ink("--err");
        for (let x = 0; x < BINS; x++) if (cells.failed[l * BINS + x]) g.fillRect((x / BINS) * w - 1, y - 1, 4, 4);
      }
      // The thread, as the line at the bottom; breaks show where it goes from one service to another.
      g.fillStyle = ink("--thread");
      for (const s of path) {
        const from = (s.from / (c.durationNs || 1)) * w;
        const to = (s.to / (c.durationNs || 1)) * w;
        g.fillRect(from, h - 6, Math.max(0.5, to - from - (to - from > 6 ? 1 : 0)), 2);
      }
      const [a, b] = drag ? [Math.min(...drag), Math.max(...drag)] : zoom.map((t) => (t / (c.durationNs || 1)) * w);
      g.fillStyle = ink("--bg");
      g.globalAlpha = 0.72;
      g.fillRect(0, 0, a, h);
      g.fillRect(b, 0, w - b, h);
      g.globalAlpha = 1;
      g.fillStyle = ink("--line-3");
      for (const x of [a, b]) {
        g.beginPath();
        g.roundRect(Math.min(w - 4, Math.max(0, x - 2)), h / 2 - 11, 4, 22, 2);
        g.fill();
      }
    },
    [c, path, cells, zoom, drag],
  );
  const ref = useCanvas(draw);
  const at = (e: PointerEvent) => Math.max(0, Math.min(width.current, e.clientX - e.currentTarget.getBoundingClientRect().left));
  return (
    <div
      className={styles.mini}
      role="img"
      aria-label={`${several(c.spans, "span")} in time; the keys w, s, a and d zoom and pan`}
    >
      <canvas
        ref={ref}
        onPointerDown={(e) => {
          e.currentTarget.setPointerCapture(e.pointerId);
          setDrag([at(e), at(e)]);
        }}
        onPointerMove={(e) => drag && setDrag([drag[0], at(e)])}
        onPointerUp={() => {
          const d = drag;
          setDrag(undefined);
          if (!d) return;
          const [a, b] = [Math.min(...d), Math.max(...d)].map((x) => (x / width.current) * c.durationNs);
          if (Math.abs(d[1] - d[0]) < 4) set(0, c.durationNs);
          else set(a, b);
        }}
      />
    </div>
  );
}
