// The waterfall: real rows for what can be seen, recycled by slot, and one canvas behind them for the bars and the thread.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { FLAG, spanIdOf, type Columns } from "../columns";
import { count, durationText, several, tickText, ticks } from "../format";
import { useCanvas, type Draw } from "../paint";
import { Duration, ErrorMark, GapMark, Icon, Swatch } from "../parts";
import { indexOf, isFolded, isOpened, type Folding, type Runs, type Segment, type Shown } from "../tree";
import { drawBars, drawGrid, drawThread, scaleOf } from "./bars";
import styles from "./trace.module.css";

interface Props {
  c: Columns;
  rows: {
    runs: Runs;
    list: Shown;
    folding: Folding;
    row: number;
    go: (row: number) => void;
    fold: (at: number) => void;
  };
  path: Segment[];
  zoom: [number, number];
}

const narrowQuery = matchMedia("(max-width: 760px)");
function useNarrow() {
  const [narrow, setNarrow] = useState(narrowQuery.matches);
  useEffect(() => {
    const change = () => setNarrow(narrowQuery.matches);
    narrowQuery.addEventListener("change", change);
    return () => narrowQuery.removeEventListener("change", change);
  }, []);
  return narrow;
}

export function Waterfall({ c, rows: { runs, list, folding, row, go, fold }, path, zoom }: Props) {
  const narrow = useNarrow();
  const rowHeight = narrow ? 44 : 24;
  const scroll = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [tree, setTree] = useState(() => Math.max(300, Math.min(480, innerWidth * 0.31)));
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
      if (!narrow) drawGrid(g, zoom, x, w, view.height);
      const y = (i: number) => i * rowHeight - view.top;
      drawBars(g, { c, runs, list, first, last }, (i) => y(i) + (narrow ? 27 : 6), narrow ? 9 : 12, x, w);
      drawThread(g, path, list, (i) => y(i) + (narrow ? 39 : 20.5), x, w, view.height);
    },
    [c, runs, list, path, zoom, view, first, last, narrow, rowHeight],
  );
  const bars = useCanvas(draw);

  const drag = (e: PointerEvent<HTMLSpanElement>) => {
    if (e.buttons !== 1) return;
    const left = scroll.current!.getBoundingClientRect().left;
    setTree(Math.max(180, Math.min(e.clientX - left, scroll.current!.clientWidth - 200)));
  };
  const widen = (e: KeyboardEvent<HTMLSpanElement>) => {
    const step = { ArrowLeft: -20, ArrowRight: 20 }[e.key];
    if (!step) return;
    e.preventDefault();
    e.stopPropagation();
    setTree((v) => Math.max(180, Math.min(v + step, scroll.current!.clientWidth - 200)));
  };
  // The row that Tab goes to: the selected one, or the first in sight.
  const home = at >= first && at < last ? at : Math.min(total - 1, Math.ceil(view.top / rowHeight));
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
          c.size[list.rows[i]] > 1 || list.counts[i] > 1 || (runs.count[list.rows[i]] > 1 && isOpened(folding, list.rows[i]))
        }
        open={list.counts[i] === 1 && !isFolded(c, folding, list.rows[i])}
        selected={i === at}
        focusable={i === home}
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
            aria-label="Width of the names"
            aria-valuenow={Math.round(tree)}
            aria-valuemin={180}
            aria-valuemax={2000}
            tabIndex={0}
            onKeyDown={widen}
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
        {list.rows.length < c.rows && list.counts.some((n) => n > 1) && (
          <span>
            <i className={styles.repeats} />
            folded repeats
          </span>
        )}
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
        <span>{total === c.rows ? several(total, "row") : `${several(total, "row")} for all ${count(c.rows)}`}</span>
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
  const at = ticks(zoom[0], zoom[1], Math.max(2, w / 110));
  const step = at.length > 1 ? at[1] - at[0] : zoom[1] - zoom[0];
  return (
    <div className={styles.axis} ref={ref}>
      {at
        .filter((t) => x(t) < w - 50)
        .map((t) => (
          <span key={t} style={{ left: x(t) }}>
            {tickText(t, step)}
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
  go: (row: number) => void;
  fold: (at: number) => void;
}

function Row({ c, row, times, at, top, foldable, open, selected, focusable, go, fold }: RowProps) {
  const flags = c.flags[row];
  const ghost = (flags & FLAG.ghost) !== 0;
  const service = c.services[c.service[row]];
  const depth = Math.min(c.depth[row], 14); // deeper levels slide under each other
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
      <div
        className={styles.name}
        role="rowheader"
        style={{ paddingLeft: 10 + depth * 15, backgroundSize: `${depth * 15}px 100%` }}
      >
        <span className={styles.twist} onClick={(e) => (e.stopPropagation(), foldable && fold(at))}>
          {foldable && <Icon name={open ? "down" : "right"} />}
        </span>
        <Swatch service={service} ghost={ghost} />
        {ghost ? (
          <span className="dim ell">parent {spanIdOf(c, row).slice(0, 8)}… never arrived</span>
        ) : (
          <>
            <b className="ell">{service || "unknown"}</b>
            <span className="mid ell" title={c.names[c.name[row]]}>
              {c.names[c.name[row]] || "no name"}
            </span>
          </>
        )}
        {times > 1 && <span className={styles.times}>×{count(times)}</span>}
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
