"""Sends one span with OpenTelemetry's Python SDK, told where and how by the environment (OTEL_EXPORTER_OTLP_...), and prints its trace ID.

    python otlp.py grpc|http/protobuf
"""

import logging
import sys

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


class Failures(logging.Handler):
    """Keeps what the exporter says of a refusal: it tells nobody else."""

    seen = 0

    def emit(self, record):
        print(record.getMessage(), file=sys.stderr)
        self.seen += record.levelno >= logging.ERROR


if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

failures = Failures(logging.WARNING)
logging.getLogger().addHandler(failures)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
span = provider.get_tracer("secure").start_span("over TLS")
span.end()
provider.shutdown()
print(f"{span.get_span_context().trace_id:032x}")
sys.exit(1 if failures.seen else 0)
