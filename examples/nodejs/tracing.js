// Starts OpenTelemetry. It is loaded before the app (node --require ./tracing.js app.js), so that it sees Express being loaded.
"use strict";

const { NodeSDK } = require("@opentelemetry/sdk-node");
const { ExpressInstrumentation } = require("@opentelemetry/instrumentation-express");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");

// Clew takes traces; metrics and logs have no one to go to.
process.env.OTEL_METRICS_EXPORTER ??= "none";
process.env.OTEL_LOGS_EXPORTER ??= "none";

// Spans go where OTEL_EXPORTER_OTLP_ENDPOINT says: by default to http://localhost:4318, where Clew listens.
const sdk = new NodeSDK({
  serviceName: process.env.OTEL_SERVICE_NAME ?? "orders",
  instrumentations: [new HttpInstrumentation(), new ExpressInstrumentation()],
});
sdk.start();

// Spans wait up to five seconds to be sent together; those that still wait at the end are sent before it.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => sdk.shutdown().finally(() => process.exit(0)));
}
