"""Sends the known trace with OpenTelemetry's Python SDK.

    python client.py grpc|http/protobuf HOST:PORT TRACE.json gzip|none
"""

import base64
import json
import logging
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

IS_REMOTE = 0x200  # OTLP's flag for a context that came from another process


class Ids(IdGenerator):
    """Gives each span the ID that it is to have."""

    span = None

    def generate_trace_id(self):
        return int(self.span["traceId"], 16)

    def generate_span_id(self):
        return int(self.span["spanId"], 16)


class Failures(logging.Handler):
    """Keeps what the exporter says of a refusal: it tells nobody else. Warnings are of what the limits drop."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.seen = []

    def emit(self, record):
        self.seen.append(record.getMessage())


def new_exporter(protocol, endpoint, compression):
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        algorithm = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=algorithm)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    algorithm = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    return OTLPSpanExporter(endpoint=f"http://{endpoint}/v1/traces", compression=algorithm)


def value(v):
    if "intValue" in v:
        return int(v["intValue"])
    if "doubleValue" in v:
        return float(v["doubleValue"])
    if "bytesValue" in v:
        return base64.b64decode(v["bytesValue"])
    if "arrayValue" in v:
        return [value(e) for e in v["arrayValue"]["values"]]
    if "kvlistValue" in v:
        return attributes(v["kvlistValue"]["values"])
    return v.get("stringValue", v.get("boolValue"))


def attributes(known, surplus=0):
    """Returns known attributes as the SDK's, and a surplus before them, since it drops the oldest."""
    out = {f"~surplus.{i}": i for i in range(surplus)}
    return out | {a["key"]: value(a["value"]) for a in known or []}


def span_context(known, span_id):
    return trace.SpanContext(
        int(known["traceId"], 16),
        int(span_id, 16),
        is_remote=known.get("flags", 0) & IS_REMOTE != 0,
        trace_flags=trace.TraceFlags(known.get("flags", 0) & 0xFF),
        trace_state=trace.TraceState.from_header([known.get("traceState", "")]),
    )


def play(tracer, s):
    """Makes one span. The SDK drops the oldest events and links, too: that is where their surplus goes."""
    context = None
    if "parentSpanId" in s:
        context = trace.set_span_in_context(trace.NonRecordingSpan(span_context(s, s["parentSpanId"])))
    span = tracer.start_span(s["name"], context, trace.SpanKind(s["kind"] - 1), start_time=int(s["startTimeUnixNano"]))
    span.set_attributes(attributes(s.get("attributes"), s.get("droppedAttributesCount", 0)))
    for _ in range(s.get("droppedEventsCount", 0)):
        span.add_event("surplus")
    for e in s.get("events", []):
        span.add_event(e["name"], attributes(e.get("attributes"), e.get("droppedAttributesCount", 0)), int(e["timeUnixNano"]))
    for _ in range(s.get("droppedLinksCount", 0)):
        span.add_link(span.get_span_context())
    for k in s.get("links", []):
        span.add_link(span_context(k, k["spanId"]), attributes(k.get("attributes"), k.get("droppedAttributesCount", 0)))
    code = s["status"].get("code", 0)
    if code:
        span.set_status(trace.StatusCode(code), s["status"].get("message"))
    span.end(int(s["endTimeUnixNano"]))


def main(protocol, endpoint, path, compression):
    failures = Failures()
    logging.basicConfig(handlers=[failures])
    with open(path, encoding="utf-8") as file:
        known = json.load(file)
    limits = known["limits"]
    for r in known["resourceSpans"]:
        ids = Ids()
        provider = TracerProvider(
            resource=Resource(attributes(r["resource"].get("attributes")), r.get("schemaUrl")),
            id_generator=ids,
            span_limits=SpanLimits(
                max_span_attributes=limits["attributes"],
                max_events=limits["events"],
                max_links=limits["links"],
                max_event_attributes=limits["eventAttributes"],
                max_link_attributes=limits["linkAttributes"],
            ),
        )
        provider.add_span_processor(BatchSpanProcessor(new_exporter(protocol, endpoint, compression)))
        for s in r["scopeSpans"]:
            scope = s["scope"]
            tracer = provider.get_tracer(
                scope["name"], scope.get("version"), schema_url=s.get("schemaUrl"), attributes=attributes(scope.get("attributes"))
            )
            for ids.span in s["spans"]:
                play(tracer, ids.span)
        provider.shutdown()
    for message in failures.seen:
        print(message, file=sys.stderr)
    return 1 if failures.seen else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
