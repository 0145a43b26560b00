package clew

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/otlp"
)

// served is a real store and the API over it.
type served struct {
	*httptest.Server
	store *spool.Spool
}

func server(t testing.TB, batches ...[]trace.Span) served {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir, cfg.Retention, cfg.HeadBytes = t.TempDir(), 0, 64<<10 // small heads: blocks are made while a test runs
	log := slog.New(slog.DiscardHandler)
	store, err := spool.Open(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	mux := http.NewServeMux()
	Register(mux, api.NewGate(4, log, prometheus.NewRegistry()), query.New(store), Process{
		KeepBytes: 1 << 20,
		Version:   "1.2.3", Started: time.Unix(0, testkit.SampleTime), Listen: []Listener{{"otlp/grpc", "127.0.0.1:4317"}},
		Totals: func(context.Context) (received, refused, stored uint64) { return 3, 1, 2 }, Deletions: store.Deletions,
		Retention: func(context.Context) (time.Duration, int64) { return time.Hour, 5 },
	})
	s := served{httptest.NewServer(mux), store}
	t.Cleanup(s.Close)
	for _, spans := range batches {
		s.append(t, spans)
	}
	return s
}

func (s served) append(t testing.TB, spans []trace.Span) {
	t.Helper()
	var b trace.Batch
	if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	for {
		err := s.store.Append(t.Context(), &b)
		if err == nil {
			return
		}
		if trace.KindOf(err) != trace.Busy {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // small heads are filled faster than they are cut
	}
}

func (s served) get(t testing.TB, path string) (int, []byte) {
	t.Helper()
	r, err := s.Client().Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, b
}

// queryExample finds spans of the sample, with what an answer can have.
const queryExample = `{ kind != unspecified } | by(kind) | select(resource.host.name, status, duration, span:parentID)`

func sampleRange() string {
	return fmt.Sprintf("&from=%d&to=%d", uint64(testkit.SampleTime), uint64(testkit.SampleTime)+10e9)
}

func sampleID() string { return testkit.Sample()[0].TraceID.String() }

func TestGolden(t *testing.T) {
	s := server(t, testkit.Sample())
	for file, path := range map[string]string{
		"services":           "/api/v1/services",
		"operations":         "/api/v1/operations?service=shop/web",
		"operations_unknown": "/api/v1/operations?service=nobody",
		"attributes":         "/api/v1/attributes?service=stock&prefix=H&limit=5",
		"values":             "/api/v1/attributes/host.name/values?prefix=h",
		"names":              "/api/v1/attributes/name/values?scope=intrinsic&service=shop%2Fweb",
		"values_slash":       "/api/v1/attributes/no%2Fsuch/values",
		"search":             "/api/v1/search?service=stock&tag=host.name%3Dh2",
		"search_none":        "/api/v1/search?service=nobody",
		"trace":              "/api/v1/traces/" + sampleID(),
		"query":              "/api/v1/query?q=" + url.QueryEscape(queryExample),
		"query_spans":        "/api/v1/query?limit=2&q=" + url.QueryEscape("{ status = error || kind = server } | spans() | select(span.http.route, duration, trace:rootName)"),
		"series":             "/api/v1/query?step=10s&exemplars=1&q=" + url.QueryEscape("{ } | rate() by (name, status)") + sampleRange(),
		"rows":               "/api/v1/traces/" + sampleID() + "/rows?from=0&to=8&version=7",
	} {
		status, body := s.get(t, path)
		if status != 200 {
			t.Errorf("GET %s: %d: %s", path, status, body)
			continue
		}
		testkit.Golden(t, "testdata/"+file+".json", body)
	}
}

// TestWholeTrace checks that the trace as OTLP/JSON is what was stored, field by field.
func TestWholeTrace(t *testing.T) {
	want := testkit.Sample()
	for i, a := range want[0].Attrs {
		if a.Key == "broken" { // JSON has no bytes that are not UTF-8
			want[0].Attrs[i].Value = trace.String("caf\uFFFD")
		}
	}
	s := server(t, testkit.Sample())
	_, body := s.get(t, "/api/v1/traces/"+sampleID())
	raw, err := otlp.AppendBinary(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	var batch trace.Batch
	if err := batch.Index(raw, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	got, err := batch.Decode()
	if err != nil {
		t.Fatal(err)
	}
	order := func(a, b trace.Span) int { return slices.Compare(trace.AppendSpan(nil, &a), trace.AppendSpan(nil, &b)) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := gocmp.Diff(want, got, gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("differs (-want +got):\n%s", diff)
	}
}

// TestDocument compares the examples in docs/http-api.md with what is answered: the same names, of the same types.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, testkit.Sample())
	_, columns := s.get(t, "/api/v1/traces/"+sampleID()+"/columns")
	answers := map[string][]byte{"columns": columns[8 : 8+headerBytes(columns)]}
	for call, path := range map[string]string{
		"status": "status", "search": "search", "query": "query?q=" + url.QueryEscape(queryExample), "attributes": "attributes", "values": "attributes/host.name/values", "rows": "traces/" + sampleID() + "/rows?from=0&to=1",
	} {
		_, answers[call] = s.get(t, "/api/v1/"+path)
	}
	seen := 0
	for _, section := range strings.Split(string(doc), "\n## GET ")[1:] {
		head, _, _ := strings.Cut(section, "\n")
		head, _, _ = strings.Cut(head, "?")
		call := head[strings.LastIndex(head, "/")+1:]
		_, rest, ok := strings.Cut(section, "```json\n")
		if !ok {
			continue
		}
		example, _, _ := strings.Cut(rest, "```")
		var want, got any
		if err := json.Unmarshal([]byte(example), &want); err != nil {
			t.Errorf("the example of %s is not JSON: %v", call, err)
			continue
		}
		if err := json.Unmarshal(answers[call], &got); err != nil {
			t.Errorf("%s: %v: %s", call, err, answers[call])
			continue
		}
		seen++
		sameShape(t, call, want, got)
	}
	if seen != len(answers) {
		t.Errorf("%d examples; want %d", seen, len(answers))
	}
}

func sameShape(t *testing.T, at string, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is an object in the document and %T in the answer", at, got)
			return
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				t.Errorf("%s.%s is in the document and not in the answer", at, k)
				continue
			}
			sameShape(t, at+"."+k, w[k], g[k])
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				t.Errorf("%s.%s is in the answer and not in the document", at, k)
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			t.Errorf("%s is a list in the document and %T in the answer", at, got)
			return
		}
		if len(w) > 0 && len(g) > 0 {
			sameShape(t, at+"[]", w[0], g[0])
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			t.Errorf("%s is %T in the document and %T in the answer", at, want, got)
		}
	}
}

// TestErrors checks that what is wrong is named.
func TestErrors(t *testing.T) {
	s := server(t, testkit.Sample())
	for path, want := range map[string]string{
		"search?service=%zz":                         `400 invalid the query string is broken`,
		"search?servcie=a":                           `400 invalid there is no parameter "servcie"; did you mean service?`,
		"search?service=a&service=b":                 `400 invalid service is given 2 times; want one`,
		"search?limit=0":                             `400 invalid limit is "0"; want 1 to 2000`,
		"search?limit=2001":                          `400 invalid limit is "2001"; want 1 to 2000`,
		"search?from=-1":                             `400 invalid from is "-1"; want nanoseconds since 1970`,
		"search?to=now":                              `400 invalid to is "now"; want nanoseconds since 1970`,
		"search?from=3&to=2":                         `400 invalid from is later than to`,
		"search?minDuration=5":                       `400 invalid minDuration is "5"; want a duration such as 200ms or 1.5s`,
		"search?maxDuration=-5s":                     `400 invalid maxDuration is "-5s"; want a duration`,
		"search?minDuration=2s&maxDuration=1s":       `400 invalid minDuration is larger than maxDuration`,
		"search?cursor=abc":                          `400 invalid cursor "abc" is not one that an answer gave`,
		"query":                                      `400 invalid q is missing`,
		"query?q=+":                                  `400 invalid line 1, column 2: `,
		"query?q={}&step=x":                          `400 invalid step is "x"; want a duration such as 15s`,
		"services?service=a":                         `400 invalid there is no parameter "service"`,
		"operations":                                 `400 invalid service is missing`,
		"traces/1?start=1":                           `400 invalid there is no parameter "start"`,
		"query?q={":                                  `400 invalid line 1, column 2: `,
		"query?q={}&limit=0":                         `400 invalid limit is "0"; want 1 to 2000`,
		"query?q={}&spans=-1":                        `400 invalid spans is "-1"; want 0 to 1000`,
		"query?q={}&timeout=0s":                      `400 invalid timeout is "0s"; want a duration such as 15s, at most 10m0s`,
		"query?q={}&partial=yes":                     `400 invalid partial is "yes"; want true or false`,
		"query?q={}&order=1":                         `400 invalid there is no parameter "order"`,
		"query?q={}&from=3&to=2":                     `400 invalid from is later than to`,
		"query?q={}&cursor=abc":                      `400 invalid cursor "abc" is not one that an answer gave`,
		"query?q={}|rate()&step=1ns":                 `400 invalid a step of 1ns makes`,
		"query?q={}|rate()&exemplars=-1":             `400 invalid exemplars is "-1"; want 0 to 1000`,
		"attributes?key=a":                           `400 invalid there is no parameter "key"`,
		"attributes?limit=0":                         `400 invalid limit is "0"; want 1 to 2000`,
		"attributes?scope=event":                     `400 invalid scope is "event"; want span, resource, instrumentation or intrinsic`,
		"attributes/a/values?service=a&service=b":    `400 invalid service is given 2 times; want one`,
		"traces/1":                                   `404 not_found no trace 00000000000000000000000000000001`,
		"traces/1/columns":                           `404 not_found no trace`,
		"traces/xyz":                                 `400 invalid trace ID "xyz"`,
		"traces/" + sampleID() + "/rows":             `400 invalid from is missing; want 0 or more`,
		"traces/" + sampleID() + "/rows?from=0&to=9": `400 invalid from=0 and to=9; want 0 <= from <= to <= 8, at most 200 rows`,
		"traces/" + sampleID() + "/rows?from=2&to=1": `400 invalid`,

		"traces/" + sampleID() + "/rows?from=0&to=1&version=6": `404 not_found the trace has grown to 7 spans since; load its columns again`,

		"nothing": `404 not_found there is no call GET /api/v1/nothing; see docs/http-api.md`,
	} {
		status, raw := s.get(t, "/api/v1/"+path)
		var b struct {
			Error struct{ Kind, Message string }
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Errorf("%s: %s", path, raw)
			continue
		}
		if got := fmt.Sprint(status, " ", b.Error.Kind, " ", b.Error.Message); !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
}

// TestFarTimes checks that times beyond a signed number stay what they are.
func TestFarTimes(t *testing.T) {
	spans := testkit.Sample()[:1]
	spans[0].Events = []trace.Event{{Time: 1<<64 - 1, Name: "end of days"}}
	s := server(t, spans)
	_, body := s.get(t, "/api/v1/traces/"+sampleID()+"/rows?from=0&to=1")
	if !strings.Contains(string(body), `"time":"18446744073709551615"`) {
		t.Errorf("the event's time is not 18446744073709551615: %s", body)
	}
}

// page asks for one page of a search and returns the IDs and the next cursor.
func (s served) page(t testing.TB, params url.Values) (ids []string, cursor string) {
	t.Helper()
	status, raw := s.get(t, "/api/v1/search?"+params.Encode())
	var b struct {
		Traces []struct{ TraceID string }
		Cursor string
	}
	if err := json.Unmarshal(raw, &b); err != nil || status != 200 {
		t.Fatalf("%d: %v: %.300s", status, err, raw)
	}
	for _, tr := range b.Traces {
		ids = append(ids, tr.TraceID)
	}
	return ids, b.Cursor
}

// TestEmptyParameters asks with empty parameters, as a form sends them: they count as missing.
func TestEmptyParameters(t *testing.T) {
	s := server(t, testkit.Sample())
	ids, _ := s.page(t, url.Values{"service": {""}, "operation": {""}, "tag": {"", ""}, "minDuration": {""}, "maxDuration": {""}, "from": {""}, "to": {""}, "limit": {""}, "cursor": {""}})
	if len(ids) == 0 {
		t.Error("a search without conditions finds nothing")
	}
}

// TestPaging pages through a thousand traces that all start at the same moment, while others arrive: newer ones, older ones, and
// ones of that very moment whose place was passed already. Every trace that was there at the start comes once, in order.
func TestPaging(t *testing.T) {
	const n = 1000
	now := uint64(time.Now().UnixNano())
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("s")}}}
	one := func(i int, start uint64) trace.Span {
		return trace.Span{
			TraceID: trace.ID{0: byte(i >> 8), 1: byte(i), 15: 1}, ID: trace.SpanID{7: 1}, Start: start, End: start + 1, Resource: res, Scope: &trace.Scope{},
			Attrs: []trace.Attr{{Key: "text", Value: trace.String(strings.Repeat("x", i%300))}}, Name: "op",
		}
	}
	s := server(t)
	var want []string
	for i := range n {
		span := one(i, now)
		want = append(want, span.TraceID.String())
		s.append(t, []trace.Span{span})
	}
	var got []string
	params := url.Values{"service": {"s"}, "limit": {"37"}}
	for pages := 0; ; pages++ {
		ids, cursor := s.page(t, params)
		got = append(got, ids...)
		if cursor == "" {
			break
		}
		if len(ids) != 37 {
			t.Fatalf("page %d has %d traces and a cursor", pages, len(ids))
		}
		params.Set("cursor", cursor)
		s.append(t, []trace.Span{one(2000+pages, now+uint64(pages)+1)}) // newer than all
		passed := one(0, now)
		passed.TraceID[14] = byte(pages + 1) // the same start, and an ID that comes right behind the first
		s.append(t, []trace.Span{passed})
	}
	if !slices.Equal(got, want) {
		seen := map[string]int{}
		for _, id := range got {
			seen[id]++
		}
		missing := 0
		for _, id := range want {
			if seen[id] != 1 {
				missing++
			}
		}
		t.Fatalf("%d traces came; want %d in order; %d of them came not once", len(got), len(want), missing)
	}
	if status, raw := s.get(t, "/api/v1/search?service=other&cursor="+params.Get("cursor")); status != 400 || !strings.Contains(string(raw), "of another search") {
		t.Errorf("a cursor of another search: %d %s", status, raw)
	}
}
