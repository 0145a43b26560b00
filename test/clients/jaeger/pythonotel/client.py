"""Sends a trace with OpenTelemetry's exporters for Jaeger. Arguments: udp|http|grpc HOST:PORT FILE."""
import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

mode, address, file = sys.argv[1:]
host, port = address.split(":")
with open(file, encoding="utf-8") as f:
    told = json.load(f)


def values(tags):
    return {key: float(value) if kind == "double" else value for key, kind, value in tags if kind != "binary"}


if mode == "grpc":
    from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter

    exporter = JaegerExporter(collector_endpoint=address, insecure=True)
else:
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    if mode == "udp":
        exporter = JaegerExporter(agent_host_name=host, agent_port=int(port))
    else:
        exporter = JaegerExporter(collector_endpoint=f"http://{address}/api/traces?format=jaeger.thrift")

provider = TracerProvider(resource=Resource({"service.name": told["service"], **values(told["process"])}))
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("scope", "1.2")
spans = {}
for s in told["spans"]:
    parent = s["parent"] or (s["follows"] or [None])[0]
    span = tracer.start_span(
        s["name"],
        context=trace.set_span_in_context(spans[parent]) if parent else None,
        kind=SpanKind[s["kind"].upper()] if s["kind"] else SpanKind.INTERNAL,
        links=[Link(spans[name].get_span_context()) for name in s["follows"]],
        start_time=s["start"] * 1_000_000,
        attributes=values(s["tags"]),
    )
    if s["error"]:
        span.set_status(Status(StatusCode.ERROR, "went wrong"))
    for log in s["logs"]:
        fields = values(log["fields"])
        span.add_event(fields.pop("event"), fields, timestamp=log["at"] * 1_000_000)
    span.end(end_time=(s["start"] + s["duration"]) * 1_000_000)
    spans[s["name"]] = span
provider.shutdown()
first = spans[told["spans"][0]["name"]].get_span_context()
print(json.dumps({"traceID": f"{first.trace_id:032x}", "spans": {name: f"{span.get_span_context().span_id:016x}" for name, span in spans.items()}}))
