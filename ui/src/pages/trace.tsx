// A trace: where did the time go? Head, strip, minimap, waterfall and, beside it, one span's detail.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { ApiError, getTrace, traceJSON } from "../api";
import { FLAG, rowOf, spanIdOf, type Columns } from "../columns";
import { useCommands } from "../commands";
import { count, durationText, moment, several } from "../format";
import { Duration, ErrorMark, GapMark, Icon, Progress, State, Swatch, useCopy, useHue } from "../parts";
import { findRuns, flip, indexOf, isFolded, isOpened, match, onThread, reveal, shown, thread, type Segment } from "../tree";
import { readMarks, readZoom, writeMarks, type TraceParams } from "../url";
import { Dock } from "./dock";
import { Minimap } from "./minimap";
import styles from "./trace.module.css";
import { Waterfall } from "./waterfall";

// A trace that ended just now may not be all here yet; one this large is not read again by itself.
const FRESH_NS = 30_000_000_000n;
const FRESH_ROWS = 20_000;

function stillComing(c: Columns | undefined): boolean {
  if (!c || c.rows > FRESH_ROWS) return false;
  return BigInt(Date.now()) * 1_000_000n - (c.start + BigInt(Math.round(c.durationNs))) < FRESH_NS;
}

export function TracePage() {
  const { id } = useParams({ from: "/trace/$id" });
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["trace", id],
    queryFn: ({ signal }) => getTrace(id, signal),
    staleTime: 60_000,
    refetchInterval: (q) => (stillComing(q.state.data) ? 3000 : false),
    // The same state of a trace stays the same object, so that nothing is worked out again.
    structuralSharing: (old, next) => ((old as Columns | undefined)?.version === (next as Columns).version ? old : next),
  });
  const grown = useCallback(() => void refetch(), [refetch]);
  if (data) return <Trace c={data} grown={grown} />;
  if (isFetching)
    return (
      <main className="page" aria-busy="true">
        <Progress />
      </main>
    );
  const e = error instanceof ApiError ? error : undefined;
  const again = (
    <button className="btn" onClick={grown}>
      Look again
    </button>
  );
  if (e?.status === 404)
    return (
      <State title="No such trace">
        <p>
          No span with the trace ID <span className="mono">{id}</span> is stored. It may have expired, or not have arrived yet.
        </p>
        {again}
      </State>
    );
  return (
    <State title={e?.status === 400 ? "That is no trace ID" : "The trace cannot be shown"}>
      <p role="alert">{error?.message}</p>
      {e?.status !== 400 && again}
    </State>
  );
}

// The rows that are shown, and how to change which they are: all of it is in the URL.
function useRows(c: Columns) {
  const params = useSearch({ from: "/trace/$id" });
  const navigate = useNavigate({ from: "/trace/$id" });
  const runs = useMemo(() => findRuns(c), [c]);
  const folding = useMemo(() => ({ folded: readMarks(params.fold), opened: readMarks(params.open) }), [params.fold, params.open]);
  const found = useMemo(() => (params.q ? match(c, params.q) : undefined), [c, params.q]);
  const list = useMemo(() => shown(c, runs, folding, found?.keep), [c, runs, folding, found]);
  const row = useMemo(() => (params.span ? rowOf(c, params.span) : -1), [c, params.span]);
  const set = useCallback(
    (p: Partial<TraceParams>, replace = false) => void navigate({ search: (old: TraceParams) => ({ ...old, ...p }), replace }),
    [navigate],
  );
  // Going to a row unfolds what hides it, be it a filter.
  const go = useCallback(
    (to: number) => {
      if (to < 0 || to >= c.rows) return;
      const p: Partial<TraceParams> = { span: spanIdOf(c, to) };
      if (list.rows[indexOf(list, to)] !== to) {
        const f = reveal(c, runs, folding, to);
        p.fold = writeMarks(f.folded);
        p.open = writeMarks(f.opened);
        p.q = undefined;
      }
      set(p);
    },
    [c, runs, folding, list, set],
  );
  // Turns a row's folding over, or only closes or only opens it; reports whether there was something to do.
  const fold = useCallback(
    (at: number, close?: boolean): boolean => {
      const r = list.rows[at];
      const opened = isOpened(folding, r);
      const run = runs.count[r] > 1;
      const folded = isFolded(c, folding, r);
      if (found) return false;
      if ((run && !opened) || folded) {
        if (close) return false;
        if (run && !opened) set({ open: writeMarks(flip(folding.opened, r)) });
        else set({ fold: writeMarks(flip(folding.folded, r)) });
      } else if (close === false) return false;
      else if (c.size[r] > 1) set({ fold: writeMarks(flip(folding.folded, r)) });
      else if (run) set({ open: writeMarks(flip(folding.opened, r)) });
      else return false;
      return true;
    },
    [c, list, runs, folding, found, set],
  );
  return { params, runs, folding, found, list, row, set, go, fold };
}

type Rows = ReturnType<typeof useRows>;

/** The next row that meets a test, from a row on or back, all around. */
function nextRow(c: Columns, row: number, step: number, test: (i: number) => boolean): number {
  let i = row < 0 && step < 0 ? 0 : row;
  for (let n = 1; n <= c.rows; n++) {
    i = (i + step + c.rows) % c.rows;
    if (test(i)) return i;
  }
  return -1;
}

function useTraceCommands(
  c: Columns,
  r: Rows,
  zoom: [number, number],
  act: { zoom: (a: number, b: number) => void; find: () => void; link: () => void; similar: (() => void) | undefined },
) {
  const { list, row, go, fold, set, params, found } = r;
  const at = row < 0 ? -1 : indexOf(list, row);
  const [z0, z1] = zoom;
  const w = z1 - z0;
  const flagged = (flag: number, step: number) => () => go(nextRow(c, row, step, (i) => (c.flags[i] & flag) !== 0));
  const hit = (step: number) => () => (found ? go(nextRow(c, row, step, (i) => found.hit[i] === 1)) : undefined);
  useCommands([
    { label: "Fold to what matches", keys: ["/"], run: act.find },
    {
      label: "Next row",
      minor: true,
      keys: ["j", "ArrowDown"],
      run: () => go(list.rows[Math.min(list.rows.length - 1, at + 1)]),
    },
    { label: "Previous row", minor: true, keys: ["k", "ArrowUp"], run: () => go(list.rows[Math.max(0, at - 1)]) },
    {
      label: "Fold, or go to the parent",
      minor: true,
      keys: ["ArrowLeft"],
      run: () => (at < 0 ? false : fold(at, true) ? undefined : go(c.parent[row])),
    },
    {
      label: "Unfold, or go to the first child",
      minor: true,
      keys: ["ArrowRight"],
      run: () => (at < 0 ? false : fold(at, false) ? undefined : c.size[row] > 1 ? go(row + 1) : undefined),
    },
    { label: "Fold all", keys: ["["], run: () => set({ fold: "all", open: undefined }) },
    { label: "Unfold all", keys: ["]"], run: () => set({ fold: undefined, open: "all" }) },
    { label: "Next error", keys: ["e"], run: flagged(FLAG.error, 1) },
    { label: "Previous error", minor: true, keys: ["E"], run: flagged(FLAG.error, -1) },
    { label: "Next gap", keys: ["m"], run: flagged(FLAG.ghost, 1) },
    { label: "Next match", minor: true, keys: ["n"], run: hit(1) },
    { label: "Previous match", minor: true, keys: ["N"], run: hit(-1) },
    {
      label: "Only the critical path",
      keys: ["c"],
      run: () => set({ q: params.q === "critical" ? undefined : "critical" }),
    },
    { label: "Parent", minor: true, keys: ["p"], run: () => (row >= 0 ? go(c.parent[row]) : undefined) },
    { label: "Root", minor: true, keys: ["r"], run: () => go(0) },
    { label: "Zoom in", minor: true, keys: ["w"], run: () => act.zoom(z0 + w / 6, z1 - w / 6) },
    { label: "Zoom out", minor: true, keys: ["s"], run: () => act.zoom(z0 - w / 4, z1 + w / 4) },
    { label: "Earlier", minor: true, keys: ["a"], run: () => act.zoom(Math.max(0, z0 - w / 4), Math.max(w, z1 - w / 4)) },
    { label: "Later", minor: true, keys: ["d"], run: () => act.zoom(Math.min(c.durationNs - w, z0 + w / 4), z1 + w / 4) },
    {
      label: "Zoom to the span",
      keys: ["z"],
      run: () => (row >= 0 ? act.zoom(c.begin[row] - c.duration[row] * 0.05, c.begin[row] + c.duration[row] * 1.05) : undefined),
    },
    { label: "All of the time", keys: ["0"], run: () => set({ z: undefined }, true) },
    { label: "Traces with this operation", keys: ["f"], run: () => act.similar?.() },
    { label: "Copy a link to this view", keys: ["y"], run: act.link },
    {
      label: "One step back",
      minor: true,
      keys: ["Escape"],
      run: () => (row >= 0 ? set({ span: undefined }) : params.q ? set({ q: undefined }) : false),
    },
  ]);
}

function Trace({ c, grown }: { c: Columns; grown: () => void }) {
  const r = useRows(c);
  const navigate = useNavigate();
  const { params, found, list, row, set, go } = r;
  const path = useMemo(() => thread(c), [c]);
  const zoom = useMemo(() => readZoom(params.z, c.durationNs || 1), [params.z, c.durationNs]);
  const [copied, copy] = useCopy();
  const setZoom = useCallback(
    (from: number, to: number) => {
      const length = c.durationNs || 1;
      const least = Math.max(1, length / 1e6);
      const a = Math.max(0, Math.min(from, length - least));
      const b = Math.min(length, Math.max(to, a + least));
      set({ z: a <= 0 && b >= length ? undefined : `${Math.floor(a)}-${Math.ceil(b)}` }, true);
    },
    [c, set],
  );
  useEffect(() => {
    const root = c.flags[0] & FLAG.ghost ? 1 : 0;
    document.title = `${c.services[c.service[root]] ?? ""} ${c.names[c.name[root]] ?? ""} · ${durationText(c.durationNs)} · Clew`;
  }, [c]);
  const filter = useRef<HTMLInputElement>(null);
  const similar =
    row >= 0 && !(c.flags[row] & FLAG.ghost)
      ? () =>
          void navigate({
            to: "/search",
            search: { service: c.services[c.service[row]], operation: c.names[c.name[row]], range: "24h" },
          })
      : undefined;
  const link = () => copy(location.href);
  useTraceCommands(c, r, zoom, { zoom: setZoom, find: () => filter.current?.focus(), link, similar });

  const next = (flag: number) => go(nextRow(c, row, 1, (i) => (c.flags[i] & flag) !== 0));
  return (
    <main className={row >= 0 ? `${styles.page} ${styles.docked}` : styles.page}>
      <Head c={c} path={path} next={next} link={link} copied={copied} />
      <Minimap c={c} path={path} zoom={zoom} set={setZoom} />
      <div className={styles.tools}>
        <label className={styles.find}>
          <Icon name="filter" />
          <span className="vh">Fold to what matches</span>
          <input
            ref={filter}
            className="in"
            placeholder="Fold to what matches…"
            value={params.q ?? ""}
            onChange={(e) => set({ q: e.target.value || undefined }, true)}
            onKeyDown={(e) => {
              if (e.key === "Enter" || e.key === "Escape") e.currentTarget.blur();
              if (e.key === "Enter" && found?.hits) go(nextRow(c, -1, 1, (i) => found.hit[i] === 1));
              if (e.key === "Escape") set({ q: undefined }, true);
            }}
          />
          <kbd className="only-w">/</kbd>
        </label>
        <button
          className={`btn ${styles.lens}`}
          aria-pressed={params.q === "critical"}
          onClick={() => set({ q: params.q === "critical" ? undefined : "critical" })}
        >
          <i />
          Critical path
        </button>
        <span role="status" className="mid ell">
          {found && `${count(found.hits)} of ${several(c.rows, "row")} ${found.hits === 1 ? "matches" : "match"}`}
        </span>
        <span className="grow" />
        <span className={`dim only-w ${styles.hints}`}>
          {c.errors > 0 && (
            <span>
              <kbd>e</kbd> next error
            </span>
          )}
          {c.gaps > 0 && (
            <span>
              <kbd>m</kbd> gap
            </span>
          )}
          <span>
            <kbd>z</kbd> zoom to span
          </span>
          {params.z && (
            <span>
              <kbd>0</kbd> all
            </span>
          )}
        </span>
      </div>
      {list.rows.length === 0 ? (
        <section className="state">
          <h2>No span matches</h2>
          <p>The filter looks at services and operations; error, gap and critical are words of their own.</p>
          <button className="btn" onClick={() => set({ q: undefined }, true)}>
            Show all {count(c.rows)} rows
          </button>
        </section>
      ) : (
        <div className={styles.work}>
          <Waterfall c={c} rows={r} path={path} zoom={zoom} />
          {row >= 0 && (
            <Dock c={c} row={row} path={path} close={() => set({ span: undefined })} grown={grown} similar={similar} />
          )}
        </div>
      )}
    </main>
  );
}

interface HeadProps {
  c: Columns;
  path: Segment[];
  next: (flag: number) => void;
  link: () => void;
  copied?: string;
}

// Where the time went, by service, most of it first: along the thread, or, where there is none, own time.
function sharesOf(c: Columns, path: Segment[]) {
  const by = new Float64Array(c.services.length);
  const time = path.length ? onThread(c, path) : c.self;
  for (let i = 0; i < c.rows; i++) by[c.service[i]] += time[i];
  const total = by.reduce((a, b) => a + b, 0) || 1;
  return [...by.keys()].map((i) => ({ name: c.services[i], part: by[i] / total })).sort((a, b) => b.part - a.part);
}

function Head({ c, path, next, link, copied }: HeadProps) {
  const style = useHue();
  const root = c.flags[0] & FLAG.ghost && c.rows > 1 ? 1 : 0;
  const service = c.services[c.service[root]];
  const services = c.services.filter(Boolean).length;
  const shares = useMemo(() => sharesOf(c, path), [c, path]);
  return (
    <section className={styles.top} aria-label="Trace">
      <div className={styles.subject}>
        <Swatch service={service} />
        <h1>
          {service} <span>{c.names[c.name[root]]}</span>
        </h1>
        <span className={styles.long}>
          <Duration ns={c.durationNs} />
        </span>
        <span className="grow only-w" />
        <span className="facts">
          <span>
            <b>{count(c.spans)}</b> {c.spans === 1 ? "span" : "spans"}
          </span>
          <span>
            <b>{services}</b> {services === 1 ? "service" : "services"}
          </span>
          {c.errors > 0 && (
            <button className="err" onClick={() => next(FLAG.error)} title="next error (e)">
              <ErrorMark />
              {c.errors} {c.errors === 1 ? "error" : "errors"}
            </button>
          )}
          {c.gaps > 0 && (
            <button onClick={() => next(FLAG.ghost)} title="spans whose parent never arrived (m)">
              <GapMark />
              {c.gaps} {c.gaps === 1 ? "gap" : "gaps"}
            </button>
          )}
          <span>{moment(c.start)}</span>
          <span className="only-w">
            <button className="btn" onClick={link}>
              <Icon name="link" />
              {copied ?? "Copy link"} <kbd>y</kbd>
            </button>
            <a
              className="ib out"
              href={traceJSON(c.traceId)}
              target="_blank"
              rel="noreferrer"
              aria-label="The trace as OTLP/JSON"
            >
              <Icon name="json" />
            </a>
          </span>
        </span>
      </div>
      <div className={styles.where}>
        <span className="dim only-w">Where the time went, along the thread</span>
        <ul className={styles.strip} aria-label="Where the time went, along the thread">
          {shares
            .filter((s) => s.part > 0.002)
            .map((s) => (
              <li
                key={s.name}
                title={`${s.name} ${(s.part * 100).toFixed(1)} %`}
                style={{ flexGrow: Math.max(1, s.part * 1000), ...style(s.name) }}
              >
                <span>
                  {s.name || "unknown"} <b>{s.part < 0.01 ? "<1" : Math.round(s.part * 100)}</b>
                  <span className="u">%</span>
                </span>
              </li>
            ))}
        </ul>
      </div>
    </section>
  );
}
