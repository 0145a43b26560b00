package admin

import (
	"net/http"
	"slices"

	"github.com/clewtrace/clew/api/clew"
	"github.com/clewtrace/clew/api/openapi"
)

// Calls returns the calls of the admin port.
func Calls() []openapi.Call {
	return slices.Concat(healthCalls(), deleteCalls(), snapshotCalls(), profileCalls())
}

// register adds calls to a mux, each with the handler of its name.
func register(mux *http.ServeMux, calls []openapi.Call, handlers map[string]http.Handler) {
	for i := range calls {
		mux.Handle(calls[i].Pattern(), handlers[calls[i].Name])
	}
}

const text = "text/plain"

func healthCalls() []openapi.Call {
	return []openapi.Call{
		{Path: "/healthz", Name: "live", Tag: "process", Summary: "200 as long as the process answers at all", Admin: true, Foreign: true, Open: true, Type: text},
		{
			Path: "/readyz", Name: "ready", Tag: "process", Summary: "200 when the process takes spans and answers questions", Admin: true, Foreign: true, Open: true, Type: text,
			Errors: []openapi.Refusal{{Status: http.StatusServiceUnavailable, When: "not yet, or no more: the text says why", Type: text}},
		},
		{
			Path: "/metrics", Name: "metrics", Tag: "process", Summary: "Metrics for Prometheus", Admin: true, Foreign: true, Type: text,
			Text: "In the form that `Accept` asks for. docs/metrics.md lists them.", Params: []openapi.Param{{Name: "name[]", Many: true, Text: "only these metrics"}},
		},
	}
}

// elsewhere is how calls refuse that are for this machine.
var elsewhere = openapi.Refusal{Status: http.StatusForbidden, When: "it comes from another machine without a credential that may `admin`, or from a web page"}

func deleteCalls() []openapi.Call {
	params := clew.ScanParams()
	for i := range params {
		params[i].Filled = true
	}
	return []openapi.Call{
		{
			Method: http.MethodDelete, Path: "/api/v1/traces/{id}", Name: "delete_trace", Tag: "delete", Summary: "Deletes a trace", Admin: true, Answer: deleted{},
			Params: []openapi.Param{{Name: "id", In: "path", Kind: openapi.TraceID, Text: "the trace's ID", Example: "5b8efff798038103d269b633813fc60c"}},
			Errors: []openapi.Refusal{elsewhere, {Status: http.StatusNotFound, When: "there is no such trace"}},
		},
		{
			Method: http.MethodPost, Path: "/api/v1/delete", Name: "delete", Tag: "delete", Summary: "Deletes all traces that have a span on which all conditions hold", Admin: true, Answer: deleted{},
			Text: "Parameters may be sent as a form, too. An empty value is an error, so that a variable that a script did not set does not widen the deletion. Answers when it is done. " +
				"What was deleted before an error, or before the client went away, stays deleted.",
			Params: append(params,
				openapi.Param{Name: "dryRun", Kind: openapi.Flag, Text: "`true`: only count", Filled: true},
				openapi.Param{Name: "all", Kind: openapi.Flag, Text: "`true`: every trace there is; must be given when there is no condition, and may not beside one", Filled: true},
				openapi.Param{Name: "limit", Kind: openapi.Number, Text: "stop after so many traces; the default is all", Min: 1, Filled: true},
				openapi.Param{Name: "cursor", Text: "from the answer before: go on exactly there, with the same conditions"},
			),
			Errors: []openapi.Refusal{elsewhere},
		},
	}
}

func snapshotCalls() []openapi.Call {
	id := openapi.Param{Name: "id", In: "path", Text: "the snapshot's"}
	gone := openapi.Refusal{Status: http.StatusNotFound, When: "there is no such snapshot, any more, or it has no file of that name"}
	return []openapi.Call{
		{
			Method: http.MethodPost, Path: "/api/v1/snapshots", Name: "snapshot", Tag: "backup", Summary: "Takes a snapshot: holds the files that now are the store", Admin: true,
			Text: "Everything that was acknowledged before the request is in them. A snapshot goes when it is deleted, when nobody has read from it for an hour, or with the process. " +
				"There may be four; one that nobody has read from for a minute makes room for another.",
			Status: http.StatusCreated, Answer: snapshot{},
		},
		{
			Path: "/api/v1/snapshots/{id}/files/{name...}", Name: "snapshot_file", Tag: "backup", Summary: "A file's bytes", Admin: true,
			Text:   "Ranges are answered, with 206.",
			Params: []openapi.Param{id, {Name: "name", In: "path", Text: "as the snapshot has it, slashes included"}}, Type: "application/octet-stream",
			Header: map[string]string{"Repr-Digest": "SHA-256 of the whole file, RFC 9530", "ETag": "the file's id"},
			Errors: []openapi.Refusal{gone},
		},
		{
			Method: http.MethodDelete, Path: "/api/v1/snapshots/{id}", Name: "drop_snapshot", Tag: "backup", Summary: "Gives a snapshot back", Admin: true,
			Params: []openapi.Param{id}, Status: http.StatusNoContent, Errors: []openapi.Refusal{gone},
		},
	}
}

// profileCalls are those of net/http/pprof.
func profileCalls() []openapi.Call {
	const profile = "application/octet-stream"
	seconds := func(missing string) openapi.Param {
		return openapi.Param{Name: "seconds", Kind: openapi.Number, Text: "how long to look", Min: 1, Missing: missing}
	}
	calls := []openapi.Call{
		{Path: "/debug/pprof/{$}", Name: "profiles", Summary: "The profiles there are, as a page", Type: "text/html"},
		{
			Path: "/debug/pprof/{profile}", Name: "profile", Summary: "A profile by its name", Type: profile,
			Params: []openapi.Param{
				{Name: "profile", In: "path", Text: "such as heap, allocs, goroutine, mutex, block", Example: "heap"},
				{Name: "debug", Kind: openapi.Number, Text: "more than 0: as text", Missing: "0"},
				{Name: "gc", Kind: openapi.Number, Text: "1: collect garbage before; of heap"},
			},
			Errors: []openapi.Refusal{{Status: http.StatusNotFound, When: "there is no such profile", Type: text}},
		},
		{Path: "/debug/pprof/profile", Name: "profile_cpu", Summary: "Where the time goes", Type: profile, Params: []openapi.Param{seconds("30")}},
		{Path: "/debug/pprof/symbol", Name: "profile_symbol", Summary: "Names of addresses", Type: text},
		{Method: http.MethodPost, Path: "/debug/pprof/symbol", Name: "profile_symbols", Summary: "Names of addresses, which are the body", Type: text},
		{Path: "/debug/pprof/trace", Name: "profile_trace", Summary: "What Go's scheduler does", Type: profile, Params: []openapi.Param{seconds("1")}},
	}
	for i := range calls {
		calls[i].Tag, calls[i].Admin, calls[i].Foreign = "profiles", true, true
	}
	return calls
}
