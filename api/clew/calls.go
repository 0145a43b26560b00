package clew

import (
	"slices"
	"time"

	"github.com/clewtrace/clew/api/openapi"
)

// What may be asked for at once, at most.
const (
	maxLimit     = 2000
	maxSpans     = 1000
	maxExemplars = 1000
	maxTimeout   = 10 * time.Minute
	maxStep      = 365 * 24 * time.Hour
)

// Calls returns the calls of the query port.
func Calls() []openapi.Call {
	return slices.Concat([]openapi.Call{
		{Path: "/api/v1/status", Name: "status", Tag: "process", Summary: "What this process is, where it listens and what it holds", Answer: statusAnswer{}},
		{Path: "/api/v1/openapi.json", Name: "openapi", Tag: "process", Summary: "This document", Answer: openapi.Ref("OpenAPIDocument")},
		{Path: "/api/v1/services", Name: "services", Tag: "names", Summary: "Names of services, sorted", Answer: servicesAnswer{}},
		{
			Path: "/api/v1/operations", Name: "operations", Tag: "names", Summary: "Names and kinds of a service's spans, sorted by name", Answer: operationsAnswer{},
			Params: []openapi.Param{{Name: "service", Text: "exact name", Example: "cart", Required: true}},
		},
	}, attributeCalls(), searchCalls(), traceCalls())
}

func attributeCalls() []openapi.Call {
	params := func(of string, path ...openapi.Param) []openapi.Param {
		return append(append(path,
			openapi.Param{Name: "service", Text: "only of this service's spans", Example: "cart"},
			openapi.Param{Name: "scope", Text: "`intrinsic`: no attributes, but the spans' `name`, `kind` and `status`; without it span and resource, where `tag` of a search looks", OneOf: []string{"span", "resource", "instrumentation", "intrinsic"}},
			openapi.Param{Name: "prefix", Text: of + " that begin so, in any case", Example: "h"},
		), append(rangeParams("blocks that have a span in it count as wholes"),
			openapi.Param{Name: "limit", Kind: openapi.Number, Text: of + " to return", Min: 1, Max: maxLimit, Missing: "100"})...)
	}
	return []openapi.Call{
		{
			Path: "/api/v1/attributes", Name: "attributes", Tag: "names", Summary: "Attribute keys in use, those that most spans have first",
			Text: "For completion, so that it costs about a millisecond and reads no span. What was received just now is there.", Answer: attributesAnswer{}, Params: params("keys"),
		},
		{
			Path: "/api/v1/attributes/{key}/values", Name: "values", Tag: "names", Summary: "The most frequent values of an attribute, in each scope",
			Text: "64 at most (1,024 names), or a few of those of which there are `many`.", Answer: attributesAnswer{},
			Params: params("values", openapi.Param{Name: "key", In: "path", Text: "the attribute", Example: "http.route"}),
		},
	}
}

func rangeParams(text string) []openapi.Param {
	return []openapi.Param{
		{Name: "from", Kind: openapi.Time, Text: "beginning of the range; " + text, Example: "1763885409000000123"},
		{Name: "to", Kind: openapi.Time, Text: "end of the range, itself in it", Example: "1763889009000000123"},
	}
}

// ScanParams returns the parameters that ScanOf reads.
func ScanParams() []openapi.Param {
	return append([]openapi.Param{
		{Name: "service", Text: "exact name", Example: "cart"},
		{Name: "operation", Text: "exact name of the span", Example: "GET /cart"},
		{Name: "tag", Many: true, Example: "http.route=/cart", Text: "`key=value`: an attribute of the span or its resource, compared as text; `error=true` means status error; `key` alone: the attribute is there"},
		{Name: "minDuration", Kind: openapi.Duration, Text: "a span takes at least so long", Example: "200ms"},
		{Name: "maxDuration", Kind: openapi.Duration, Text: "a span takes at most so long", Example: "1.5s"},
	}, rangeParams("a span matches if it starts in it")...)
}

func searchCalls() []openapi.Call {
	limit := openapi.Param{Name: "limit", Kind: openapi.Number, Text: "traces to return", Min: 1, Max: maxLimit, Missing: "20"}
	cursor := openapi.Param{Name: "cursor", Text: "from the answer before: the next page starts exactly there. All else must be the same"}
	return []openapi.Call{
		{
			Path: "/api/v1/search", Name: "search", Tag: "search", Summary: "Traces by conditions, newest first", Text: "All conditions must hold on one and the same span.",
			Params: append(ScanParams(), limit, cursor), Answer: searchAnswer{}, Errors: []openapi.Refusal{tooLarge},
		},
		{
			Path: "/api/v1/query", Name: "query", Tag: "search", Summary: "A query in TraceQL: traces, spans, or series over time",
			Text:   "The query decides whether the answer has `traces`, with `spans()` at its end `spans` and their `columns`, or, of metrics, `series`; one that begins with `explain` is run, and answered with `plan` instead. `clew query` makes this call.",
			Answer: queryAnswer{}, Errors: []openapi.Refusal{tooLarge},
			Params: append([]openapi.Param{
				{Name: "q", Text: "the query; what is wrong with it is said with its line and column", Example: "{ span.http.status_code >= 500 }", Required: true},
			}, append(rangeParams("a trace is found if one of the spans that are left at the query's end starts in it; metrics are of the spans that do, widened to whole steps, and without a range of the last hour"),
				limit, cursor,
				openapi.Param{Name: "spans", Kind: openapi.Number, Text: "of a search for traces: spans to return of each set, the earliest", Max: maxSpans, Missing: "3"},
				openapi.Param{Name: "step", Kind: openapi.Duration, Text: "of metrics: samples lie at its multiples; without it, some 240 of them; `0s`: one sample of the whole range", Example: "15s", Max: int64(maxStep)},
				openapi.Param{Name: "exemplars", Kind: openapi.Number, Text: "of metrics: spans to name as examples", Max: maxExemplars, Missing: "0"},
				openapi.Param{Name: "timeout", Kind: openapi.Duration, Text: "how long it may take", Min: 1, Max: int64(maxTimeout), Missing: "30s"},
				openapi.Param{Name: "partial", Kind: openapi.Flag, Text: "`true`: when the time or a budget is used up, answer with what there is, and `complete` false, instead of 413"},
			)...),
		},
	}
}

var tooLarge = openapi.Refusal{Status: 413, When: "the answer would be larger than 256 MiB, or the question takes longer, or more memory, than it may"}

func traceCalls() []openapi.Call {
	id := openapi.Param{Name: "id", In: "path", Kind: openapi.TraceID, Text: "the trace's ID; leading zeros may be left out", Example: "5b8efff798038103d269b633813fc60c"}
	none := openapi.Refusal{Status: 404, When: "there is no such trace"}
	return []openapi.Call{
		{
			Path: "/api/v1/traces/{id}", Name: "trace", Tag: "traces", Summary: "A whole trace as OTLP/JSON: every field, as it was received", Params: []openapi.Param{id},
			Answer: openapi.Ref("TracesData"), Errors: []openapi.Refusal{none, tooLarge},
		},
		{
			Path: "/api/v1/traces/{id}/columns", Name: "columns", Tag: "traces", Summary: "A trace as columns in tree pre-order, for drawing", Params: []openapi.Param{id},
			Type: columnsType, Errors: []openapi.Refusal{none, tooLarge},
			Text: "`CLC1`, the length of the header as a little-endian uint32, the header, which is a ColumnsHeader in JSON padded with spaces to a multiple of 8 bytes, and the columns that it names. docs/http-api.md says what is in each.",
		},
		{
			Path: "/api/v1/traces/{id}/rows", Name: "rows", Tag: "traces", Summary: "Details of rows of the columns, in the same order",
			Answer: rowsAnswer{}, Errors: []openapi.Refusal{none, tooLarge, {Status: 404, When: "the trace has grown since its columns were answered: load them again"}},
			Params: []openapi.Param{
				id,
				{Name: "from", Kind: openapi.Number, Text: "the first row", Required: true, Example: "0"},
				{Name: "to", Kind: openapi.Number, Text: "the row behind the last; at most 200 rows, and no more than there are", Required: true, Example: "1"},
				{Name: "version", Text: "that of the columns, to get rows of the same state of the trace"},
			},
		},
	}
}
