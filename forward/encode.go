package forward

import (
	"fmt"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/jaeger"
	"github.com/clewtrace/clew/wire/zipkin"
)

// perResource reports whether a protocol's request is of one process.
func perResource(protocol string) bool { return protocol == JaegerGRPC || protocol == JaegerHTTP }

// encode returns OTLP bytes as a protocol has them. With perResource they must be of one resource.
func encode(protocol string, otlp []byte) ([]byte, error) {
	if protocol == OTLPGRPC || protocol == OTLPHTTP {
		return otlp, nil
	}
	var b trace.Batch
	if err := b.Index(otlp, trace.Limits{SpanBytes: len(otlp), Depth: 1 << 10}); err != nil {
		return nil, fmt.Errorf("read a record's spans: %w", err)
	}
	spans, err := b.Decode()
	if err != nil {
		return nil, fmt.Errorf("decode a record's spans: %w", err)
	}
	switch protocol {
	case JaegerGRPC:
		return jaeger.AppendPostSpans(nil, spans), nil
	case JaegerHTTP:
		return jaeger.AppendThriftBatch(nil, spans), nil
	}
	return zipkin.EncodeSpans(spans), nil
}
