// Sends one span with OpenTelemetry's Node.js SDK, told where and how by the environment (OTEL_EXPORTER_OTLP_…), and prints its trace ID.
//
//   node otlp.js grpc|http/protobuf
"use strict";

const { diag } = require("@opentelemetry/api");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const kind = process.argv[2] === "grpc" ? "grpc" : "proto";
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);

// The exporter tells of a refusal here alone.
const fail = (...message) => {
  console.error(...message);
  process.exitCode = 1;
};
diag.setLogger({ error: fail, warn() {}, info() {}, debug() {}, verbose() {} });

const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
const span = provider.getTracer("secure").startSpan("over TLS");
span.end();
console.log(span.spanContext().traceId);
provider.forceFlush().then(() => provider.shutdown()).catch(fail);
