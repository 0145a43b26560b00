// A trace: where did the time go? Head, strip, minimap, waterfall and, beside it, one span's detail.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ApiError, getTrace, traceJSON } from "../api";
import { FLAG, rowOf, spanIdOf, type Columns } from "../columns";
import { count, durationText, moment } from "../format";
import { hue } from "../paint";
import { Duration, ErrorMark, GapMark, Icon, Progress, State, Swatch, vars } from "../parts";
import { typing } from "../shell";
import { findRuns, indexOf, match, reveal, shown, thread } from "../tree";
import { readList, readZoom, writeList, type TraceParams } from "../url";
import { Dock } from "./dock";
import { Minimap } from "./minimap";
import styles from "./trace.module.css";
import { Waterfall } from "./waterfall";

export function TracePage() {
  const { id } = useParams({ from: "/trace/$id" });
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["trace", id],
    queryFn: ({ signal }) => getTrace(id, signal),
    staleTime: 60_000,
  });
  if (data) return <Trace c={data} grown={() => void refetch()} />;
  if (isFetching) return <Progress />;
  const e = error instanceof ApiError ? error : undefined;
  if (e?.status === 404)
    return (
      <State title="No such trace">
        <p>
          No span with the trace ID <span className="mono">{id}</span> is stored. It may have expired, or not have arrived yet.
        </p>
        <button className="btn" onClick={() => void refetch()}>
          Look again
        </button>
      </State>
    );
  return (
    <State title={e?.status === 400 ? "That is no trace ID" : "The trace cannot be shown"}>
      <p>{error?.message}</p>
    </State>
  );
}

function Trace({ c, grown }: { c: Columns; grown: () => void }) {
  const params = useSearch({ from: "/trace/$id" });
  const navigate = useNavigate({ from: "/trace/$id" });
  const runs = useMemo(() => findRuns(c), [c]);
  const path = useMemo(() => thread(c), [c]);
  const folding = useMemo(() => ({ folded: readList(params.fold), opened: readList(params.open) }), [params.fold, params.open]);
  const found = useMemo(() => (params.q ? match(c, params.q) : undefined), [c, params.q]);
  const list = useMemo(() => shown(c, runs, folding, found?.keep), [c, runs, folding, found]);
  const zoom = useMemo(() => readZoom(params.z, c.durationNs || 1), [params.z, c.durationNs]);
  const row = useMemo(() => (params.span ? rowOf(c, params.span) : -1), [c, params.span]);

  const set = useCallback(
    (p: Partial<TraceParams>, replace = false) => void navigate({ search: (old: TraceParams) => ({ ...old, ...p }), replace }),
    [navigate],
  );
  // Going to a row unfolds what hides it.
  const go = useCallback(
    (to: number) => {
      if (to < 0) return;
      const at = indexOf(list, to);
      const p: Partial<TraceParams> = { span: spanIdOf(c, to) };
      if (list.rows[at] !== to && !found) {
        const f = reveal(c, runs, folding, to);
        p.fold = writeList(f.folded);
        p.open = writeList(f.opened);
      }
      set(p);
    },
    [c, runs, folding, found, list, set],
  );
  const fold = useCallback(
    (at: number, close?: boolean) => {
      const r = list.rows[at];
      const folded = new Set(folding.folded);
      const opened = new Set(folding.opened);
      if (runs.count[r] > 1 && !opened.has(r)) {
        if (close) return;
        opened.add(r);
      } else if (folded.has(r)) {
        if (close) return;
        folded.delete(r);
      } else if (c.size[r] > 1 && close !== false) folded.add(r);
      else if (runs.count[r] > 1 && close) opened.delete(r);
      else return;
      set({ fold: writeList(folded), open: writeList(opened) });
    },
    [c, list, runs, folding, set],
  );
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
  const keys = useRef<(e: KeyboardEvent) => boolean>(() => false);
  keys.current = (e) => {
    const next = (test: (i: number) => boolean, step: number) => {
      for (let n = 1, i = row; n <= c.rows; n++) {
        i = (i + step + c.rows) % c.rows;
        if (test(i)) return go(i);
      }
    };
    const at = row < 0 ? -1 : indexOf(list, row);
    const [z0, z1] = zoom;
    const w = z1 - z0;
    switch (e.key) {
      case "/":
        filter.current?.focus();
        break;
      case "j":
      case "ArrowDown":
        go(list.rows[Math.min(list.rows.length - 1, at + 1)]);
        break;
      case "k":
      case "ArrowUp":
        go(list.rows[Math.max(0, at - 1)]);
        break;
      case "ArrowLeft":
        if (at >= 0) fold(at, true);
        break;
      case "ArrowRight":
        if (at >= 0) fold(at, false);
        break;
      case "[":
        set({ fold: writeList(new Set([...list.rows].filter((r) => c.size[r] > 1 && c.depth[r] > 0))), open: undefined });
        break;
      case "]":
        set({ fold: undefined, open: writeList(new Set([...runs.count.keys()].filter((i) => runs.count[i] > 1))) });
        break;
      case "e":
      case "E":
        next((i) => (c.flags[i] & FLAG.error) !== 0, e.key === "e" ? 1 : -1);
        break;
      case "m":
        next((i) => (c.flags[i] & FLAG.ghost) !== 0, 1);
        break;
      case "n":
      case "N":
        if (found) next((i) => found.hits.includes(i), e.key === "n" ? 1 : -1);
        break;
      case "p":
        if (row >= 0) go(c.parent[row]);
        break;
      case "r":
        go(0);
        break;
      case "a":
        setZoom(Math.max(0, z0 - w / 4), Math.max(w, z1 - w / 4));
        break;
      case "d":
        setZoom(Math.min(c.durationNs - w, z0 + w / 4), z1 + w / 4);
        break;
      case "w":
        setZoom(z0 + w / 6, z1 - w / 6);
        break;
      case "s":
        setZoom(z0 - w / 4, z1 + w / 4);
        break;
      case "z":
        if (row >= 0) setZoom(c.begin[row] - c.duration[row] * 0.05, c.begin[row] + c.duration[row] * 1.05);
        break;
      case "0":
        set({ z: undefined }, true);
        break;
      case "y":
        void navigator.clipboard?.writeText(location.href);
        break;
      case "Escape":
        if (row >= 0) set({ span: undefined });
        else if (params.q) set({ q: undefined });
        else return false;
        break;
      default:
        return false;
    }
    return true;
  };
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (!typing(e) && keys.current(e)) e.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);

  return (
    <main className={styles.page}>
      <Head c={c} next={(flag) => keys.current(new KeyboardEvent("keydown", { key: flag === FLAG.error ? "e" : "m" }))} />
      <Minimap c={c} zoom={zoom} set={setZoom} />
      <div className={styles.tools}>
        <label className={styles.find}>
          <Icon name="filter" />
          <span className="vh">Fold to what matches</span>
          <input
            ref={filter}
            className="in"
            placeholder="Fold to what matches…  ( / )"
            value={params.q ?? ""}
            onChange={(e) => set({ q: e.target.value || undefined }, true)}
            onKeyDown={(e) => {
              if (e.key === "Enter" || e.key === "Escape") e.currentTarget.blur();
              if (e.key === "Enter" && found?.hits.length) go(found.hits[0]);
              if (e.key === "Escape") set({ q: undefined }, true);
            }}
          />
        </label>
        <span role="status" className="mid">
          {found && `${count(found.hits.length)} of ${count(c.rows)} match`}
        </span>
        <span className="grow" />
        <span className="dim only-w">
          <kbd>e</kbd> next error &nbsp; <kbd>m</kbd> gap &nbsp; <kbd>z</kbd> zoom to span &nbsp; <kbd>0</kbd> all
        </span>
      </div>
      <div className={styles.work}>
        <Waterfall c={c} runs={runs} list={list} folding={folding} path={path} zoom={zoom} row={row} go={go} fold={fold} />
        {row >= 0 && <Dock c={c} row={row} close={() => set({ span: undefined })} grown={grown} />}
      </div>
    </main>
  );
}

function Head({ c, next }: { c: Columns; next: (flag: number) => void }) {
  const [copied, setCopied] = useState(false);
  const root = c.flags[0] & FLAG.ghost && c.rows > 1 ? 1 : 0;
  const service = c.services[c.service[root]];
  const services = c.services.filter(Boolean).length;
  // Own time by service; most of it first.
  const shares = useMemo(() => {
    const by = new Float64Array(c.services.length);
    for (let i = 0; i < c.rows; i++) by[c.service[i]] += c.self[i];
    const total = by.reduce((a, b) => a + b, 0) || 1;
    return [...by.keys()].map((i) => ({ name: c.services[i], part: by[i] / total })).sort((a, b) => b.part - a.part);
  }, [c]);
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
            <button
              className="btn"
              onClick={() => {
                void navigator.clipboard?.writeText(location.href);
                setCopied(true);
                setTimeout(() => setCopied(false), 1500);
              }}
            >
              <Icon name="link" />
              {copied ? "Copied" : "Copy link"} <kbd>y</kbd>
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
      <div className={styles.strip} aria-label="Own time by service">
        {shares
          .filter((s) => s.part > 0.002)
          .map((s) => (
            <span
              key={s.name}
              title={`${s.name} ${(s.part * 100).toFixed(1)} %`}
              style={{ flex: s.part, ...vars({ "--c": `var(${hue(s.name)})` }) }}
            >
              {s.part > 0.09 && (
                <>
                  {s.name} <b>{Math.round(s.part * 100)}</b>
                  <span className="u">%</span>
                </>
              )}
            </span>
          ))}
      </div>
    </section>
  );
}
