// Package trace is Clew's vocabulary: identifiers, spans, attributes, traces, batches, and the conditions one may ask about.
//
// The data model is OpenTelemetry's. A span on its way in is never an object: it stays the OTLP bytes it arrived
// as, with an index of where its parts lie (Batch). A span on its way out is a Span. Both are the same span, and
// the functions in otlp.go turn one into the other without loss.
//
//	receive ──▶ Batch (OTLP bytes + index) ──▶ store ──▶ Trace (Spans) ──▶ api
//
// The package imports the standard library alone, and every other room may import it.
package trace
