// The guide's set-up with the OTLP exporter of the same version (it was called collector then), which Clew understands.
const { NodeTracerProvider } = require("@opentelemetry/node");
const { SimpleSpanProcessor } = require("@opentelemetry/tracing");
const { CollectorTraceExporter } = require("@opentelemetry/exporter-collector-proto");
const { Resource } = require("@opentelemetry/resources");

const provider = new NodeTracerProvider({ resource: new Resource({ "service.name": "your-service-name" }) });
const exporter = new CollectorTraceExporter({
  url: `${process.env.OTEL_EXPORTER_OTLP_ENDPOINT || "http://127.0.0.1:4318"}/v1/traces`,
});
provider.addSpanProcessor(new SimpleSpanProcessor(exporter));
provider.register();
require("./instrument")(provider);
