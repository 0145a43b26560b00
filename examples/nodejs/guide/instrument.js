// What the guide leaves out: without instrumentations no request makes a span.
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const { ExpressInstrumentation } = require("@opentelemetry/instrumentation-express");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");

module.exports = (tracerProvider) =>
  registerInstrumentations({
    tracerProvider,
    instrumentations: [
      // Else what the exporter sends over HTTP would be traced as well, and sent, and traced.
      new HttpInstrumentation({ ignoreOutgoingUrls: [/\/v1\/traces$/, /\/api\/v2\/spans$/] }),
      new ExpressInstrumentation(),
    ],
  });
