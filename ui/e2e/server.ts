// A real clew serve, on free ports of the loopback and a folder of its own, for one test file.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Server {
  url: string; // of the page, with its prefix and without a slash at the end
  otlp: string;
  grpc: string;
  zipkin: string;
  stop: () => Promise<void>;
  /** Kills the process and starts another one with the same data on the same addresses. */
  restart: (between: () => Promise<void>) => Promise<void>;
}

export async function serve(...more: string[]): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), "clew-e2e-"));
  const binary = process.env.CLEW_BIN ?? resolve("../bin/clew");
  const start = (flags: string[]) =>
    spawn(binary, ["serve", "--data", dir, "--log.format", "json", ...flags, ...more], { stdio: ["ignore", "ignore", "pipe"] });
  const jaeger = [
    "jaeger_compact",
    "jaeger_binary",
    "jaeger_http",
    "jaeger_grpc",
    "sampling_http",
    "sampling_grpc",
    "query_grpc",
  ];
  const names = ["otlp_grpc", "otlp_http", "zipkin", "scribe", ...jaeger, "query", "tempo", "admin"];
  let child = start(names.flatMap((l) => [`--listen.${l}`, "127.0.0.1:0"]));
  const listen = await ready(child);
  const end = async (signal: NodeJS.Signals) => {
    const gone = new Promise((done) => (child.exitCode === null && !child.signalCode ? child.once("exit", done) : done(0)));
    child.kill(signal);
    await gone;
  };
  const prefix = more.find((_, i) => more[i - 1] === "--query.prefix") ?? "";
  return {
    url: `http://${listen["listen.query"]}${prefix}`,
    otlp: `http://${listen["listen.otlp_http"]}`,
    grpc: `http://${listen["listen.otlp_grpc"]}`,
    zipkin: `http://${listen["listen.zipkin"]}`,
    stop: async () => {
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
    restart: async (between) => {
      await end("SIGKILL");
      await between();
      child = start(names.flatMap((l) => [`--listen.${l}`, listen[`listen.${l}`]]));
      await ready(child);
    },
  };
}

function ready(child: ChildProcess): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("exit", () => reject(new Error(`clew ended: ${text}`)));
    child.stderr!.on("data", (b) => {
      text += b;
      for (const line of text.split("\n")) if (line.includes('"clew is ready"')) resolve(JSON.parse(line).listen);
    });
  });
}

export interface Span {
  id: string;
  parent?: string;
  name: string;
  service: string;
  at: number; // ms since the trace's start
  ms: number;
  error?: string;
  attributes?: Record<string, string | object>; // a text, or a value in OTLP's form
  stack?: string;
  note?: string; // the name of an event
  link?: { trace: string; span: string };
}

const attribute = ([key, value]: [string, string | object]) => ({
  key,
  value: typeof value === "string" ? { stringValue: value } : value,
});

const exception = (x: Span, timeUnixNano: string) =>
  x.stack
    ? [
        {
          timeUnixNano,
          name: "exception",
          attributes: Object.entries({
            "exception.type": "Timeout",
            "exception.message": x.error ?? "",
            "exception.stacktrace": x.stack,
          }).map(attribute),
        },
      ]
    : [];

export async function send(s: Server, trace: string, spans: Span[], start = Date.now() - 60_000) {
  const ns = (ms: number) => (BigInt(start) * 1_000_000n + BigInt(Math.round(ms * 1e6))).toString();
  const body = {
    resourceSpans: [...new Set(spans.map((x) => x.service))].map((service) => ({
      resource: { attributes: [attribute(["service.name", service]), attribute(["service.version", "1.0"])] },
      scopeSpans: [
        {
          scope: { name: "e2e" },
          spans: spans
            .filter((x) => x.service === service)
            .map((x) => ({
              traceId: trace,
              spanId: x.id,
              parentSpanId: x.parent ?? "",
              name: x.name,
              kind: 2,
              startTimeUnixNano: ns(x.at),
              endTimeUnixNano: ns(x.at + x.ms),
              attributes: Object.entries(x.attributes ?? {}).map(attribute),
              status: x.error ? { code: 2, message: x.error } : {},
              events: [...exception(x, ns(x.at + 1)), ...(x.note ? [{ timeUnixNano: ns(x.at + 2), name: x.note }] : [])],
              links: x.link ? [{ traceId: x.link.trace, spanId: x.link.span }] : [],
            })),
        },
      ],
    })),
  };
  const answer = await fetch(s.otlp + "/v1/traces", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}

const hex = (n: number, width: number) => n.toString(16).padStart(width, "0");

export const traceId = (n: number) => hex(n, 32);

/** A checkout with an error, a gap, a link and repeats. */
export const checkout: Span[] = [
  { id: hex(1, 16), name: "POST /checkout", service: "frontend", at: 0, ms: 400 },
  {
    id: hex(2, 16),
    parent: hex(1, 16),
    name: "GetCart",
    service: "cart",
    at: 10,
    ms: 120,
    attributes: { "app.user.tier": "wholesale" },
  },
  ...Array.from({ length: 6 }, (_, i) => ({
    id: hex(16 + i, 16),
    parent: hex(2, 16),
    name: "SELECT items",
    service: "postgres",
    at: 12 + i * 15,
    ms: 12,
  })),
  {
    id: hex(3, 16),
    parent: hex(1, 16),
    name: "Charge",
    service: "payment",
    at: 150,
    ms: 180,
    error: "card declined",
    stack: "Timeout: card declined\n    at charge (payment.js:10)",
    link: { trace: traceId(2), span: hex(1, 16) },
    note: "card tried again",
    attributes: {
      "http.request.body": JSON.stringify({
        card: "4111",
        amount: 1299,
        items: [
          { sku: "a-1", n: 2 },
          { sku: "b-2", n: 1 },
        ],
      }),
      "db.statement": "SELECT *\n  FROM cards\n WHERE owner = 'O''Brien' AND note = \"a=b & c\"",
      "app.retries": { intValue: "3" },
      "app.codes": { arrayValue: { values: [{ intValue: "504" }, { stringValue: "<b>late</b>" }] } },
      "app.nothing": {},
      "app.long": "never ending ".repeat(300),
    },
  },
  { id: hex(4, 16), parent: hex(0xdead, 16), name: "Score", service: "fraud", at: 340, ms: 30 },
];

/** A trace of n spans, five levels deep. */
export function large(n: number): Span[] {
  const spans: Span[] = [{ id: hex(1, 16), name: "batch", service: "worker", at: 0, ms: 10_000 }];
  for (let i = 2; i <= n; i++)
    spans.push({
      id: hex(i, 16),
      parent: hex(Math.max(1, Math.floor(i / 8)), 16),
      name: `step ${i % 50}`,
      service: `service-${i % 12}`,
      at: (i / n) * 9_000,
      ms: 5 + (i % 97),
      error: i % 1000 === 0 ? "late" : undefined,
    });
  return spans;
}
