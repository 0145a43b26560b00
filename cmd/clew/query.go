package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/query/traceql"
)

const queryExample = `Usage: clew query [FLAGS] QUERY

Asks a running server in TraceQL, and prints the traces that are found, newest first, or the spans, or the series that are made. QUERY is - to read it
from standard input.

  clew query '{ status = error }'
  clew query --start 1h '{ resource.service.name = "cart" && duration > 500ms } | select(span.http.route)'
  clew query '{ name = "POST /orders" } && not exists { name = "charge card" }'
  clew query '{ status = error } | select(span.http.route, span.user.id) | spans() | order by duration'
  clew query --follow '{ status = error && kind = server }'
  clew query --start 6h --step 5m '{ kind = server } | rate() by (resource.service.name)'
  clew query --start 1h --step 0s '{ } | quantile_over_time(duration, .99) by (name) | topk(10)'
  clew query --start 1h '{ resource.service.name = "auth" } | compare({ duration > 20ms })'
  clew query 'explain { span.user.id = "42" }'
  clew query --json '{ trace:duration > 5s }' | jq -r '.traces[].traceId'

A time is RFC 3339, 2006-01-02 or 2006-01-02T15:04:05 in this machine's time zone, or a duration such as 90m: so long ago. Metrics are
of the last hour unless --start is given. docs/traceql.md describes the language.

`

// querier is a run of clew query.
type querier struct {
	base   string // of the query port
	client *http.Client
	whose  *addressed
	out    io.Writer
	json   bool
}

func runQuery(ctx context.Context, args []string) error {
	form := url.Values{}
	fs := flag.NewFlagSet("query", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	server := fs.String("server", "http://127.0.0.1:16686", "`URL` of the server's query port")
	whose, connection := addressFlags(fs), clientFlags(fs)
	param := func(name, param, help string, parse func(string) (string, error)) {
		fs.Func(name, help, func(v string) error {
			v, err := parse(v)
			form.Set(param, v)
			return err
		})
	}
	same := func(v string) (string, error) { return v, nil }
	param("start", "from", "`time`: spans that start then or later", moment)
	param("end", "to", "`time`: spans that start then or before", moment)
	param("limit", "limit", "`number` of traces, or spans, to print, 1 to 2000 (default 20)", same)
	param("cursor", "cursor", "`text` that the page before ended with: go on there", same)
	param("spans", "spans", "`number` of spans to print of each trace that is found (default 3)", same)
	param("step", "step", "`duration` between the samples of metrics; 0s: one for the whole time (default: some 240 samples)", same)
	param("exemplars", "exemplars", "`number` of spans to name as examples of metrics (default 0)", same)
	param("timeout", "timeout", "`duration` after which the server is to give up (default 30s)", same)
	partial := fs.Bool("partial", false, "when the time or a budget is used up, print what there is")
	follow := fs.Bool("follow", false, "print traces as they come, until interrupted")
	asJSON := fs.Bool("json", false, "print JSON: the server's answer, or, with --follow, a trace a line")
	others, err := parseArguments(fs, queryExample, args)
	if err != nil {
		return err
	}
	q, err := queryText(others)
	if err != nil {
		return usageError{err}
	}
	form.Set("q", q.String())
	if *partial {
		form.Set("partial", "true")
	}
	base, err := queryURL(*server)
	if err != nil {
		return usageError{err}
	}
	caller, err := connection.http(base)
	if err != nil {
		return err
	}
	a := &querier{base, caller, whose, os.Stdout, *asJSON}
	if *follow {
		f, err := a.newFollower(q, form)
		if err != nil {
			return err
		}
		return f.run(ctx)
	}
	return a.once(ctx, form)
}

// queryText reads and checks the query that is given as arguments. An error shows the place.
func queryText(args []string) (*traceql.Query, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("want one query, in quotes, and have %d arguments; clew help query has examples", len(args))
	}
	text := args[0]
	if text == "-" {
		raw, err := io.ReadAll(io.LimitReader(os.Stdin, traceql.MaxText+1))
		if err != nil {
			return nil, err
		}
		text = string(raw)
	}
	q, err := traceql.Parse(text)
	if e, ok := errors.AsType[*traceql.Error](err); ok {
		return nil, fmt.Errorf("%w\n%s", e, e.Caret())
	}
	return q, err
}

func queryURL(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("--server: %q is no URL; want one such as http://127.0.0.1:16686", s)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// queryAnswer is what the server answers to a query; see docs/http-api.md.
type queryAnswer struct {
	Traces  []queryTrace
	Columns []string
	Spans   []queryRow
	Series  []querySeries
	Plan    []string
	Cursor  string
	Scanned struct {
		Complete              bool
		Blocks, BlocksSkipped int
		Bytes                 int64
		Traces                int
		Spans                 int64
		Reason                string
	}
	Error struct{ Kind, Message string }
}

type queryTrace struct {
	TraceID, RootService, RootName string
	Start                          nanoseconds
	DurationNs                     uint64
	Spans, Errors                  int
	Sets                           []struct {
		By      []queryField
		Matched int
		Spans   []querySpan
	}

	raw json.RawMessage
}

// UnmarshalJSON keeps the text, too.
func (t *queryTrace) UnmarshalJSON(b []byte) error {
	type plain queryTrace
	if err := json.Unmarshal(b, (*plain)(t)); err != nil {
		return err
	}
	t.raw = bytes.Clone(b)
	return nil
}

type querySpan struct {
	SpanID, Service, Name, Kind, Status string
	Start                               nanoseconds
	DurationNs                          uint64
	Fields                              []queryField
}

// queryRow is a span that was found by itself.
type queryRow struct {
	TraceID string
	querySpan
}

type queryField struct{ Name, Type, Value string }

type querySeries struct {
	Labels  []queryField
	Samples []struct {
		Time  nanoseconds
		Value float64
	}
	Exemplars []struct {
		Time            nanoseconds
		Value           float64
		TraceID, SpanID string
	}
}

// nanoseconds is a time in an answer: a text of digits.
type nanoseconds uint64

// UnmarshalText reads decimal digits.
func (n *nanoseconds) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 10, 64)
	*n = nanoseconds(v)
	return err
}

// String returns the time in this machine's time zone.
func (n nanoseconds) String() string { return time.Unix(0, int64(n)).Format("2006-01-02 15:04:05.000") }

// ask makes the call, and returns the answer and its bytes.
func (a *querier) ask(ctx context.Context, form url.Values) (ans *queryAnswer, raw []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1/query?"+form.Encode(), nil)
	if err != nil {
		return nil, nil, err
	}
	a.whose.mark(req)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; is the server running, and is this its query port?", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if raw, err = io.ReadAll(resp.Body); err != nil {
		return nil, nil, err
	}
	ans = &queryAnswer{}
	if err := json.Unmarshal(raw, ans); err != nil || resp.StatusCode != http.StatusOK {
		if ans.Error.Message == "" {
			ans.Error.Message = fmt.Sprintf("%s answers %s: %.200s", a.base, resp.Status, strings.TrimSpace(string(raw)))
		}
		return nil, nil, &refusal{ans.Error.Kind, ans.Error.Message}
	}
	return ans, raw, nil
}

func (a *querier) once(ctx context.Context, form url.Values) error {
	ans, raw, err := a.ask(ctx, form)
	if err != nil {
		return err
	}
	if a.json {
		_, err := fmt.Fprintf(a.out, "%s\n", strings.TrimSuffix(string(raw), "\n"))
		return err
	}
	return a.print(ans)
}
