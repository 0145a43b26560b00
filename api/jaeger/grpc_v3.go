package jaeger

import (
	"context"
	"slices"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
)

// grpcTraceV3 answers with TracesData messages of OTLP.
func (a *API) grpcTraceV3(ctx context.Context, message []byte, send func([]byte) error) error {
	r, err := parseTraceRequest(message, true)
	if err != nil {
		return err
	}
	t, err := a.engine.Trace(ctx, r.id, trace.Range{})
	if err != nil {
		return notFound(err)
	}
	return sendOTLP(ctx, t, r.raw, send)
}

// grpcSearchV3 answers with the messages of each trace as it is found.
func (a *API) grpcSearchV3(ctx context.Context, message []byte, send func([]byte) error) error {
	q, err := parseFind(message, true)
	if err != nil {
		return err
	}
	req, err := q.request(time.Now())
	if err != nil {
		return err
	}
	_, _, err = a.engine.Each(ctx, req, func(t *trace.Trace) error { return sendOTLP(ctx, t, q.raw, send) })
	return err
}

// otlpSpans is how many spans are encoded at once.
const otlpSpans = 256

// sendOTLP sends a trace in one or several messages.
func sendOTLP(ctx context.Context, t *trace.Trace, raw bool, send func([]byte) error) error {
	held, n := trace.BudgetOf(ctx), api.Copies(t)
	if err := held.Take(n); err != nil {
		return err
	}
	defer held.Give(n)
	for spans := range slices.Chunk(forOTLP(t, raw), otlpSpans) {
		if err := sendSpans(spans, send); err != nil {
			return err
		}
	}
	return nil
}

// forOTLP returns a trace's spans, mended unless they are wanted raw, so that those of a resource, and of a scope in it, follow each other: then it
// is written once.
func forOTLP(t *trace.Trace, raw bool) []trace.Span {
	spans := slices.Clone(t.Spans)
	if !raw {
		spans = wire.Mend(t).Spans
	}
	trace.GroupSpans(spans)
	return spans
}

// sendSpans sends spans in one message, or in halves if it would be too large: only a span that is too large alone is sent as it is.
func sendSpans(spans []trace.Span, send func([]byte) error) error {
	b := trace.AppendTraces(nil, trace.ValidTexts(spans))
	if half := len(spans) / 2; half > 0 && len(b) > chunkBytes {
		if err := sendSpans(spans[:half], send); err != nil {
			return err
		}
		return sendSpans(spans[half:], send)
	}
	return send(b)
}

// summaryCount is how many summaries are sent at once.
const summaryCount = 100

// grpcSummaries answers with FindTraceSummariesResponse messages, {summaries=1}.
func (a *API) grpcSummaries(ctx context.Context, message []byte, send func([]byte) error) error {
	q, err := parseFind(message, true)
	if err != nil {
		return err
	}
	req, err := q.request(time.Now())
	if err != nil {
		return err
	}
	req.Scan.Outline = true
	var b []byte
	n := 0
	_, _, err = a.engine.Each(ctx, req, func(t *trace.Trace) error {
		s := summarize(t)
		b = appendMessage(b, 1, s.append(nil))
		if n++; n%summaryCount != 0 && len(b) < chunkBytes {
			return nil
		}
		err := send(b)
		b = b[:0]
		return err
	})
	if err == nil && len(b) > 0 {
		err = send(b)
	}
	return err
}
