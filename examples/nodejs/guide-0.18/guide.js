// Import OpenTelemetry
const { NodeTracerProvider } = require('@opentelemetry/node');
const { SimpleSpanProcessor } = require('@opentelemetry/tracing');
const { JaegerExporter } = require('@opentelemetry/exporter-jaeger');

// Set up tracing
const provider = new NodeTracerProvider();
const exporter = new JaegerExporter({
  serviceName: 'your-service-name',
});
provider.addSpanProcessor(new SimpleSpanProcessor(exporter));
provider.register();
