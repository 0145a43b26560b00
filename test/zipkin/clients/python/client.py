"""Sends the known spans with a client of Python: HTTP SCRIBE CLIENT, where CLIENT is the service that sends them and says how."""

import sys
from urllib.parse import urlsplit

http, _, name = sys.argv[1:4]


def py_zipkin(encoding):
    from py_zipkin.transport import SimpleHTTPTransport
    from py_zipkin.zipkin import zipkin_client_span, zipkin_server_span

    at = urlsplit(http)
    with zipkin_server_span(
        service_name=name, span_name="get /cart", transport_handler=SimpleHTTPTransport(at.hostname, at.port),
        sample_rate=100, encoding=encoding, binary_annotations={"http.method": "GET"}, host="10.0.0.1", port=80,
    ):
        with zipkin_client_span(service_name=name, span_name="get /stock") as span:
            span.add_sa_binary_annotation(port=8080, service_name="stock", host="10.0.0.7")
            span.add_annotation("retry")
            span.update_binary_annotations({"error": "timeout"})


def open_telemetry(exporter):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": name}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("known")
    root = tracer.start_span("get /cart", kind=trace.SpanKind.SERVER, attributes={"http.method": "GET"})
    child = tracer.start_span("get /stock", context=trace.set_span_in_context(root), kind=trace.SpanKind.CLIENT, attributes={"peer.service": "stock"})
    child.add_event("retry")
    child.set_status(trace.Status(trace.StatusCode.ERROR, "timeout"))
    child.end()
    root.end()
    provider.shutdown()


if name == "python-otel-json":
    from opentelemetry.exporter.zipkin.json import ZipkinExporter

    open_telemetry(ZipkinExporter(endpoint=http + "/api/v2/spans"))
elif name == "python-otel-proto":
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter

    open_telemetry(ZipkinExporter(endpoint=http + "/api/v2/spans"))
else:
    from py_zipkin import Encoding

    py_zipkin({"python-v1": Encoding.V1_JSON, "python-v2": Encoding.V2_JSON, "python-proto": Encoding.V2_PROTO3}[name])
