// The guide's set-up with the Zipkin exporter of the same version, which Clew understands.
const { NodeTracerProvider } = require("@opentelemetry/node");
const { SimpleSpanProcessor } = require("@opentelemetry/tracing");
const { ZipkinExporter } = require("@opentelemetry/exporter-zipkin");
const { Resource } = require("@opentelemetry/resources");

const provider = new NodeTracerProvider({ resource: new Resource({ "service.name": "your-service-name" }) });
const exporter = new ZipkinExporter({
  url: process.env.OTEL_EXPORTER_ZIPKIN_ENDPOINT || "http://127.0.0.1:9411/api/v2/spans",
});
provider.addSpanProcessor(new SimpleSpanProcessor(exporter));
provider.register();
require("./instrument")(provider);
