// The first page of an empty store: how to send the first trace. It opens that trace by itself.
import { Tabs } from "@base-ui/react/tabs";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";
import { search, type Status } from "../api";
import { ink, useCanvas } from "../paint";
import { Icon, useCopy } from "../parts";
import { useStatus } from "../shell";
import styles from "./first.module.css";

const NAMES: Record<string, string> = {
  "otlp/grpc": "OTLP gRPC",
  "otlp/http": "OTLP HTTP",
  zipkin: "Zipkin",
  scribe: "Zipkin scribe",
  "jaeger/compact": "Jaeger compact",
  "jaeger/binary": "Jaeger binary",
  "jaeger/http": "Jaeger HTTP",
  "jaeger/grpc": "Jaeger gRPC",
  "sampling/http": "sampling HTTP",
  "sampling/grpc": "sampling gRPC",
  query: "page and APIs",
  tempo: "Tempo API",
  "query/grpc": "Jaeger query gRPC",
  admin: "health, metrics",
};

// In the order in which they matter to somebody who wants to send.
const ORDER = Object.keys(NAMES);

// Metrics and logs are not Clew's; an SDK that sends them would complain with every batch.
const traceOnly = `export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none`;

export function snippets(host: string, port: (protocol: string, fallback: string) => string): Record<string, [string, string]> {
  const http = `http://${host}:${port("otlp/http", "4318")}`;
  const grpc = `http://${host}:${port("otlp/grpc", "4317")}`;
  return {
    curl: [
      "One span over HTTP, to see that the way is open.",
      `NOW=$(date +%s)
curl -s ${http}/v1/traces -H 'content-type: application/json' -d '{
  "resourceSpans": [{ "resource": { "attributes": [
    { "key": "service.name", "value": { "stringValue": "hello" } }] },
    "scopeSpans": [{ "spans": [{
      "traceId": "'$(head -c16 /dev/urandom | od -An -tx1 | tr -d ' \\n')'",
      "spanId": "eee19b7ec3c1b174", "name": "first span", "kind": 2,
      "startTimeUnixNano": "'$NOW'000000000",
      "endTimeUnixNano": "'$NOW'250000000" }] }] }] }'`,
    ],
    "Node.js": [
      "Any Node.js app, without a change in its code.",
      `npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node
export OTEL_SERVICE_NAME=hello
export OTEL_EXPORTER_OTLP_ENDPOINT=${http}
${traceOnly}
node --require @opentelemetry/auto-instrumentations-node/register app.js`,
    ],
    Python: [
      "Any Python app, without a change in its code.",
      `pip install opentelemetry-distro opentelemetry-exporter-otlp
opentelemetry-bootstrap -a install
export OTEL_SERVICE_NAME=hello
export OTEL_EXPORTER_OTLP_ENDPOINT=${grpc}
${traceOnly}
opentelemetry-instrument python app.py`,
    ],
    Java: [
      "Any Java app, with OpenTelemetry's agent.",
      `export OTEL_SERVICE_NAME=hello
export OTEL_EXPORTER_OTLP_ENDPOINT=${http}
${traceOnly}
java -javaagent:opentelemetry-javaagent.jar -jar app.jar`,
    ],
    Collector: [
      "An OpenTelemetry Collector keeps what it does and sends here as well.",
      `exporters:
  otlp/clew:
    endpoint: ${host}:${port("otlp/grpc", "4317")}
    tls: { insecure: true }
service:
  pipelines:
    traces: { receivers: [otlp], exporters: [otlp/clew] }`,
    ],
    Zipkin: [
      "Zipkin v2 JSON, on Zipkin's own port.",
      `curl -s http://${host}:${port("zipkin", "9411")}/api/v2/spans -H 'content-type: application/json' -d '[{
  "traceId": "'$(head -c8 /dev/urandom | od -An -tx1 | tr -d ' \\n')'", "id": "eee19b7ec3c1b174",
  "name": "first span", "kind": "SERVER",
  "timestamp": '$(date +%s)'000000, "duration": 1200,
  "localEndpoint": { "serviceName": "hello" } }]'`,
    ],
  };
}

export function FirstPage() {
  const navigate = useNavigate();
  const { data: status, isError } = useStatus(1500);
  const arrived = (status?.store.spans ?? 0) > 0;
  const { data: found } = useQuery({
    queryKey: ["first"],
    queryFn: ({ signal }) => search(new URLSearchParams({ limit: "1" }), signal),
    enabled: arrived,
    refetchInterval: 1000,
  });
  const id = found?.traces[0]?.traceId;
  useEffect(() => {
    if (id) void navigate({ to: "/trace/$id", params: { id } });
  }, [id, navigate]);

  const port = (protocol: string, fallback: string) =>
    status?.listen
      .find((l) => l.protocol === protocol)
      ?.address.split(":")
      .at(-1) ?? fallback;
  return (
    <main className={`page ${styles.page}`}>
      <div className={styles.col}>
        <div className={styles.hero}>
          <div>
            <h1>Send the first trace</h1>
            <p>
              Clew is listening. Point any OpenTelemetry, Jaeger or Zipkin client here and its spans appear within a second.
              Nothing else to set up: every span is kept.
            </p>
          </div>
          <Yarn />
        </div>
        <div className={styles.two}>
          <HowTo all={snippets(location.hostname, port)} />
          <section className="panel" aria-label="Listening">
            <div className="head">
              <h2>Listening</h2>
            </div>
            <ul className={styles.listen}>
              {[...(status?.listen ?? [])]
                .sort((a, b) => ORDER.indexOf(a.protocol) - ORDER.indexOf(b.protocol))
                .map((l) => (
                  <li key={l.protocol}>
                    <span className="mono ell" title={l.address}>
                      {l.address}
                    </span>
                    <span>{NAMES[l.protocol] ?? l.protocol}</span>
                    <span className={isError ? `${styles.ready} err` : styles.ready}>
                      <i />
                      {isError ? "away" : "ready"}
                    </span>
                  </li>
                ))}
            </ul>
          </section>
        </div>
        <Waiting status={status} away={isError} />
        <div className={styles.more}>
          <div>
            <h2>No app at hand?</h2>
            <p>
              <code>clew demo</code> runs a small shop on this machine, with a slow dependency and an intermittent error to find.
            </p>
          </div>
          <div>
            <h2>Only load?</h2>
            <p>
              <code>clew load --rate 1000</code> sends generated traces of a shop with 17 services.
            </p>
          </div>
        </div>
      </div>
    </main>
  );
}

function HowTo({ all }: { all: Record<string, [string, string]> }) {
  const [tab, setTab] = useState("curl");
  const [copied, copy] = useCopy();
  return (
    <section className="panel" aria-label="How to send">
      <Tabs.Root value={tab} onValueChange={(v: string) => setTab(v)}>
        <div className={styles.tabs}>
          <Tabs.List className="seg" aria-label="Client" activateOnFocus>
            {Object.keys(all).map((t) => (
              <Tabs.Tab key={t} value={t}>
                {t}
              </Tabs.Tab>
            ))}
          </Tabs.List>
        </div>
        {Object.entries(all).map(([t, [lead, text]]) => (
          <Tabs.Panel key={t} value={t}>
            <div className={styles.lead}>
              <p>{lead}</p>
              <button className="btn" onClick={() => copy(text)}>
                <Icon name={copied === "Copied" ? "check" : "copy"} />
                {copied ?? "Copy"}
              </button>
            </div>
            <pre className={styles.snippet} tabIndex={0} aria-label={`Snippet for ${t}`}>
              {text}
            </pre>
          </Tabs.Panel>
        ))}
      </Tabs.Root>
    </section>
  );
}

function Waiting({ status, away }: { status?: Status; away: boolean }) {
  if (away)
    return (
      <section className={`panel ${styles.wait}`} role="status">
        <span>
          <b className="err">Clew does not answer</b>
          <span className="mid">Is the process running? This page asks again every few seconds.</span>
        </span>
      </section>
    );
  const seconds = status ? Math.round(Number(BigInt(status.now) - BigInt(status.startedAt)) / 1e9) : 0;
  return (
    <section className={`panel ${styles.wait}`} role="status">
      <Wave />
      <span>
        <b>Waiting for spans</b>
        <span className="mid">
          {status?.received ?? 0} received,{" "}
          <span className={status?.refused ? "err" : undefined}>{status?.refused ?? 0} refused</span>
          {seconds > 0 && `, for ${seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`}`}. This page opens the
          first trace by itself.
          {(status?.refused ?? 0) > 0 && " Spans came and were refused: the answer that the sender got, and Clew's log, say why."}
        </span>
      </span>
    </section>
  );
}

// The ball and its thread, leading to the first row of a waterfall that is not there yet.
function Yarn() {
  const draw = useCallback((g: CanvasRenderingContext2D, w: number, h: number) => {
    const thread = ink("--thread");
    const r = Math.min(52, h * 0.34);
    const cx = r + 8;
    const cy = h * 0.44;
    const k = r / 11.5;
    g.fillStyle = thread;
    g.beginPath();
    g.arc(cx, cy, r, 0, 7);
    g.fill();
    g.strokeStyle = ink("--bg");
    g.lineCap = "round";
    g.lineWidth = r * 0.19;
    for (const a of [
      [6.4, 16.4, 8.4, 10.8, 12.6, 7, 18.6, 6.2],
      [9.2, 20.6, 11.6, 14, 16, 10.4, 21.9, 9.9],
      [14.2, 21.6, 15.4, 17.8, 18.4, 15, 22.6, 14.3],
    ]) {
      const [x0, y0, x1, y1, x2, y2, x3, y3] = a.map((v, i) => (i % 2 ? cy : cx) + (v - 14) * k);
      g.beginPath();
      g.moveTo(x0, y0);
      g.bezierCurveTo(x1, y1, x2, y2, x3, y3);
      g.stroke();
    }
    g.strokeStyle = thread;
    g.lineWidth = Math.max(3, r * 0.13);
    const top = h * 0.14 + 5;
    g.beginPath();
    g.moveTo(cx, cy + r - 2);
    g.bezierCurveTo(cx + r * 0.9, cy + r - 2, cx + r * 0.6, h - 8, cx + r * 1.6, h - 10);
    g.bezierCurveTo(cx + r * 2.6, h - 12, cx + r * 1.5, top, cx + r * 2.3, top);
    g.lineTo(w * 0.5 - 3, top);
    g.stroke();
    g.setLineDash([4, 4]);
    g.lineWidth = 1.25;
    g.strokeStyle = ink("--line-3");
    for (const [a, b, y] of [
      [0.5, 1, 0.14],
      [0.56, 0.8, 0.34],
      [0.6, 0.72, 0.54],
      [0.74, 0.94, 0.74],
    ]) {
      g.beginPath();
      g.roundRect(w * a, h * y - 1, w * (b - a) - 1, 12, 3);
      g.stroke();
    }
    g.setLineDash([]);
  }, []);
  return <canvas ref={useCanvas(draw)} aria-hidden="true" />;
}

// A thread on its way.
function Wave() {
  const [now, setNow] = useState(0.6);
  useEffect(() => {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const timer = setInterval(() => setNow((performance.now() / 2200) % 1.25), 50);
    return () => clearInterval(timer);
  }, []);
  const draw = useCallback(
    (g: CanvasRenderingContext2D, w: number, h: number) => {
      const line = (from: number, to: number, color: string) => {
        g.strokeStyle = color;
        g.lineWidth = 2;
        g.lineCap = "round";
        g.beginPath();
        for (let x = Math.max(2, from); x < Math.min(w - 2, to); x++) g.lineTo(x, h / 2 + 5 * Math.sin(x / 10));
        g.stroke();
      };
      line(0, w, ink("--line-2"));
      line(now * w - 34, now * w, ink("--thread"));
    },
    [now],
  );
  return <canvas ref={useCanvas(draw)} aria-hidden="true" />;
}
