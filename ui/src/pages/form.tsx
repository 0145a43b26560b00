// The form of a search: every field is a part of the URL.
import { Autocomplete } from "@base-ui/react/autocomplete";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { getOperations, getServices } from "../api";
import { clock, durationText, localTime } from "../format";
import { Icon, Swatch } from "../parts";
import { DEFAULT_RANGE, RANGES, rangeSeconds, readTyped, searchQuery, traceIdIn, type SearchParams } from "../url";
import { Tags } from "./tags";
import styles from "./search.module.css";

interface Props {
  params: SearchParams;
  set: (p: SearchParams) => void;
}

const nowNs = () => BigInt(Date.now()) * 1_000_000n;
const isDuration = (s: string) => /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(s);

/** Nanoseconds of a datetime-local value, in the reader's zone. */
function localNs(v: string | undefined): string | undefined {
  const ms = v ? new Date(v).getTime() : NaN;
  return Number.isNaN(ms) ? undefined : `${ms}000000`;
}

export function Form({ params, set }: Props) {
  const navigate = useNavigate();
  const [service, setService] = useState(params.service ?? "");
  const [operation, setOperation] = useState(params.operation ?? "");
  const [range, setRange] = useState(params.from || params.to ? "absolute" : (params.range ?? DEFAULT_RANGE));
  const [bad, setBad] = useState<string>();
  const { data: services = [] } = useQuery({ queryKey: ["services"], queryFn: ({ signal }) => getServices(signal) });
  const { data: operations = [] } = useQuery({
    queryKey: ["operations", service],
    queryFn: ({ signal }) => getOperations(service, signal),
    enabled: services.includes(service),
  });
  const times = () => {
    const absolute = range === "absolute";
    const q = searchQuery({ range, from: absolute ? params.from : undefined, to: absolute ? params.to : undefined }, nowNs());
    if (absolute && !params.from) q.delete("from");
    q.set("range", range);
    return q;
  };
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const f = new FormData(e.currentTarget);
    const text = (k: string) => String(f.get(k) ?? "").trim() || undefined;
    const id = traceIdIn(service) ?? traceIdIn(text("tag") ?? "");
    if (id) {
      void navigate({ to: "/trace/$id", params: { id } });
      return;
    }
    const wrong = ["min", "max"].find((k) => text(k) && !isDuration(text(k)!));
    setBad(wrong);
    if (wrong) return;
    const tag = [...(params.tag ?? []), ...readTyped(text("tag") ?? "")];
    const absolute = range === "absolute";
    set({
      service: service.trim() || undefined,
      operation: operation.trim() || undefined,
      tag: tag.length ? [...new Set(tag)] : undefined,
      min: text("min"),
      max: text("max"),
      range: absolute || range === DEFAULT_RANGE ? undefined : range,
      // Times that were not touched stay as exact as they were.
      from: absolute ? keepExact(params.from, text("from")) : undefined,
      to: absolute ? keepExact(params.to, text("to")) : undefined,
      tmin: params.tmin,
      tmax: params.tmax,
      limit: params.limit,
    });
  };
  return (
    <section className="panel" aria-label="Search">
      <form className={styles.form} onSubmit={submit}>
        <Field
          label="Service, or a trace ID"
          value={service}
          change={(v) => {
            setService(v);
            if (v !== params.service) setOperation("");
          }}
          items={services}
          swatch
        />
        <Field
          label="Operation"
          value={operation}
          change={setOperation}
          items={[...new Set(operations.map((o) => o.name))]}
          hint={service ? undefined : "of a service first"}
        />
        <Tags service={services.includes(service) ? service : undefined} times={times} />
        <label className="field">
          <span>Span at least</span>
          <input name="min" defaultValue={params.min} placeholder="100ms" aria-invalid={bad === "min"} autoComplete="off" />
        </label>
        <label className="field">
          <span>at most</span>
          <input name="max" defaultValue={params.max} placeholder="1.5s" aria-invalid={bad === "max"} autoComplete="off" />
        </label>
        <TimeSelect params={params} range={range} setRange={setRange} />
        <button className="btn pri" type="submit">
          <Icon name="search" />
          Search
        </button>
        {range === "absolute" && <Absolute params={params} />}
      </form>
      <Chips params={params} set={set} bad={bad !== undefined} />
    </section>
  );
}

const keepExact = (old: string | undefined, typed: string | undefined) =>
  old && typed === localTime(BigInt(old)) ? old : localNs(typed);

interface FieldProps {
  label: string;
  value: string;
  change: (v: string) => void;
  items: string[];
  swatch?: boolean;
  hint?: string;
}

// A text with completion: what is typed need not be in the list.
function Field({ label, value, change, items, swatch, hint }: FieldProps) {
  return (
    <Autocomplete.Root items={items} value={value} onValueChange={change} openOnInputClick>
      <label className="field">
        <span>{label}</span>
        <Autocomplete.Input placeholder="any" spellCheck={false} />
      </label>
      <Autocomplete.Portal>
        <Autocomplete.Positioner className="popAt" sideOffset={4} align="start">
          <Autocomplete.Popup className="pop">
            <Autocomplete.Empty>{items.length === 0 && hint && <p className={styles.hint}>{hint}</p>}</Autocomplete.Empty>
            <Autocomplete.List aria-label={label}>
              {(item: string) => (
                <Autocomplete.Item key={item} value={item}>
                  {swatch && <Swatch service={item} />}
                  {item}
                </Autocomplete.Item>
              )}
            </Autocomplete.List>
          </Autocomplete.Popup>
        </Autocomplete.Positioner>
      </Autocomplete.Portal>
    </Autocomplete.Root>
  );
}

function TimeSelect({ params, range, setRange }: { params: SearchParams; range: string; setRange: (r: string) => void }) {
  const own = params.range && rangeSeconds(params.range) && !RANGES.some(([r]) => r === params.range) ? params.range : undefined;
  return (
    <label className="field">
      <span>Time</span>
      <select value={range} onChange={(e) => setRange(e.target.value)}>
        {own && <option value={own}>Last {own}</option>}
        {RANGES.map(([r, text]) => (
          <option key={r} value={r}>
            {text}
          </option>
        ))}
        <option value="absolute">From, to…</option>
      </select>
    </label>
  );
}

function Absolute({ params }: { params: SearchParams }) {
  const from = params.from ? BigInt(params.from) : undefined;
  const to = params.to ? BigInt(params.to) : undefined;
  return (
    <div className={styles.absolute}>
      <label className="field">
        <span>From</span>
        <input
          type="datetime-local"
          step="1"
          name="from"
          defaultValue={localTime(from ?? BigInt(Date.now() - 3_600_000) * 1_000_000n)}
        />
      </label>
      <label className="field">
        <span>To, empty for now</span>
        <input type="datetime-local" step="1" name="to" defaultValue={to === undefined ? "" : localTime(to)} />
      </label>
      {from !== undefined && to !== undefined && (
        <span className="dim">
          {durationText(Number(to - from))}: {clock(from)} to {clock(to)}
        </span>
      )}
    </div>
  );
}

function Chips({ params, set, bad }: Props & { bad: boolean }) {
  const box = params.tmin || params.tmax;
  if (!params.tag?.length && !bad && !box) return null;
  return (
    <div className={styles.tags}>
      {params.tag?.map((t, i) => (
        <Chip key={t + i} text={t} remove={() => set({ ...params, tag: params.tag!.filter((_, k) => k !== i) })} />
      ))}
      {box && (
        <Chip
          text={`trace takes ${params.tmin ? `${durationText(Number(params.tmin))} or more` : ""}${params.tmin && params.tmax ? ", " : ""}${params.tmax ? `${durationText(Number(params.tmax))} or less` : ""}`}
          remove={() => set({ ...params, tmin: undefined, tmax: undefined })}
        />
      )}
      {bad && (
        <span className="chip err" role="alert">
          A duration is a number and a unit, such as 200ms or 1.5s
        </span>
      )}
    </div>
  );
}

const Chip = ({ text, remove }: { text: string; remove: () => void }) => (
  <span className="chip mono" title={text}>
    <span className="ell">{text}</span>
    <button aria-label={`Remove ${text}`} onClick={remove}>
      <Icon name="x" />
    </button>
  </span>
);
