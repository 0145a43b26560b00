// Search: which requests? A form, the answer as a picture of time and duration, and as a list.
import { keepPreviousData, useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { ApiError, search, type Found, type Summary } from "../api";
import { useCommands } from "../commands";
import { copy } from "../copy";
import { bytes, clock, count, durationText, moment, several } from "../format";
import { Duration, ErrorMark, GapMark, Progress, Swatch, useHue } from "../parts";
import { useStatus } from "../shell";
import { searchQuery, type SearchParams } from "../url";
import { Form } from "./form";
import { Scatter } from "./scatter";
import styles from "./search.module.css";

const nowNs = () => BigInt(Date.now()) * 1_000_000n;

/** Whether a trace is in the box that was drawn in the picture, if there is one. */
const inBox = (p: SearchParams) => (t: Summary) =>
  !(p.tmin && t.durationNs < Number(p.tmin)) && !(p.tmax && t.durationNs > Number(p.tmax));

export function SearchPage() {
  const params = useSearch({ from: "/search" });
  const navigate = useNavigate({ from: "/search" });
  const [at, setAt] = useState(nowNs);
  const key = JSON.stringify(params);
  const answer = useInfiniteQuery({
    queryKey: ["search", searchQuery(params, at).toString()],
    queryFn: ({ pageParam, signal }) => search(searchQuery(params, at, pageParam), signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.cursor || undefined,
    placeholderData: keepPreviousData,
  });
  const loaded = useMemo(() => answer.data?.pages.flatMap((p) => p.traces) ?? [], [answer.data]);
  const traces = useMemo(() => loaded.filter(inBox(params)), [loaded, key]);
  const set = (p: SearchParams) => {
    setAt(nowNs());
    void navigate({ search: p });
  };
  const main = useRef<HTMLElement>(null);
  const step = (by: number) => {
    const links = [...(main.current?.querySelectorAll<HTMLElement>("[data-trace]") ?? [])].filter((l) => l.offsetParent);
    const now = links.indexOf(document.activeElement as HTMLElement);
    links[Math.max(0, Math.min(links.length - 1, now + by))]?.focus();
  };
  useEffect(() => {
    document.title = `${params.service ?? "Search"} · Clew`;
  }, [params.service]);
  useCommands([
    { label: "Change the search", keys: ["/"], run: () => main.current?.querySelector<HTMLInputElement>("input")?.focus() },
    { label: "Next trace", minor: true, keys: ["j", "ArrowDown"], run: () => step(1) },
    { label: "Previous trace", minor: true, keys: ["k", "ArrowUp"], run: () => step(-1) },
    { label: "Open the trace", minor: true, keys: ["Enter"], hidden: traces.length === 0, run: () => false },
    { label: "Look again, until now", keys: ["r"], run: () => setAt(nowNs()) },
    {
      label: "Load more",
      keys: ["l"],
      hidden: !answer.hasNextPage,
      run: () => (answer.hasNextPage ? void answer.fetchNextPage() : false),
    },
    { label: "Copy a link to this search", keys: ["y"], run: () => void copy(linkTo(params, at)) },
  ]);

  const last = answer.data?.pages.at(-1);
  return (
    <main className="page" ref={main} aria-busy={answer.isFetching}>
      {answer.isFetching && <Progress />}
      <h1 className="vh">Search</h1>
      <Form key={key} params={params} set={set} />
      {answer.error ? (
        <Failed error={answer.error} again={() => void answer.refetch()} />
      ) : (
        <Answer loaded={loaded.length} traces={traces} last={last} more={answer.hasNextPage} />
      )}
      {answer.isPending && (
        <section className="panel bones" aria-hidden="true">
          {Array.from({ length: 12 }, (_, i) => (
            <i key={i} />
          ))}
        </section>
      )}
      {traces.length > 0 && <Scatter traces={traces} zoom={(z) => set({ ...params, range: undefined, ...z })} />}
      {last && !answer.error && loaded.length === 0 && <Nothing params={params} at={at} set={set} />}
      {loaded.length > 0 && (
        <section className={`panel ${styles.results}`} aria-label="Traces">
          <Results traces={traces} />
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
function linkTo(p: SearchParams, at: bigint): string {
  const q = searchQuery(p, at);
  const url = new URL(location.href);
  url.searchParams.delete("range");
  url.searchParams.set("from", q.get("from") ?? "0");
  url.searchParams.set("to", q.get("to") ?? String(at));
  return url.href;
}

// What was found, and whether all there is was looked at.
function Answer({ loaded, traces, last, more }: { loaded: number; traces: Summary[]; last?: Found; more: boolean }) {
  const n = traces.length;
  const noun = n === 1 ? "trace" : "traces";
  const times = traces.map((t) => BigInt(t.start));
  const oldest = times.length ? times.reduce((a, b) => (b < a ? b : a)) : 0n;
  const newest = times.length ? times.reduce((a, b) => (b > a ? b : a)) : 0n;
  const scanned = last?.scanned;
  return (
    <div className={styles.tools}>
      <span role="status">
        {last && (
          <>
            <b>{n === 0 ? "No traces" : `${more && n > 1 ? "The newest " : ""}${count(n)} ${noun}`}</b>
            {n < loaded && ` of ${count(loaded)}, by the box,`}
            {n > 0 && (
              <span className="mid">
                {" "}
                from {moment(oldest, undefined, false).replace("Today", "today")} {n > 1 && `to ${clock(newest, false)}`}
              </span>
            )}
            {more && ", and more before"}
          </>
        )}
      </span>
      {scanned && (
        <span className={styles.scanned}>
          <i className={scanned.complete ? undefined : styles.part} />
          {scanned.complete ? "scanned 100 %" : <span className="warn">▲ scanned in part: {scanned.reason}</span>}
          <span className="only-w">
            {several(scanned.blocks, "block")} read
            {scanned.blocksSkipped > 0 && `, ${scanned.blocksSkipped} ruled out`}
            {scanned.bytes > 0 ? `, ${bytes(scanned.bytes)}` : ", in memory"}
          </span>
        </span>
      )}
    </div>
  );
}

function Failed({ error, again }: { error: Error; again: () => void }) {
  const status = error instanceof ApiError ? error.status : 500;
  return (
    <section className="panel state">
      <h2>{status === 0 ? "No answer" : status < 500 ? "The search was refused" : "The search failed"}</h2>
      <p role="alert">{error.message}</p>
      {status === 0 && <p>This page asks again as soon as Clew is back.</p>}
      {(status === 0 || status >= 500) && (
        <button className="btn" onClick={again}>
          Try again
        </button>
      )}
    </section>
  );
}

/** The search with one condition less, for each condition it has. */
function nearby(p: SearchParams): [string, SearchParams][] {
  const out: [string, SearchParams][] = [];
  if (p.operation) out.push([`any operation`, { ...p, operation: undefined }]);
  p.tag?.forEach((t, i) => out.push([`without ${t}`, { ...p, tag: p.tag!.filter((_, k) => k !== i) }]));
  if (p.min || p.max) out.push(["of any duration", { ...p, min: undefined, max: undefined }]);
  if (p.service && out.length) out.push(["in any service", { ...p, service: undefined, operation: undefined }]);
  const all: SearchParams = { range: p.range, from: p.from, to: p.to };
  if (out.length !== 1 || p.service) out.push(["all traces of this time", all]);
  if (p.range !== "7d") out.push(["the same in the last week", { ...p, from: undefined, to: undefined, range: "7d" }]);
  return out.slice(0, 6);
}

const ENOUGH = 20;

function Nothing({ params, at, set }: { params: SearchParams; at: bigint; set: (p: SearchParams) => void }) {
  const { data: status } = useStatus();
  const near = useMemo(() => nearby(params), [params]);
  const counts = useQueries({
    queries: near.map(([, p]) => ({
      queryKey: ["count", searchQuery({ ...p, limit: String(ENOUGH) }, at).toString()],
      queryFn: ({ signal }: { signal: AbortSignal }) => search(searchQuery({ ...p, limit: String(ENOUGH) }, at), signal),
      enabled: status !== undefined && status.store.spans > 0,
    })),
  });
  if (status?.store.spans === 0)
    return (
      <section className="panel state">
        <h2>Nothing has arrived yet</h2>
        <Link to="/" className="link">
          How to send the first trace
        </Link>
      </section>
    );
  const left = near.flatMap(([label, p], i) => {
    const found = counts[i].data;
    return found?.traces.length === 0 ? [] : [{ label, p, found }];
  });
  return (
    <section className="panel state">
      <h2>No trace matches</h2>
      <p>
        Everything in this time was looked at; none of its spans meets all conditions at once.
        {left.length > 0 ? " What is near:" : " Nor does any with one condition less, or in the last week."}
      </p>
      <ul className={styles.near}>
        {left.map(({ label, p, found }) => (
          <li key={label}>
            <button className="btn" onClick={() => set(p)}>
              <span className="ell">{label}</span>
              {found && (
                <span className="dim">
                  {found.traces.length}
                  {found.cursor ? "+" : ""} {found.traces.length === 1 ? "trace" : "traces"}
                </span>
              )}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Split({ t, longest }: { t: Summary; longest: number }) {
  const style = useHue();
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
        <i key={s.name} style={{ flex: s.selfNs / total, ...style(s.name) }} />
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

function Results({ traces }: { traces: Summary[] }) {
  const navigate = useNavigate();
  const longest = Math.max(1, ...traces.map((t) => t.durationNs));
  const days = new Set(traces.map((t) => new Date(Number(BigInt(t.start) / 1_000_000n)).toDateString()));
  const started = (t: Summary) =>
    days.size > 1 || !days.has(new Date().toDateString()) ? moment(BigInt(t.start)) : clock(BigInt(t.start));
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
          {traces.map((t) => (
            <tr key={t.traceId} onClick={() => void navigate(link(t))}>
              <td>
                <Link {...link(t)} data-trace className={styles.root} onClick={(e) => e.stopPropagation()}>
                  <Swatch service={t.rootService} />
                  <b>{t.rootService || "unknown"}</b>
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
              <td className="num">{started(t)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <div className={styles.cards}>
        {traces.map((t) => (
          <Link key={t.traceId} {...link(t)} data-trace className={styles.card}>
            <span>
              <Swatch service={t.rootService} />
              <span className="grow ell">
                <b>{t.rootService || "unknown"}</b> <span className="mid">{t.rootName}</span>
              </span>
              <b>
                <Duration ns={t.durationNs} />
              </b>
            </span>
            <Split t={t} longest={longest} />
            <span className="dim">
              <span className="ell">
                {started(t)} · {several(t.spans, "span")}
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
