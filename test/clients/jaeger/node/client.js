// Sends a trace, or asks how to sample, with jaeger-client. Arguments: udp|http HOST:PORT FILE, or sampling HOST:PORT FILE.
const fs = require("fs");
const opentracing = require("opentracing");
const { initTracer } = require("jaeger-client");

const [mode, address, file] = process.argv.slice(2);
const [host, port] = address.split(":");
const told = JSON.parse(fs.readFileSync(file, "utf8"));

const values = (list) => Object.fromEntries(list.map(([key, type, value]) => [key, type === "binary" ? Buffer.from(value, "base64") : value]));

function send() {
  const reporter = mode === "udp" ? { agentHost: host, agentPort: +port, flushIntervalMs: 50 } : { collectorEndpoint: `http://${address}/api/traces`, flushIntervalMs: 50 };
  const config = { serviceName: told.service, sampler: { type: "const", param: 1 }, reporter };
  const tracer = initTracer(config, { tags: values(told.process), traceId128bit: true });
  const spans = {};
  for (const s of told.spans) {
    const references = s.follows.map((name) => opentracing.followsFrom(spans[name].context()));
    const span = tracer.startSpan(s.name, { childOf: s.parent ? spans[s.parent].context() : undefined, references, startTime: s.start, tags: values(s.tags) });
    if (s.kind) span.setTag("span.kind", s.kind);
    if (s.error) span.setTag("error", true);
    for (const l of s.logs) span.log(values(l.fields), l.at);
    span.finish(s.start + s.duration);
    spans[s.name] = span;
  }
  const ids = Object.fromEntries(Object.entries(spans).map(([name, span]) => [name, span.context().spanIdStr]));
  const traceID = spans[told.spans[0].name].context().traceIdStr;
  tracer.close(() => setTimeout(() => console.log(JSON.stringify({ traceID, spans: ids })), mode === "udp" ? 0 : 100));
}

// decisions makes spans until they are sampled as expected, or a while has passed, and returns how they were.
async function decisions() {
  const tracers = {};
  for (const d of told) {
    tracers[d.service] ??= initTracer(
      { serviceName: d.service, sampler: { type: "remote", param: d.sampled ? 0 : 1, hostPort: address, refreshIntervalMs: 100 }, reporter: { agentHost: "127.0.0.1", agentPort: 9 } },
      {},
    );
  }
  let got;
  for (const end = Date.now() + 20000; Date.now() < end; await new Promise((done) => setTimeout(done, 50))) {
    got = told.map((d) => ({ ...d, sampled: tracers[d.service].startSpan(d.operation).context().isSampled() }));
    if (JSON.stringify(got) === JSON.stringify(told)) break;
  }
  console.log(JSON.stringify(got));
  process.exit(0);
}

if (mode === "sampling") decisions();
else send();
