// Package traceql is the language of queries: from a text to a checked, typed tree, and back. It executes nothing.
//
//	text ──Parse──▶ tokens ──▶ tree ──Check──▶ typed tree ──String──▶ the canonical text of it
//
// The language is TraceQL as Grafana Tempo's documentation describes it, with additions. An addition begins with a word, or uses
// a sign, that Tempo's language does not have in that place, so that no query of Tempo's means something else here.
// docs/traceql.md describes it for people. The grammar:
//
//	query    = [ "explain" ] sequence { hints } .                                          explain: an addition
//	sequence = stage { "|" stage | compare number } .
//	stage    = item | "by" "(" expr ")" | "coalesce" "(" ")" | "select" fields | order | metrics | top
//	         | "spans" "(" ")" .                                                             an addition
//	item     = operand { operator operand } .
//	operand  = "{" [ expr ] "}" | "(" sequence ")" | "not" "exists" operand | aggregate | [ "-" ] number .   not exists: an addition
//	operator = "&&" | "||" | [ "!" | "&" ] ( ">" | "<" | ">>" | "<<" | "~" )                between sets of spans
//	         | compare | "+" | "-" | "*" | "/" | "%" | "^" .                                between numbers, and metrics
//	compare  = "=" | "!=" | "<" | "<=" | ">" | ">=" .
//	order    = "order" "by" ( "startTime" | "duration" | "trace:duration" ) [ "asc" | "desc" ] .             an addition
//	aggregate = "count" "(" ")" | ( "min" | "max" | "avg" | "sum" ) "(" expr ")" .
//	metrics  = ( "rate" | "count_over_time" ) "(" ")" [ "by" fields ]
//	         | ( "min" | "max" | "avg" | "sum" | "histogram" ) "_over_time" "(" field ")" [ "by" fields ]
//	         | "quantile_over_time" "(" field { "," number } ")" [ "by" fields ]
//	         | "compare" "(" "{" [ expr ] "}" [ "," number [ "," number "," number ] ] ")" .
//	top      = ( "topk" | "bottomk" ) "(" number ")" .
//	hints    = "with" "(" word "=" constant { "," word "=" constant } ")" .
//	fields   = "(" field { "," field } ")" .
//	expr     = constant | field | "-" expr | "!" expr | "(" expr ")" | expr binary expr
//	         | expr ( "=" | "!=" | "=~" | "!~" ) list .                                     an addition
//	binary   = "&&" | "||" | compare | "=~" | "!~" | "+" | "-" | "*" | "/" | "%" | "^" .
//	list     = "[" constant { "," constant } "]" .
//	field    = [ "parent." ] [ scope ] "." key | [ scope ":" ] intrinsic | "parent:" intrinsic .             parent: an addition
//
// From the operator that binds least: && and ||, which bind equally; comparisons and structural operators; + and -; !; * / and %;
// ^, which alone is read from the right; the sign.
//
// Nobody's text costs more than time and memory in proportion to its length: the limits are at MaxText and maxPattern.
package traceql
