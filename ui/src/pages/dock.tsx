// One span in full: facts first, then status, attributes, events, links, resource and scope.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { ApiError, getRow, type Attr, type RowDetail } from "../api";
import { FLAG, KINDS, type Columns } from "../columns";
import { durationText } from "../format";
import { Duration, ErrorMark, Icon, Swatch } from "../parts";
import styles from "./trace.module.css";

export function Dock({ c, row, close, grown }: { c: Columns; row: number; close: () => void; grown: () => void }) {
  const { data, error } = useQuery({
    queryKey: ["row", c.traceId, c.version, row],
    queryFn: ({ signal }) => getRow(c.traceId, c.version, row, signal),
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
  const outdated = error instanceof ApiError && error.status === 404;
  useEffect(() => {
    if (outdated) grown();
  }, [outdated, grown]);
  const ghost = (c.flags[row] & FLAG.ghost) !== 0;
  const service = c.services[c.service[row]];
  return (
    <aside className={styles.dock} aria-label="Span detail">
      <div className={styles.dockHead}>
        <Swatch service={service} ghost={ghost} />
        <h2 className="grow">
          {ghost ? (
            "Never arrived"
          ) : (
            <>
              {service} <span>{c.names[c.name[row]]}</span>
            </>
          )}
        </h2>
        <button className="ib" aria-label="Close" onClick={close}>
          <Icon name="x" />
        </button>
      </div>
      <dl className={styles.three}>
        <div>
          <dt>Duration</dt>
          <dd>
            <Duration ns={c.duration[row]} />
          </dd>
        </div>
        <div>
          <dt>Own work</dt>
          <dd>
            <Duration ns={c.self[row]} />
          </dd>
        </div>
        <div>
          <dt>Starts at</dt>
          <dd>
            <Duration ns={c.begin[row]} />
          </dd>
        </div>
      </dl>
      {error && !outdated && (
        <p className={styles.sec} role="alert">
          {error.message}
        </p>
      )}
      {ghost ? (
        <p className={styles.sec}>
          {c.size[row] - 1 === 1 ? "A span names" : "Spans name"} this one as {c.size[row] - 1 === 1 ? "its" : "their"} parent,
          but it never arrived: its service may not send spans, send them elsewhere, or have sampled it out. The bar is the time
          its children took.
        </p>
      ) : (
        data && !data.ghost && <Detail c={c} row={row} d={data} />
      )}
    </aside>
  );
}

function Detail({ c, row, d }: { c: Columns; row: number; d: RowDetail }) {
  const facts: Attr[] = [
    { key: "span ID", type: "", value: d.spanId },
    { key: "parent", type: "", value: d.parentSpanId || "none: a root" },
    { key: "kind", type: "", value: KINDS[c.kind[row]] },
  ];
  if (d.traceState) facts.push({ key: "trace state", type: "", value: d.traceState });
  if (d.flags) facts.push({ key: "flags", type: "", value: `0x${d.flags.toString(16)}` });
  if (c.flags[row] & FLAG.skewed)
    facts.push({ key: "note", type: "", value: "runs outside of its parent's time: asynchronous, or the clocks differ" });
  return (
    <>
      {d.status.code === "error" && (
        <div className={styles.sec}>
          <p className={styles.status}>
            <ErrorMark /> {d.status.message || "status: error"}
          </p>
        </div>
      )}
      <Attrs title="Attributes" attrs={d.attributes} dropped={d.droppedAttributes} keep />
      {(d.events.length > 0 || d.droppedEvents > 0) && (
        <section className={styles.sec}>
          <h3>
            Events <span>{d.events.length}</span>
            <Dropped n={d.droppedEvents} />
          </h3>
          {d.events.map((e, i) => (
            <Event key={i} e={e} start={BigInt(d.start)} />
          ))}
        </section>
      )}
      {(d.links.length > 0 || d.droppedLinks > 0) && (
        <section className={styles.sec}>
          <h3>
            Links <span>{d.links.length}</span>
            <Dropped n={d.droppedLinks} />
          </h3>
          {d.links.map((l, i) => (
            <div key={i}>
              <Link to="/trace/$id" params={{ id: l.traceId }} search={{ span: l.spanId }} className="link mono">
                {l.traceId.slice(0, 8)}…{l.traceId.slice(-4)}
              </Link>{" "}
              <span className="dim">{l.attributes.map((a) => `${a.key}=${a.value}`).join(", ")}</span>
            </div>
          ))}
        </section>
      )}
      <Attrs title="Span" attrs={facts} dropped={0} />
      <Attrs title="Resource" attrs={d.resource.attributes} dropped={d.resource.droppedAttributes} keep />
      {d.scope.name && (
        <Attrs
          title="Scope"
          attrs={[{ key: "name", type: "", value: `${d.scope.name} ${d.scope.version}`.trim() }, ...d.scope.attributes]}
          dropped={d.scope.droppedAttributes}
        />
      )}
    </>
  );
}

const Dropped = ({ n }: { n: number }) => (n > 0 ? <span className="warn"> · {n} left out by the sender</span> : null);

function Attrs({ title, attrs, dropped, keep }: { title: string; attrs: Attr[]; dropped: number; keep?: boolean }) {
  if (attrs.length === 0 && dropped === 0) return null;
  return (
    <section className={styles.sec}>
      <h3>
        {title} <span>{attrs.length}</span>
        <Dropped n={dropped} />
      </h3>
      <dl className={`${styles.kv} mono`}>
        {attrs.map((a, i) => (
          <div key={a.key + i}>
            <dt title={a.key}>{a.key}</dt>
            <dd title={a.type}>
              {a.value === "" ? <span className="dim">{a.type === "empty" ? "nothing" : '""'}</span> : a.value}
            </dd>
            {keep && a.value.length < 200 && (
              <dd>
                <Link
                  className={styles.keep}
                  to="/search"
                  search={{ tag: [`${a.key}=${a.value}`], range: "24h" }}
                  aria-label={`Search for ${a.key}=${a.value}`}
                  title="traces with this value"
                >
                  <Icon name="plus" />
                </Link>
              </dd>
            )}
          </div>
        ))}
      </dl>
    </section>
  );
}

function Event({ e, start }: { e: RowDetail["events"][number]; start: bigint }) {
  const stack = e.attributes.find((a) => a.key === "exception.stacktrace");
  const type = e.attributes.find((a) => a.key === "exception.type")?.value;
  const message = e.attributes.find((a) => a.key === "exception.message")?.value;
  const offset = Number(BigInt(e.time) - start);
  return (
    <details className={styles.event} open={stack !== undefined}>
      <summary>
        <span className="dim">
          {offset < 0 ? "−" : "+"}
          {durationText(Math.abs(offset))}
        </span>
        <span className={stack || type ? "err grow" : "grow"}>{type ? `${type}: ${message ?? ""}` : e.name || "event"}</span>
      </summary>
      {stack && <pre tabIndex={0}>{stack.value}</pre>}
      <dl className={`${styles.kv} mono`}>
        {e.attributes
          .filter((a) => !a.key.startsWith("exception."))
          .map((a, i) => (
            <div key={i}>
              <dt title={a.key}>{a.key}</dt>
              <dd>{a.value}</dd>
            </div>
          ))}
      </dl>
      <Dropped n={e.droppedAttributes} />
    </details>
  );
}
