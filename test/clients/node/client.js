// Sends the known trace with OpenTelemetry's Node.js SDK.
//
//   node client.js grpc|http/protobuf|http/json HOST:PORT TRACE.json gzip|none
"use strict";

const fs = require("node:fs");
const { ROOT_CONTEXT, SpanStatusCode, createTraceState, diag, trace } = require("@opentelemetry/api");
const { CompressionAlgorithm } = require("@opentelemetry/otlp-exporter-base");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const [protocol, endpoint, path, compression] = process.argv.slice(2);
const known = JSON.parse(fs.readFileSync(path, "utf8"));

// The exporter tells of a refusal here alone. Warnings are of what the limits drop.
const fail = (...message) => {
  console.error(...message);
  process.exitCode = 1;
};
diag.setLogger({ error: fail, warn() {}, info() {}, debug() {}, verbose() {} });

function newExporter() {
  const algorithm = compression === "gzip" ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE;
  if (protocol === "grpc") {
    const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-grpc");
    return new OTLPTraceExporter({ url: `http://${endpoint}`, compression: algorithm });
  }
  const { OTLPTraceExporter } = require(
    protocol === "http/json" ? "@opentelemetry/exporter-trace-otlp-http" : "@opentelemetry/exporter-trace-otlp-proto",
  );
  return new OTLPTraceExporter({ url: `http://${endpoint}/v1/traces`, compression: algorithm });
}

function value(v) {
  if ("stringValue" in v) return v.stringValue;
  if ("boolValue" in v) return v.boolValue;
  if ("intValue" in v) return Number(v.intValue);
  if ("doubleValue" in v) return Number(v.doubleValue);
  if ("bytesValue" in v) return Uint8Array.from(Buffer.from(v.bytesValue, "base64"));
  if ("arrayValue" in v) return v.arrayValue.values.map(value);
  if ("kvlistValue" in v) return attributes(v.kvlistValue.values);
  return null;
}

// attributes returns known attributes as the SDK's, and a surplus behind them, since it drops the latest.
function attributes(list = [], surplus = 0) {
  const out = Object.fromEntries(list.map((a) => [a.key, value(a.value)]));
  for (let i = 0; i < surplus; i++) out[`~surplus.${i}`] = i;
  return out;
}

// time splits Unix nanoseconds, which a number cannot hold, into the SDK's pair.
const time = (ns) => [Number(BigInt(ns) / 1_000_000_000n), Number(BigInt(ns) % 1_000_000_000n)];

const isRemote = 0x200; // OTLP's flag for a context that came from another process

const spanContext = (l) => ({
  traceId: l.traceId,
  spanId: l.spanId,
  traceFlags: (l.flags ?? 0) & 0xff,
  isRemote: ((l.flags ?? 0) & isRemote) !== 0,
  ...(l.traceState && { traceState: createTraceState(l.traceState) }),
});

// play makes one span. The SDK drops the oldest events and links: that is where their surplus goes.
function play(tracer, s) {
  const context = s.parentSpanId ? trace.setSpanContext(ROOT_CONTEXT, spanContext({ ...s, spanId: s.parentSpanId })) : ROOT_CONTEXT;
  const span = tracer.startSpan(s.name, { kind: s.kind - 1, startTime: time(s.startTimeUnixNano) }, context);
  span.setAttributes(attributes(s.attributes, s.droppedAttributesCount));
  for (let i = 0; i < (s.droppedEventsCount ?? 0); i++) span.addEvent("surplus");
  for (const e of s.events ?? []) span.addEvent(e.name, attributes(e.attributes, e.droppedAttributesCount), time(e.timeUnixNano));
  for (let i = 0; i < (s.droppedLinksCount ?? 0); i++) span.addLink({ context: span.spanContext() });
  for (const l of s.links ?? []) span.addLink({ context: spanContext(l), attributes: attributes(l.attributes, l.droppedAttributesCount) });
  if (s.status.code === 1) span.setStatus({ code: SpanStatusCode.OK });
  if (s.status.code === 2) span.setStatus({ code: SpanStatusCode.ERROR, message: s.status.message });
  span.end(time(s.endTimeUnixNano));
}

async function main() {
  const limits = known.limits;
  for (const r of known.resourceSpans) {
    let next; // the span that is made: the generator gives it the ID that it is to have
    const provider = new BasicTracerProvider({
      resource: resourceFromAttributes(attributes(r.resource.attributes), { schemaUrl: r.schemaUrl }),
      idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
      spanLimits: {
        attributeCountLimit: limits.attributes,
        eventCountLimit: limits.events,
        linkCountLimit: limits.links,
        attributePerEventCountLimit: limits.eventAttributes,
        attributePerLinkCountLimit: limits.linkAttributes,
      },
      spanProcessors: [new BatchSpanProcessor(newExporter())],
    });
    for (const { scope, schemaUrl, spans } of r.scopeSpans) {
      const tracer = provider.getTracer(scope.name, scope.version, { schemaUrl, attributes: attributes(scope.attributes) });
      for (next of spans) play(tracer, next);
    }
    await provider.forceFlush();
    await provider.shutdown();
  }
}

main().catch(fail);
