// Search: which requests? A form, the answer as a picture of time and duration, and as a list.
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState, type FormEvent } from "react";
import { ApiError, getOperations, getServices, search, type Summary } from "../api";
import { bytes, clock, count, durationText } from "../format";
import { Duration, ErrorMark, GapMark, Icon, Progress, Swatch, vars } from "../parts";
import { hue } from "../paint";
import { typing, useStatus } from "../shell";
import { DEFAULT_RANGE, RANGES, searchQuery, traceIdIn, type SearchParams } from "../url";
import { Scatter } from "./scatter";
import styles from "./search.module.css";

const nowNs = () => BigInt(Date.now()) * 1_000_000n;

export function SearchPage() {
  const params = useSearch({ from: "/search" });
  const navigate = useNavigate({ from: "/search" });
  const [at, setAt] = useState(nowNs);
  const key = JSON.stringify(params);
  const answer = useInfiniteQuery({
    queryKey: ["search", key, String(at)],
    queryFn: ({ pageParam, signal }) => search(searchQuery(params, at, pageParam), signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.cursor || undefined,
    placeholderData: keepPreviousData,
  });
  const traces = useMemo(() => answer.data?.pages.flatMap((p) => p.traces) ?? [], [answer.data]);
  const scanned = answer.data?.pages.at(-1)?.scanned;
  const set = (p: SearchParams) => {
    setAt(nowNs());
    void navigate({ search: p });
  };
  const [selected, setSelected] = useState(-1);
  const main = useRef<HTMLElement>(null);
  useEffect(() => setSelected(-1), [key]);
  useEffect(() => {
    document.title = `${params.service ?? "Search"} · Clew`;
  }, [params.service]);
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.key === "/" && !typing(e)) {
        main.current?.querySelector<HTMLInputElement>("input")?.focus();
      } else if (typing(e)) return;
      else if (e.key === "j" || e.key === "ArrowDown") setSelected((v) => Math.min(traces.length - 1, v + 1));
      else if (e.key === "k" || e.key === "ArrowUp") setSelected((v) => Math.max(0, v - 1));
      else if (
        e.key === "Enter" &&
        traces[selected] &&
        !(e.target instanceof HTMLAnchorElement || e.target instanceof HTMLButtonElement)
      )
        void navigate({ to: "/trace/$id", params: { id: traces[selected].traceId } });
      else if (e.key === "y") void copyLink(params, at);
      else return;
      e.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [traces, selected, navigate, params, at]);
  useEffect(() => {
    if (selected >= 0) main.current?.querySelector(`[data-row="${selected}"]`)?.scrollIntoView({ block: "nearest" });
  }, [selected]);

  const error = answer.error instanceof ApiError ? answer.error : undefined;
  return (
    <main className="page" ref={main}>
      {answer.isFetching && <Progress />}
      <Form key={key} params={params} set={set} />
      {error && (
        <p className="chip err" role="alert">
          {error.message}
        </p>
      )}
      <div className={styles.tools}>
        <span role="status">
          {answer.data && (
            <>
              <b>{traces.length === 0 ? "No traces" : `${count(traces.length)} ${traces.length === 1 ? "trace" : "traces"}`}</b>{" "}
              {answer.hasNextPage ? "and more" : ""}
            </>
          )}
        </span>
        {scanned && (
          <span className={styles.scanned}>
            <i className={scanned.complete ? undefined : styles.part} />
            {scanned.complete
              ? `complete: ${scanned.blocks} read, ${scanned.blocksSkipped} not needed, ${bytes(scanned.bytes)}`
              : `not complete: ${scanned.reason}`}
          </span>
        )}
      </div>
      {traces.length > 0 && <Scatter traces={traces} zoom={(z) => set({ ...params, range: undefined, ...z })} />}
      {answer.data && traces.length === 0 && <Nothing params={params} set={set} />}
      {traces.length > 0 && (
        <section className={`panel ${styles.results}`} aria-label="Traces">
          <Results traces={traces} selected={selected} />
          <div className={styles.foot}>
            <span>newest first</span>
            <span className="only-w">
              <kbd>j</kbd> <kbd>k</kbd> row, <kbd>Enter</kbd> open
            </span>
            <span className="grow" />
            {answer.hasNextPage && (
              <button className="btn" onClick={() => void answer.fetchNextPage()} disabled={answer.isFetchingNextPage}>
                Load more
              </button>
            )}
          </div>
        </section>
      )}
    </main>
  );
}

// A copied link means the same tomorrow: relative times become absolute.
async function copyLink(p: SearchParams, at: bigint) {
  const q = searchQuery(p, at);
  const url = new URL(location.href);
  url.searchParams.delete("range");
  url.searchParams.set("from", q.get("from") ?? "0");
  url.searchParams.set("to", q.get("to") ?? String(at));
  await navigator.clipboard?.writeText(url.href);
}

function Form({ params, set }: { params: SearchParams; set: (p: SearchParams) => void }) {
  const navigate = useNavigate();
  const [service, setService] = useState(params.service ?? "");
  const [bad, setBad] = useState<string>();
  const { data: services = [] } = useQuery({ queryKey: ["services"], queryFn: ({ signal }) => getServices(signal) });
  const { data: operations = [] } = useQuery({
    queryKey: ["operations", service],
    queryFn: ({ signal }) => getOperations(service, signal),
    enabled: services.includes(service),
  });
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const f = new FormData(e.currentTarget);
    const text = (k: string) => String(f.get(k) ?? "").trim() || undefined;
    const id = traceIdIn(text("service") ?? "") ?? traceIdIn(text("tag") ?? "");
    if (id) {
      void navigate({ to: "/trace/$id", params: { id } });
      return;
    }
    for (const k of ["min", "max"]) {
      if (text(k) && !/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text(k)!)) {
        setBad(k);
        return;
      }
    }
    const range = text("range");
    const tag = [...(params.tag ?? []), ...(text("tag") ? [text("tag")!] : [])];
    const absolute = range === "absolute";
    set({
      service: text("service"),
      operation: text("operation"),
      tag: tag.length ? tag : undefined,
      min: text("min"),
      max: text("max"),
      range: absolute || range === DEFAULT_RANGE ? undefined : range,
      from: absolute ? params.from : undefined,
      to: absolute ? params.to : undefined,
      limit: params.limit,
    });
  };
  const absolute = params.from || params.to;
  const known = RANGES.some(([r]) => r === (params.range ?? DEFAULT_RANGE));
  return (
    <section className="panel" aria-label="Search">
      <form className={styles.form} onSubmit={submit}>
        <label className="field">
          <span>Service, or a trace ID</span>
          <input
            name="service"
            list="services"
            value={service}
            onChange={(e) => setService(e.target.value)}
            placeholder="any"
            autoComplete="off"
          />
        </label>
        <datalist id="services">
          {services.map((s) => (
            <option key={s} value={s} />
          ))}
        </datalist>
        <label className="field">
          <span>Operation</span>
          <input name="operation" list="operations" defaultValue={params.operation} placeholder="any" autoComplete="off" />
        </label>
        <datalist id="operations">
          {[...new Set(operations.map((o) => o.name))].map((o) => (
            <option key={o} value={o} />
          ))}
        </datalist>
        <label className="field">
          <span>Attribute: key=value, or key alone</span>
          <input name="tag" placeholder="http.response.status_code=500" autoComplete="off" className="mono" />
        </label>
        <label className="field">
          <span>At least</span>
          <input name="min" defaultValue={params.min} placeholder="100ms" aria-invalid={bad === "min"} />
        </label>
        <label className="field">
          <span>At most</span>
          <input name="max" defaultValue={params.max} placeholder="1.5s" aria-invalid={bad === "max"} />
        </label>
        <label className="field">
          <span>Time</span>
          <select name="range" defaultValue={absolute ? "absolute" : (params.range ?? DEFAULT_RANGE)}>
            {absolute && (
              <option value="absolute">
                {params.from ? clock(BigInt(params.from), false) : "start"} to{" "}
                {params.to ? clock(BigInt(params.to), false) : "now"}
              </option>
            )}
            {!known && !absolute && <option value={params.range}>Last {params.range}</option>}
            {RANGES.map(([r, text]) => (
              <option key={r} value={r}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <button className="btn pri" type="submit">
          <Icon name="search" />
          Search
        </button>
      </form>
      {(params.tag?.length || bad) && (
        <div className={styles.tags}>
          {params.tag?.map((t, i) => (
            <span className="chip mono" key={t + i}>
              <span className="ell">{t}</span>
              <button aria-label={`Remove ${t}`} onClick={() => set({ ...params, tag: params.tag!.filter((_, k) => k !== i) })}>
                <Icon name="x" />
              </button>
            </span>
          ))}
          {bad && (
            <span className="chip err" role="alert">
              A duration is a number and a unit, such as 200ms or 1.5s
            </span>
          )}
        </div>
      )}
    </section>
  );
}

function Nothing({ params, set }: { params: SearchParams; set: (p: SearchParams) => void }) {
  const { data: status } = useStatus();
  const wider = { ...params, from: undefined, to: undefined, range: "7d" };
  return (
    <section className="panel state">
      {status?.store.spans === 0 ? (
        <>
          <h1>Nothing has arrived yet</h1>
          <Link to="/" className="link">
            How to send the first trace
          </Link>
        </>
      ) : (
        <>
          <h1>No trace matches</h1>
          <p>Everything in this time was looked at; none of its spans meets all conditions at once.</p>
          <span className="facts">
            <button className="btn" onClick={() => set(wider)}>
              The same in the last week
            </button>
            <button className="btn" onClick={() => set({ range: params.range, from: params.from, to: params.to })}>
              All traces of this time
            </button>
          </span>
        </>
      )}
    </section>
  );
}

function Split({ t, longest }: { t: Summary; longest: number }) {
  const total = t.services.reduce((n, s) => n + s.selfNs, 0) || 1;
  const top = t.services.slice(0, 8);
  const rest = total - top.reduce((n, s) => n + s.selfNs, 0);
  return (
    <div
      className={styles.split}
      style={{ width: `${(t.durationNs / longest) * 100}%` }}
      title={top.map((s) => `${s.name} ${durationText(s.selfNs)}`).join(", ")}
    >
      {top.map((s) => (
        <i key={s.name} style={{ flex: s.selfNs / total, ...vars({ "--c": `var(${hue(s.name)})` }) }} />
      ))}
      {rest > 0 && <i style={{ flex: rest / total }} />}
    </div>
  );
}

const Marks = ({ t }: { t: Summary }) => (
  <span className={styles.marks}>
    {t.errors > 0 && (
      <span className="err">
        <ErrorMark />
        {t.errors}
      </span>
    )}
    {t.gaps > 0 && (
      <span className="mid">
        <GapMark />
        {t.gaps}
      </span>
    )}
  </span>
);

function Results({ traces, selected }: { traces: Summary[]; selected: number }) {
  const navigate = useNavigate();
  const longest = Math.max(1, ...traces.map((t) => t.durationNs));
  const link = (t: Summary) => ({ to: "/trace/$id" as const, params: { id: t.traceId } });
  return (
    <>
      <table className="t">
        <thead>
          <tr>
            <th>Root</th>
            <th className="num">Duration</th>
            <th style={{ width: "44%" }}>Where it went, longest services first</th>
            <th className="num">Spans</th>
            <th className="num">Errors, gaps</th>
            <th className="num" aria-sort="descending">
              Started ↓
            </th>
          </tr>
        </thead>
        <tbody>
          {traces.map((t, i) => (
            <tr key={t.traceId} data-row={i} aria-selected={i === selected} onClick={() => void navigate(link(t))}>
              <td>
                <Link {...link(t)} className={styles.root} onClick={(e) => e.stopPropagation()}>
                  <Swatch service={t.rootService} />
                  <b>{t.rootService}</b>
                  <span className="mid ell">{t.rootName}</span>
                </Link>
              </td>
              <td className="num">
                <Duration ns={t.durationNs} />
              </td>
              <td>
                <Split t={t} longest={longest} />
              </td>
              <td className="num">{count(t.spans)}</td>
              <td className="num">
                <Marks t={t} />
              </td>
              <td className="num">{clock(BigInt(t.start))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <div className={styles.cards}>
        {traces.map((t) => (
          <Link key={t.traceId} {...link(t)} className={styles.card}>
            <span>
              <Swatch service={t.rootService} />
              <span className="grow ell">
                <b>{t.rootService}</b> <span className="mid">{t.rootName}</span>
              </span>
              <b>
                <Duration ns={t.durationNs} />
              </b>
            </span>
            <Split t={t} longest={longest} />
            <span className="dim">
              <span>
                {clock(BigInt(t.start))} · {count(t.spans)} spans
              </span>
              <span className="grow" />
              <Marks t={t} />
            </span>
          </Link>
        ))}
      </div>
    </>
  );
}
