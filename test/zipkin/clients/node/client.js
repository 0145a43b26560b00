// Sends the known spans with a client of Node.js: HTTP SCRIBE CLIENT, where CLIENT is the service that sends them and says how.
'use strict';
const [http, scribe, name] = process.argv.slice(2);

function zipkinJS(logger) {
  const {Annotation, BatchRecorder, ExplicitContext, InetAddress, Tracer} = require('zipkin');
  const tracer = new Tracer({ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({logger}), localServiceName: name});
  tracer.scoped(() => {
    tracer.setId(tracer.createRootId());
    tracer.recordServiceName(name);
    tracer.recordRpc('get /cart');
    tracer.recordBinary('http.method', 'GET');
    tracer.recordAnnotation(new Annotation.ServerRecv());
    tracer.letId(tracer.createChildId(), () => {
      tracer.recordServiceName(name);
      tracer.recordRpc('get /stock');
      tracer.recordAnnotation(new Annotation.ClientSend());
      tracer.recordAnnotation(new Annotation.ServerAddr({serviceName: 'stock', host: new InetAddress('10.0.0.7'), port: 8080}));
      tracer.recordMessage('retry');
      tracer.recordBinary('error', 'timeout');
      tracer.recordAnnotation(new Annotation.ClientRecv());
    });
    tracer.recordAnnotation(new Annotation.ServerSend());
  });
}

function http1(path, encoder) {
  const {jsonEncoder} = require('zipkin');
  const {HttpLogger} = require('zipkin-transport-http');
  const logger = new HttpLogger({endpoint: http + path, jsonEncoder: jsonEncoder[encoder], httpInterval: 50});
  logger.on('success', () => process.exit(0));
  logger.on('error', (err) => { console.error(err); process.exit(1); });
  setTimeout(() => process.exit(2), 20000); // its own timer keeps no process up
  zipkinJS(logger);
}

async function openTelemetry() {
  const api = require('@opentelemetry/api');
  const {BasicTracerProvider, SimpleSpanProcessor} = require('@opentelemetry/sdk-trace-base');
  const {resourceFromAttributes} = require('@opentelemetry/resources');
  const {ZipkinExporter} = require('@opentelemetry/exporter-zipkin');
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({'service.name': name}),
    spanProcessors: [new SimpleSpanProcessor(new ZipkinExporter({url: http + '/api/v2/spans'}))],
  });
  const tracer = provider.getTracer('known');
  const root = tracer.startSpan('get /cart', {kind: api.SpanKind.SERVER, attributes: {'http.method': 'GET'}});
  const child = tracer.startSpan('get /stock', {kind: api.SpanKind.CLIENT, attributes: {'peer.service': 'stock'}}, api.trace.setSpan(api.ROOT_CONTEXT, root));
  child.addEvent('retry');
  child.setStatus({code: api.SpanStatusCode.ERROR, message: 'timeout'});
  child.end();
  root.end();
  await provider.shutdown();
}

switch (name) {
  case 'node-v1': http1('/api/v1/spans', 'JSON_V1'); break;
  case 'node-v2': http1('/api/v2/spans', 'JSON_V2'); break;
  case 'node-scribe': {
    const {ScribeLogger} = require('zipkin-transport-scribe');
    const [host, port] = scribe.split(':');
    zipkinJS(new ScribeLogger({scribeHost: host, scribePort: Number(port), scribeInterval: 50}));
    setTimeout(() => process.exit(0), 2000); // it tells nobody when it has sent
    break;
  }
  case 'node-otel': openTelemetry(); break;
  default: throw new Error('unknown client ' + name);
}
