// Package series makes numbers over time of spans: what the metrics of TraceQL yield. It does not know where spans come from.
//
//	spans ──Add──▶ Aggregator ◀──Merge── Aggregators of other workers ──Rows──▶ Rows ──▶ operators, topk, thresholds
package series
