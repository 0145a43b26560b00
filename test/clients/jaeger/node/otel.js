// Sends a trace with OpenTelemetry's exporter for Jaeger. Arguments: udp|http HOST:PORT FILE.
const fs = require("fs");
const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = require("@opentelemetry/api");
const { JaegerExporter } = require("@opentelemetry/exporter-jaeger");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { NodeTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-node");

const [mode, address, file] = process.argv.slice(2);
const [host, port] = address.split(":");
const told = JSON.parse(fs.readFileSync(file, "utf8"));
const values = (list) => Object.fromEntries(list.filter(([, type]) => type !== "binary").map(([key, , value]) => [key, value]));

const exporter = new JaegerExporter(mode === "udp" ? { host, port: +port } : { endpoint: `http://${address}/api/traces` });
const resource = resourceFromAttributes({ "service.name": told.service, ...values(told.process) });
const provider = new NodeTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer("scope", "1.2");

const spans = {};
for (const s of told.spans) {
  const parent = s.parent || s.follows[0];
  const context = parent ? trace.setSpan(ROOT_CONTEXT, spans[parent]) : ROOT_CONTEXT;
  const links = s.follows.map((name) => ({ context: spans[name].spanContext() }));
  const kind = s.kind ? SpanKind[s.kind.toUpperCase()] : SpanKind.INTERNAL;
  const span = tracer.startSpan(s.name, { kind, links, startTime: s.start, attributes: values(s.tags) }, context);
  if (s.error) span.setStatus({ code: SpanStatusCode.ERROR, message: "went wrong" });
  for (const l of s.logs) {
    const { event, ...fields } = values(l.fields);
    span.addEvent(event, fields, l.at);
  }
  span.end(s.start + s.duration);
  spans[s.name] = span;
}
provider.shutdown().then(() => {
  const ids = Object.fromEntries(Object.entries(spans).map(([name, span]) => [name, span.spanContext().spanId]));
  console.log(JSON.stringify({ traceID: spans[told.spans[0].name].spanContext().traceId, spans: ids }));
});
