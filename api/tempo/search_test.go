package tempo

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// searchAnswer is what Grafana decodes an answer into: a field more, or one of another type, and it shows an error.
type searchAnswer struct {
	Traces  []foundTrace
	Metrics struct {
		InspectedTraces            uint32
		InspectedBytes             string
		TotalBlocks, CompletedJobs uint32
		TotalJobs                  uint32
		TotalBlockBytes            string
	}
}

type foundTrace struct {
	TraceID           string `json:"traceID"`
	RootServiceName   string
	RootTraceName     string
	StartTimeUnixNano string
	DurationMs        uint32
	SpanSet           *spanSet
	SpanSets          []spanSet
	ServiceStats      map[string]struct{ SpanCount, ErrorCount uint32 }
}

type spanSet struct {
	Spans []struct {
		SpanID            string `json:"spanID"`
		Name              string
		StartTimeUnixNano string
		DurationNanos     string
		Attributes        []keyValue
	}
	Matched    uint32
	Attributes []keyValue
}

type keyValue struct {
	Key   string
	Value struct {
		StringValue, IntValue *string
		DoubleValue           any // a number, or the text of one that is none
		BoolValue             *bool
	}
}

func (kv keyValue) String() string {
	switch v := kv.Value; {
	case v.StringValue != nil:
		return kv.Key + "=" + *v.StringValue
	case v.IntValue != nil:
		return kv.Key + "=int " + *v.IntValue
	case v.DoubleValue != nil:
		return fmt.Sprint(kv.Key, "=float ", v.DoubleValue)
	case v.BoolValue != nil:
		return fmt.Sprint(kv.Key, "=bool ", *v.BoolValue)
	}
	return kv.Key + "=?"
}

func find(t testing.TB, at, params string) searchAnswer {
	t.Helper()
	var out searchAnswer
	strictly(t, get(t, at, "/api/search?"+params, "application/json"), &out)
	return out
}

func asQ(q string) string { return "q=" + url.QueryEscape(q) }

// lines returns what was found, a line a span: name and attributes.
func (a *searchAnswer) lines() (out []string) {
	for _, tr := range a.Traces {
		for _, s := range tr.SpanSets {
			for _, span := range s.Spans {
				out = append(out, strings.TrimSpace(fmt.Sprint(span.Name, " ", span.Attributes)))
			}
		}
	}
	return out
}

func TestSearch(t *testing.T) {
	at := server(t, testkit.Sample())
	a := find(t, at, asQ(`{ resource.service.name = "stock" && status = error } | select(span.error, kind, nestedSetParent, duration, trace:duration)`)+
		fmt.Sprintf("&limit=5&spss=3&start=%d&end=%d", testkit.SampleTime/1_000_000_000, testkit.SampleTime/1_000_000_000+1))
	if len(a.Traces) != 1 {
		t.Fatalf("%+v", a)
	}
	tr := a.Traces[0]
	if tr.TraceID != sampleID() || tr.RootServiceName != "shop/web" || tr.RootTraceName != "GET /warenkörbe/{id}" || tr.StartTimeUnixNano != strconv.Itoa(testkit.SampleTime) || tr.DurationMs != 100 {
		t.Errorf("%+v", tr)
	}
	if s := tr.ServiceStats["stock"]; s.SpanCount != 3 || s.ErrorCount != 1 || len(tr.ServiceStats) != 3 {
		t.Errorf("services: %v", tr.ServiceStats)
	}
	if tr.SpanSet == nil || len(tr.SpanSets) != 1 || tr.SpanSets[0].Matched != 1 {
		t.Fatalf("sets: %+v", tr.SpanSets)
	}
	if got, want := a.lines(), []string{"reserve [service.name=stock status=error error=true kind=server nestedSetParent=int 2 traceDuration=100ms]"}; !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	if s := tr.SpanSets[0].Spans[0]; s.SpanID != "ee00000000000002" || s.DurationNanos != "46000000" {
		t.Errorf("%+v", s)
	}
	if m := a.Metrics; m.InspectedTraces != 1 || m.CompletedJobs != 1 || m.TotalJobs != 1 {
		t.Errorf("%+v", m)
	}
	a = find(t, at, asQ("{ } | by(resource.service.name)")+"&spss=1")
	var sets []string
	for _, s := range a.Traces[0].SpanSets {
		sets = append(sets, fmt.Sprint(s.Attributes, s.Matched, len(s.Spans)))
	}
	slices.Sort(sets)
	if want := []string{"[by(resource.service.name)=nil] 1 1", "[by(resource.service.name)=shop/web] 3 1", "[by(resource.service.name)=stock] 3 1"}; !slices.Equal(sets, want) {
		t.Errorf("groups: %q", sets)
	}
	if a := find(t, at, asQ("{}")+"&spss=0"); len(a.Traces[0].SpanSets[0].Spans) != 7 {
		t.Errorf("all spans: %+v", a)
	}
	if a := find(t, at, asQ("{}")); len(a.Traces[0].SpanSets[0].Spans) != 3 || a.Traces[0].SpanSets[0].Matched != 7 {
		t.Errorf("three spans: %+v", a)
	}
	if a := find(t, at, asQ("{}")+"&start=1&end=2"); len(a.Traces) != 0 {
		t.Errorf("outside of the range: %+v", a)
	}
	if got := get(t, at, "/api/search?"+asQ("{}"), protobuf); got.contentType != protobuf || !slices.Contains(texts([]byte(got.body)), sampleID()) {
		t.Errorf("protobuf: %+v", got)
	}
}

// many returns n traces of one span, a second apart, the last without a root.
func many(n int) (out []trace.Span) {
	resource := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("many")}}}
	for i := range n {
		s := trace.Span{
			TraceID: trace.ID{1, 14: byte(i >> 8), 15: byte(i)}, ID: trace.SpanID{1}, Name: "op", Start: testkit.SampleTime + uint64(i)*1e9, Resource: resource, Scope: &trace.Scope{},
			Attrs: []trace.Attr{{Key: "n", Value: trace.Int(int64(i))}},
		}
		s.End = s.Start + uint64(i)*1e6
		if i == n-1 {
			s.Parent = trace.SpanID{9}
		}
		out = append(out, s)
	}
	return out
}

func TestOrderAndLimit(t *testing.T) {
	at := server(t, many(50))
	a := find(t, at, "")
	if len(a.Traces) != defaultTraces || a.Traces[0].RootServiceName != noRoot || a.Traces[0].RootTraceName != "" || a.Traces[1].RootServiceName != "many" {
		t.Errorf("%d traces, %+v", len(a.Traces), a.Traces[:2])
	}
	if !slices.IsSortedFunc(a.Traces, func(a, b foundTrace) int { return strings.Compare(b.StartTimeUnixNano, a.StartTimeUnixNano) }) {
		t.Error("not newest first")
	}
	if a := find(t, at, "limit=7"); len(a.Traces) != 7 {
		t.Errorf("%d traces; want 7", len(a.Traces))
	}
	if a := find(t, at, asQ("{ span.n < 10 } | order by duration asc")+"&limit=2"); len(a.Traces) != 2 || !strings.HasSuffix(a.Traces[1].TraceID, "01") {
		t.Errorf("in another order: %+v", a)
	}
}

// TestOlderForm asks by tags, as Grafana's first search did.
func TestOlderForm(t *testing.T) {
	at := server(t, testkit.Sample(), many(5))
	for params, want := range map[string]int{
		`tags=service.name="SHOP/W"`:               1, // a part, in any case
		`tags=service.name=many`:                   5,
		`tags=service.name=many n=3`:               1, // a number by its whole text
		`tags=http.status_code=200`:                1,
		`tags=http.status_code=20`:                 0,
		`tags=yes=true`:                            1,
		`tags=name=reserve`:                        1,
		`tags=error=true`:                          1,
		`tags=status.code=error`:                   1,
		`tags=root.service.name=shop`:              1,
		`tags=peer.service=stock host.name=h2`:     0, // not on one span
		`tags=html="<b>&\"\\\n"`:                   1,
		`minDuration=3ms&tags=service.name=many`:   2,
		`minDuration=3ms&maxDuration=3ms`:          1,
		`maxDuration=2ms`:                          3,
		`maxDuration=2ms&tags=`:                    3,
		`tags=service.name=`:                       6,
		`tags=service.name=.*`:                     0, // no regular expression
		`tags=nothing=here`:                        0,
		`unknown=parameter&tags=service.name=many`: 5,
	} {
		escaped := ""
		for part := range strings.SplitSeq(params, "&") {
			if k, v, _ := strings.Cut(part, "="); k == "tags" || strings.HasSuffix(k, "Duration") || k == "unknown" {
				escaped += "&" + k + "=" + url.QueryEscape(v)
			} else { // of the value before
				escaped += url.QueryEscape("&" + part)
			}
		}
		if a := find(t, at, escaped[1:]); len(a.Traces) != want {
			t.Errorf("%s: %d traces; want %d", params, len(a.Traces), want)
		}
	}
}

// TestOldestForm asks by parameters that are tags.
func TestOldestForm(t *testing.T) {
	at := server(t, testkit.Sample(), many(5))
	for params, want := range map[string]int{
		"service.name=many": 5, "service.name=many&n=3&limit=2": 1, "service.name=many&maxDuration=1ms": 2, "nothing=here": 0, "": 6,
		"nothing=here&start=1763885400&end=1763885500": 6, "nothing=here&" + asQ("{}"): 6, // they are ignored beside others
	} {
		if a := find(t, at, params); len(a.Traces) != want {
			t.Errorf("%s: %d traces; want %d", params, len(a.Traces), want)
		}
	}
}

func TestBadSearches(t *testing.T) {
	at := server(t, testkit.Sample())
	for params, want := range map[string]string{
		asQ("{ foo }"):                       "invalid TraceQL query: line 1, column 3: ",
		asQ("{ .a = }"):                      "line 1, column 8",
		asQ("{ } | rate()"):                  "invalid q: it asks for metrics",
		asQ("explain { }"):                   "explain has no place",
		asQ("{}") + "&tags=a%3Db":            "can't specify tags and q in the same query",
		"limit=0":                            "invalid limit",
		"limit=x":                            `invalid limit: "x"`,
		"limit=99999999999":                  "invalid limit",
		"limit=20001":                        "invalid limit: 20001 is more than 20000",
		"spss=-1":                            "invalid spss",
		"start=5&end=5":                      "http parameter start must be before end. received start=5 end=5",
		"start=a":                            "invalid start",
		"minDuration=5":                      "invalid minDuration",
		"minDuration=5s&maxDuration=1s":      "invalid maxDuration: 1s is less than minDuration, 5s",
		"tags=" + url.QueryEscape(`a=b a=c`): "invalid tags: a is there twice",
		"tags=" + url.QueryEscape(`a`):       "invalid tags",
		"tags=" + url.QueryEscape(`a="b`):    "invalid tags: the value of a has a quote that does not end",
		"q=" + strings.Repeat("%7B%7D%7C%7C", 20_000) + "x": "at most 65536",
		"%zz": "the query string is broken",
	} {
		got := get(t, at, "/api/search?"+params, "")
		wantStatus := 400
		if strings.Contains(want, "65536") {
			wantStatus = 413
		}
		if got.status != wantStatus || got.contentType != plain || !strings.Contains(got.body, want) {
			t.Errorf("%.100s: %+v; want %q", params, got, want)
		}
	}
}

// TestSearchStream reads a search as a stream: parts of what is found, and at last all of it.
func TestSearchStream(t *testing.T) {
	at := server(t, many(60))
	question := protowire.AppendString(protowire.AppendTag(nil, 8, protowire.BytesType), "{ span.n >= 10 }")
	question = protowire.AppendVarint(protowire.AppendTag(question, 4, protowire.VarintType), 45)
	got, err := stream(t.Context(), t, at, "Search", question)
	if err != nil || len(got) < 2 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	ids := func(m []byte) (out []string) {
		for _, s := range texts(m) {
			if len(s) == 32 && strings.HasPrefix(s, "0100") && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out
	}
	var parts []string
	for _, m := range got[:len(got)-1] {
		parts = append(parts, ids(m)...)
	}
	all := ids(got[len(got)-1])
	if len(all) != 45 || all[0] != "0100000000000000000000000000003b" || !slices.Equal(parts, all[:len(parts)]) || len(parts) == 0 {
		t.Errorf("parts %v of %v", parts, all)
	}
	// As Grafana asks whether all is well.
	if got, err := stream(t.Context(), t, at, "Search", []byte("\x42\x02{}\x20\x01")); err != nil || len(got) == 0 {
		t.Errorf("%d messages, %v", len(got), err)
	}
	for q, want := range map[string]string{"{ foo }": "line 1, column 3", "{ } | rate()": "metrics"} {
		_, err := stream(t.Context(), t, at, "Search", protowire.AppendString(protowire.AppendTag(nil, 8, protowire.BytesType), q))
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", q, err)
		}
	}
}
