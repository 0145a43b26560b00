// The waterfall: real rows for what can be seen, recycled by slot, and one canvas behind them for the bars and the thread.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type PointerEvent } from "react";
import { FLAG, spanIdOf, type Columns } from "../columns";
import { durationText, ticks } from "../format";
import { hue, ink, useCanvas, type Draw } from "../paint";
import { Duration, ErrorMark, GapMark, Icon, Swatch } from "../parts";
import { indexOf, type Folding, type Runs, type Segment, type Shown } from "../tree";
import styles from "./trace.module.css";

interface Props {
  c: Columns;
  runs: Runs;
  list: Shown;
  folding: Folding;
  path: Segment[];
  zoom: [number, number];
  row: number;
  go: (row: number) => void;
  fold: (at: number) => void;
}

const narrowQuery = matchMedia("(max-width: 760px)");
const padLeft = 6;
const padRight = 22;

function useNarrow() {
  const [narrow, setNarrow] = useState(narrowQuery.matches);
  useEffect(() => {
    const change = () => setNarrow(narrowQuery.matches);
    narrowQuery.addEventListener("change", change);
    return () => narrowQuery.removeEventListener("change", change);
  }, []);
  return narrow;
}

/** Pixels of a moment, in ns since the trace's start. */
const scaleOf =
  ([z0, z1]: [number, number], w: number) =>
  (t: number) =>
    padLeft + ((t - z0) / (z1 - z0)) * (w - padLeft - padRight);

export function Waterfall({ c, runs, list, folding, path, zoom, row, go, fold }: Props) {
  const narrow = useNarrow();
  const rowHeight = narrow ? 44 : 24;
  const scroll = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [tree, setTree] = useState(390);
  useLayoutEffect(() => {
    const el = scroll.current!;
    const observer = new ResizeObserver(() => setView({ top: el.scrollTop, height: el.clientHeight }));
    observer.observe(el);
    return () => observer.disconnect();
  }, []);
  const total = list.rows.length;
  const first = Math.max(0, Math.floor(view.top / rowHeight) - 4);
  const last = Math.min(total, Math.ceil((view.top + view.height) / rowHeight) + 4);

  // The selected row is kept in sight, and in focus when the rows are.
  const at = row < 0 ? -1 : indexOf(list, row);
  useEffect(() => {
    const el = scroll.current!;
    if (at < 0) return;
    const y = at * rowHeight;
    if (y < el.scrollTop + rowHeight) el.scrollTop = y - rowHeight * 2;
    else if (y > el.scrollTop + el.clientHeight - 2 * rowHeight) el.scrollTop = y - el.clientHeight + rowHeight * 3;
  }, [at, rowHeight]);
  useEffect(() => {
    if (at >= 0 && scroll.current?.contains(document.activeElement))
      scroll.current.querySelector<HTMLElement>(`[data-at="${at}"]`)?.focus({ preventScroll: true });
  }, [at, first, last]);

  const draw = useCallback<Draw>(
    (g, w) => {
      const x = scaleOf(zoom, w);
      g.strokeStyle = ink("--line-1");
      g.lineWidth = 1;
      if (!narrow)
        for (const t of ticks(zoom[1] - zoom[0], Math.max(2, w / 110))) {
          const px = Math.round(x(zoom[0] + t)) + 0.5;
          g.beginPath();
          g.moveTo(px, 0);
          g.lineTo(px, view.height);
          g.stroke();
        }
      const y = (i: number) => i * rowHeight - view.top;
      for (let i = first; i < last; i++) drawBar(g, c, runs, list, i, y(i) + (narrow ? 29 : 6), narrow ? 9 : 12, x, w);
      drawThread(g, path, list, (i) => y(i) + (narrow ? 40 : 20.5), x, w, view.height);
    },
    [c, runs, list, path, zoom, view, first, last, narrow, rowHeight],
  );
  const bars = useCanvas(draw);

  const drag = (e: PointerEvent<HTMLSpanElement>) => {
    if (e.buttons !== 1) return;
    const left = scroll.current!.getBoundingClientRect().left;
    setTree(Math.max(180, Math.min(e.clientX - left, scroll.current!.clientWidth - 200)));
  };
  const rows = [];
  const slots = last - first;
  for (let i = first; i < last; i++) {
    // The key is the slot, not the row: scrolling then changes rows in place and makes none.
    rows.push(
      <Row
        key={i % (slots + 1)}
        c={c}
        row={list.rows[i]}
        times={list.counts[i]}
        at={i}
        top={i * rowHeight}
        foldable={
          c.size[list.rows[i]] > 1 || list.counts[i] > 1 || (runs.count[list.rows[i]] > 1 && folding.opened.has(list.rows[i]))
        }
        open={list.counts[i] === 1 && !folding.folded.has(list.rows[i])}
        selected={i === at}
        focusable={at < 0 ? i === 0 : i === at}
        total={total}
        go={go}
        fold={fold}
      />,
    );
  }
  return (
    <div className={styles.grid} style={{ "--tree": `${tree}px` } as React.CSSProperties}>
      <div className={styles.heads}>
        <div>
          <span>Service and operation</span>
          <span>Duration</span>
          <span
            className={styles.resize}
            role="separator"
            aria-orientation="vertical"
            onPointerDown={(e) => e.currentTarget.setPointerCapture(e.pointerId)}
            onPointerMove={drag}
          />
        </div>
        <Axis zoom={zoom} />
      </div>
      <div
        ref={scroll}
        className={styles.scroll}
        role="treegrid"
        aria-label="Spans"
        aria-rowcount={total}
        onScroll={(e) => setView({ top: e.currentTarget.scrollTop, height: e.currentTarget.clientHeight })}
      >
        <div className={styles.bars} role="presentation">
          <canvas ref={bars} style={{ height: view.height }} aria-hidden="true" />
        </div>
        <div style={{ height: total * rowHeight }} role="rowgroup">
          {rows}
        </div>
      </div>
      <div className={styles.foot} aria-hidden="true">
        <span>
          <i className={styles.own} />
          own work
        </span>
        <span>
          <i className={styles.waits} />
          waiting for children
        </span>
        {c.gaps > 0 && (
          <span>
            <i className={styles.never} />
            never arrived
          </span>
        )}
        <span>
          <i className={styles.crit} />
          critical path
        </span>
        <span className="grow" />
        <span>{total === c.rows ? `${total} rows` : `${total} rows stand for all ${c.rows}`}</span>
      </div>
    </div>
  );
}

function Axis({ zoom }: { zoom: [number, number] }) {
  const ref = useRef<HTMLDivElement>(null);
  const [w, setW] = useState(600);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setW(ref.current!.clientWidth));
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  const x = scaleOf(zoom, w);
  return (
    <div className={styles.axis} ref={ref}>
      {ticks(zoom[1] - zoom[0], Math.max(2, w / 110))
        .filter((t) => x(zoom[0] + t) < w - 50)
        .map((t) => (
          <span key={t} style={{ left: x(zoom[0] + t) }}>
            {zoom[0] + t === 0 ? "0" : durationText(zoom[0] + t)}
          </span>
        ))}
    </div>
  );
}

interface RowProps {
  c: Columns;
  row: number;
  times: number;
  at: number;
  top: number;
  foldable: boolean;
  open: boolean;
  selected: boolean;
  focusable: boolean;
  total: number;
  go: (row: number) => void;
  fold: (at: number) => void;
}

function Row({ c, row, times, at, top, foldable, open, selected, focusable, go, fold }: RowProps) {
  const flags = c.flags[row];
  const ghost = (flags & FLAG.ghost) !== 0;
  const service = c.services[c.service[row]];
  const sum = useMemo(() => {
    if (times === 1) return c.duration[row];
    let n = 0;
    for (let i = row, k = 0; k < times; k++, i += c.size[i]) n += c.duration[i];
    return n;
  }, [c, row, times]);
  const anyError = times > 1 ? runHasError(c, row, times) : (flags & FLAG.error) !== 0;
  return (
    <div
      className={styles.row}
      style={{ top }}
      role="row"
      data-at={at}
      aria-level={c.depth[row] + 1}
      aria-rowindex={at + 1}
      aria-expanded={foldable ? open : undefined}
      aria-selected={selected}
      tabIndex={focusable ? 0 : -1}
      onClick={() => go(row)}
      onDoubleClick={() => foldable && fold(at)}
      onKeyDown={(e) => e.key === "Enter" && go(row)}
    >
      <div className={styles.name} role="rowheader" style={{ paddingLeft: 10 + Math.min(c.depth[row], 14) * 15 }}>
        <span className={styles.twist} onClick={(e) => (e.stopPropagation(), foldable && fold(at))}>
          {foldable && <Icon name={open ? "down" : "right"} />}
        </span>
        <Swatch service={service} ghost={ghost} />
        {ghost ? (
          <span className="dim ell">parent {spanIdOf(c, row).slice(0, 8)}… never arrived</span>
        ) : (
          <>
            <b className="ell">{service}</b>
            <span className="mid ell">{c.names[c.name[row]]}</span>
          </>
        )}
        {times > 1 && <span className={styles.times}>×{times}</span>}
        {anyError && <ErrorMark />}
        {ghost && <GapMark />}
        <span className={styles.took}>
          {ghost && <span className="dim">≥ </span>}
          {times > 1 && <span className="dim">Σ </span>}
          <Duration ns={sum} />
        </span>
      </div>
      <span className="vh" role="gridcell">
        starts {durationText(c.begin[row])}, lasts {durationText(c.duration[row])}
        {flags & FLAG.critical ? ", on the critical path" : ""}
        {flags & FLAG.skewed ? ", outside of its parent's time" : ""}
      </span>
    </div>
  );
}

function runHasError(c: Columns, row: number, times: number): boolean {
  for (let i = row, k = 0; k < times; k++, i += c.size[i]) if (c.flags[i] & FLAG.error) return true;
  return false;
}

type Scale = (t: number) => number;

function drawBar(
  g: CanvasRenderingContext2D,
  c: Columns,
  runs: Runs,
  list: Shown,
  i: number,
  y: number,
  h: number,
  x: Scale,
  w: number,
) {
  const row = list.rows[i];
  const flags = c.flags[row];
  const color = ink(hue(c.services[c.service[row]]));
  const bar = (from: number, to: number, fill: string, alpha: number) => {
    const a = Math.max(-4, x(from));
    const b = Math.min(w + 4, Math.max(x(to), a + 2));
    if (b < 0 || a > w) return;
    g.globalAlpha = alpha;
    g.fillStyle = fill;
    g.beginPath();
    g.roundRect(a, y, b - a, h, 2);
    g.fill();
    g.globalAlpha = 1;
  };
  const from = c.begin[row];
  const to = from + c.duration[row];
  if (flags & FLAG.ghost) {
    g.setLineDash([3, 3]);
    g.strokeStyle = ink("--text-3");
    g.lineWidth = 1;
    g.strokeRect(x(from) + 0.5, y + 0.5, Math.max(2, x(to) - x(from)), h - 1);
    g.setLineDash([]);
    return;
  }
  if (list.counts[i] > 1) {
    // One tick a call, as far as there is a pixel for each.
    const end = runs.end[row];
    let lastPixel = -9;
    for (let r = row; r < end; r += c.size[r]) {
      const px = x(c.begin[r]);
      if (px - lastPixel < 2 && c.duration[r] < (to - from) / 50) continue;
      lastPixel = px;
      bar(c.begin[r], c.begin[r] + c.duration[r], color, 0.85);
    }
    return;
  }
  bar(from, to, color, c.size[row] > 1 ? 0.3 : 1);
  // Solid is work: the stretches in which no child runs.
  let at = from;
  let drawn = 0;
  for (let k = row + 1; k < row + c.size[row] && drawn < 400; k += c.size[k]) {
    if (c.begin[k] > at) {
      if (x(c.begin[k]) - x(at) > 0.5) {
        bar(at, Math.min(c.begin[k], to), color, 1);
        drawn++;
      }
    }
    at = Math.max(at, Math.min(to, c.begin[k] + c.duration[k]));
  }
  if (c.size[row] > 1 && at < to) bar(at, to, color, 1);
  if (flags & FLAG.error) {
    g.strokeStyle = ink("--err");
    g.lineWidth = 1.5;
    const a = x(from);
    const b = Math.max(x(to), a + 2);
    g.beginPath();
    g.roundRect(a + 0.5, y + 0.5, Math.max(1, b - a - 1), h - 1, 2);
    g.stroke();
    g.lineWidth = 2;
    const cx = b + 9;
    const cy = y + h / 2;
    g.beginPath();
    g.moveTo(cx - 3, cy - 3);
    g.lineTo(cx + 3, cy + 3);
    g.moveTo(cx + 3, cy - 3);
    g.lineTo(cx - 3, cy + 3);
    g.stroke();
  }
}

// The thread runs under the bars: in at the root, down each step the trace had to wait for, out at the end. Hops under 6 px
// are left out, so that it stays a clean stair.
function drawThread(
  g: CanvasRenderingContext2D,
  path: Segment[],
  list: Shown,
  y: (i: number) => number,
  x: Scale,
  w: number,
  height: number,
) {
  if (path.length === 0) return;
  g.strokeStyle = ink("--thread");
  g.lineWidth = 2;
  g.beginPath();
  let px = 0;
  let py = 0;
  let begun = false;
  path.forEach((s, k) => {
    const a = x(s.from);
    const b = x(s.to);
    if (b - a < 6 && k > 0 && k < path.length - 1) return;
    const line = y(indexOf(list, s.row));
    const outside = (line < -40 && py < -40) || (line > height + 40 && py > height + 40) || b < -20 || a > w + 20;
    if (!begun || outside) g.moveTo(begun ? b : a, line);
    else if (Math.abs(line - py) > 1) {
      g.lineTo(a, py);
      g.lineTo(a, line);
    }
    if (!outside) g.lineTo(b, line);
    px = b;
    py = line;
    begun = true;
  });
  g.stroke();
  g.fillStyle = ink("--thread");
  g.beginPath();
  g.arc(x(path[0].from), y(indexOf(list, path[0].row)), 3.5, 0, 7);
  g.fill();
  g.beginPath();
  g.arc(px, py, 3, 0, 7);
  g.fillStyle = ink("--panel");
  g.fill();
  g.stroke();
}
