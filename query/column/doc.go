// Package column evaluates TraceQL on tables of spans, column by column: what a condition says of all spans of a shape is decided once, of a
// column with few values once for each of them, and only the rest row by row. What things mean is eval's: it is asked about a probe, a span
// that has of a row what the question needs, and nothing else.
package column
