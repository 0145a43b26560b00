// One span in full: facts first, then status, attributes, events, links, resource and scope.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { ApiError, getRow, type Attr, type RowDetail } from "../api";
import { FLAG, KINDS, type Columns } from "../columns";
import { bytes, durationText, moment } from "../format";
import { CopyButton, Duration, ErrorMark, Icon, Swatch } from "../parts";
import { onThread, type Segment } from "../tree";
import styles from "./trace.module.css";
import { clamped, pretty } from "./value";

interface Props {
  c: Columns;
  row: number;
  path: Segment[];
  close: () => void;
  grown: () => void;
  similar?: () => void;
}

export function Dock({ c, row, path, close, grown, similar }: Props) {
  const [tall, setTall] = useState(false); // of the sheet that it is on narrow pages
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
  const times = useMemo(() => onThread(c, path), [c, path]);
  const service = c.services[c.service[row]];
  return (
    <aside className={tall ? `${styles.dock} ${styles.tall}` : styles.dock} aria-label="Span detail">
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
        <button className="btn only-n" aria-expanded={tall} onClick={() => setTall((v) => !v)}>
          {tall ? "Less" : "More"}
        </button>
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
          <dt>On the thread</dt>
          <dd>
            {times[row] > 0 ? (
              <>
                <Duration ns={times[row]} /> <small>{share(times[row], c.durationNs)}</small>
              </>
            ) : (
              <span className="dim">none</span>
            )}
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
      {similar && (
        <div className={styles.actions}>
          <button className="btn" onClick={similar} title={`${service} ${c.names[c.name[row]]}, last day`}>
            <Icon name="search" />
            Traces with this operation <kbd>f</kbd>
          </button>
        </div>
      )}
    </aside>
  );
}

function share(ns: number, of: number): string {
  const percent = (ns / (of || 1)) * 100;
  return percent < 1 ? "<1 %" : `${Math.round(percent)} %`;
}

function Detail({ c, row, d }: { c: Columns; row: number; d: RowDetail }) {
  const facts: Attr[] = [
    { key: "span ID", type: "", value: d.spanId },
    { key: "parent", type: "", value: d.parentSpanId || "none: a root" },
    { key: "kind", type: "", value: KINDS[c.kind[row]] },
    { key: "starts", type: "", value: `${moment(BigInt(d.start))}, at ${durationText(c.begin[row])}` },
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
            <div className={styles.linked} key={i}>
              <Link to="/trace/$id" params={{ id: l.traceId }} search={{ span: l.spanId }} className="link mono">
                {l.traceId === c.traceId ? "a span of this trace, " : `${l.traceId.slice(0, 8)}…${l.traceId.slice(-4)} `}
                {l.spanId.slice(0, 8)}…
              </Link>
              <List
                attrs={l.traceState ? [...l.attributes, { key: "trace state", type: "", value: l.traceState }] : l.attributes}
              />
              <Dropped n={l.droppedAttributes} />
            </div>
          ))}
        </section>
      )}
      <Attrs title="Span" attrs={facts} dropped={0} />
      <Attrs
        title="Resource"
        attrs={withSchema(d.resource.attributes, d.resource.schemaUrl)}
        dropped={d.resource.droppedAttributes}
        keep
      />
      <Attrs title="Scope" attrs={scopeAttrs(d.scope)} dropped={d.scope.droppedAttributes} />
    </>
  );
}

const withSchema = (attrs: Attr[], url: string) => (url ? [...attrs, { key: "schema URL", type: "", value: url }] : attrs);

function scopeAttrs(s: RowDetail["scope"]): Attr[] {
  const name = `${s.name} ${s.version}`.trim();
  return withSchema(name ? [{ key: "name", type: "", value: name }, ...s.attributes] : s.attributes, s.schemaUrl);
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
      <List attrs={attrs} keep={keep} />
    </section>
  );
}

function List({ attrs, keep }: { attrs: Attr[]; keep?: boolean }) {
  if (attrs.length === 0) return null;
  return (
    <dl className={`${styles.kv} mono`}>
      {attrs.map((a, i) => (
        <div key={a.key + i}>
          <dt title={a.type ? `${a.key} (${a.type})` : a.key}>{a.key}</dt>
          <dd>
            <Value a={a} />
            <span className={styles.does}>
              {keep && a.type && a.value.length < 200 && (
                <Link
                  className="ib s"
                  to="/search"
                  search={{ tag: [`${a.key}=${a.value}`], range: "24h" }}
                  aria-label={`Keep only ${a.key}=${a.value}`}
                  title="traces with this value"
                >
                  <Icon name="plus" />
                </Link>
              )}
              <CopyButton text={a.value} label={`Copy the value of ${a.key}`} />
            </span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

// Long values show their beginning, JSON in lines of its own; a copy has all of it.
function Value({ a }: { a: Attr }) {
  const [all, setAll] = useState(false);
  const text = useMemo(() => pretty(a.type, a.value), [a]);
  if (a.value === "") return <span className="dim">{a.type === "empty" ? "nothing" : '""'}</span>;
  const short = clamped(text, all);
  return (
    <>
      {short.text}
      {(short.cut || all) && (
        <button className="link" aria-expanded={all} onClick={() => setAll((v) => !v)}>
          {all ? "less" : `… all ${bytes(a.value.length)}`}
        </button>
      )}
    </>
  );
}

const exception = ["exception.type", "exception.message", "exception.stacktrace"];

function Event({ e, start }: { e: RowDetail["events"][number]; start: bigint }) {
  const [type, message, stack] = exception.map((k) => e.attributes.find((a) => a.key === k)?.value);
  const offset = Number(BigInt(e.time) - start);
  const rest = e.attributes.filter((a) => !exception.includes(a.key));
  const failed = stack !== undefined || type !== undefined;
  return (
    <details className={styles.event} open={stack !== undefined || rest.length > 0}>
      <summary>
        <span className="dim num">
          {offset < 0 ? "−" : "+"}
          {durationText(Math.abs(offset))}
        </span>
        <span className={failed ? "err grow" : "grow"}>
          {failed && <ErrorMark />} {failed ? [type ?? e.name, message].filter(Boolean).join(": ") : e.name || "event"}
        </span>
      </summary>
      {stack && (
        <div className={styles.stack}>
          <pre tabIndex={0} aria-label="Stack trace">
            {stack.trimEnd()}
          </pre>
          <CopyButton text={stack} label="Copy the stack trace" />
        </div>
      )}
      <List attrs={rest} />
      <Dropped n={e.droppedAttributes} />
    </details>
  );
}
