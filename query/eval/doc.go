// Package eval decides what a TraceQL query selects of one trace, exactly: it is what the language means, and the measure for everything faster.
//
//	traceql.Expr     ──Compile──▶  Predicate  (a span: yes or no)
//	traceql.Pipeline ──Build────▶  Pipeline   (a Context, one whole trace: sets of spans)
//
// Two laws hold for all comparisons. X = Y is true if both sides are there, of one type (all numbers are one) and equal; != and !~ are true exactly
// where = and =~ are not, on spans that lack the attribute, too. Of several values, an array's or those of events and links, one is enough
// for =, =~, <, <=, > and >=; != and !~ want that none is equal.
package eval
