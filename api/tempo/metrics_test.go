package tempo

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/internal/testkit"
)

type sample struct {
	TimestampMs string
	Value       any
}

// rangeAnswer and instantAnswer are what Grafana decodes answers into.
type rangeAnswer struct {
	Series []struct {
		Labels    []keyValue
		Samples   []sample
		Exemplars []struct {
			Labels      []keyValue
			Value       any
			TimestampMs string
		}
	}
	Metrics         metricsAnswer
	Status, Message string
}

type instantAnswer struct {
	Series []struct {
		Labels []keyValue
		Value  any
	}
	Metrics         metricsAnswer
	Status, Message string
}

type metricsAnswer struct {
	InspectedTraces                       uint32
	InspectedBytes                        string
	TotalBlocks, CompletedJobs, TotalJobs uint32
}

const sampleSecond = testkit.SampleTime / 1_000_000_000

func TestMetrics(t *testing.T) {
	at := server(t, many(10))
	when := fmt.Sprintf("&start=%d&end=%d", sampleSecond-5, sampleSecond+15)
	var a rangeAnswer
	strictly(t, get(t, at, "/api/metrics/query_range?step=5s&exemplars=2&"+asQ("{ } | count_over_time() by (resource.service.name)")+when, "application/json"), &a)
	if len(a.Series) != 1 || fmt.Sprint(a.Series[0].Labels) != "[resource.service.name=many]" || a.Metrics.TotalJobs != 1 || a.Status != "" {
		t.Fatalf("%+v", a)
	}
	sum := 0.0
	for _, s := range a.Series[0].Samples {
		v, ok := s.Value.(float64)
		if sum += v; !ok || !strings.HasSuffix(s.TimestampMs, "000") {
			t.Errorf("sample %+v", s)
		}
	}
	if sum != 10 || len(a.Series[0].Samples) < 4 {
		t.Errorf("%v spans in %v", sum, a.Series[0].Samples)
	}
	if e := a.Series[0].Exemplars; len(e) != 2 || len(e[0].Labels) != 3 || !strings.HasPrefix(e[0].Labels[1].String(), "trace:id=0100") || e[0].TimestampMs == "" {
		t.Errorf("exemplars: %+v", e)
	}
	labels := func(q string) (out []string) {
		var a rangeAnswer
		strictly(t, get(t, at, "/api/metrics/query_range?"+asQ(q)+when, ""), &a)
		for _, s := range a.Series {
			out = append(out, fmt.Sprint(s.Labels))
		}
		slices.Sort(out)
		return out
	}
	for q, want := range map[string][]string{
		"{ } | rate()":     {"[__name__=rate]"},
		"{ } | rate() > 0": {"[__name__=rate]"},
		"{ } | quantile_over_time(duration, 0.5, 0.9)": {"[p=float 0.5]", "[p=float 0.9]"},
		"{ .n = 4 } | histogram_over_time(duration)":   {"[__bucket=float 0.004194304]"},
		"{ } | rate() by (span.nothing)":               {"[span.nothing=nil]"},
		"{ } | count_over_time() by (status, kind)":    {"[status=unset kind=unspecified]"},
		"{ .n = 100 } | rate() by (.n)":                nil,
		"({ } | rate()) / ({ } | rate())":              {"[]"},
	} {
		if got := labels(q); !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", q, got, want)
		}
	}
	if got := labels("{ } | compare({ .n > 5 })"); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "[__meta_type=selection resource.service.name=many") }) {
		t.Errorf("compare: %q", got)
	}
	var i instantAnswer
	strictly(t, get(t, at, "/api/metrics/query?"+asQ("{ } | count_over_time() by (resource.service.name)")+when, "application/json"), &i)
	if len(i.Series) != 1 || i.Series[0].Value != 10.0 || fmt.Sprint(i.Series[0].Labels) != "[resource.service.name=many]" {
		t.Errorf("instant: %+v", i)
	}
	strictly(t, get(t, at, "/api/metrics/query_range?maxSeries=3&"+asQ("{ } | rate() by (span.n)")+when, ""), &a)
	if len(a.Series) != 3 || a.Status != "PARTIAL" || a.Message != "there are more than 3 series" {
		t.Errorf("at most three series: %d, %s, %s", len(a.Series), a.Status, a.Message)
	}
}

// TestTimesOfMetrics gives the same times in all forms.
func TestTimesOfMetrics(t *testing.T) {
	at := server(t, many(10))
	const from, to = sampleSecond - 1, sampleSecond + 4 // five of the spans
	for _, times := range []string{
		fmt.Sprintf("start=%d&end=%d", from, to), fmt.Sprintf("start=%d000000000&end=%d000000000", from, to), fmt.Sprintf("start=%d.000&end=%d.0", from, to),
		"start=2025-11-23T08:10:08Z&end=2025-11-23T08:10:13.000000000Z", fmt.Sprintf("since=5s&end=%d", to),
	} {
		var a instantAnswer
		strictly(t, get(t, at, "/api/metrics/query?query="+url.QueryEscape("{ } | count_over_time()")+"&"+times, ""), &a)
		if len(a.Series) != 1 || a.Series[0].Value != 4.0 { // the fifth starts 123 ns too late
			t.Errorf("%s: %+v", times, a)
		}
	}
	var a instantAnswer
	strictly(t, get(t, at, "/api/metrics/query?"+asQ("{ } | count_over_time()"), ""), &a) // of the last hour
	if len(a.Series) != 1 || a.Series[0].Value != 0.0 {
		t.Errorf("of the last hour: %+v", a)
	}
}

func TestBadMetrics(t *testing.T) {
	at := server(t, many(2))
	for params, want := range map[string]string{
		"":                                     "missing q",
		asQ("{ }"):                             "invalid q: it asks for traces",
		asQ("{ } | rate("):                     "line 1, column 12",
		asQ("explain { } | rate()"):            "explain has no place",
		asQ("{ } | rate()") + "&start=9&end=5": "http parameter start must be before end",
		asQ("{ } | rate()") + "&start=soon":    `invalid start: "soon"`,
		asQ("{ } | rate()") + "&start=1960-01-01T00:00:00Z":              `invalid start: "1960-01-01T00:00:00Z" is not between 1970 and 2261`,
		asQ("{ } | rate()") + "&end=2262-01-01T00:00:00Z":                `invalid end: "2262-01-01T00:00:00Z" is not between`,
		asQ("{ } | rate()") + "&start=9250000000&end=9260000000":         "invalid end: 9260000000000000000, in Unix nanoseconds, is after the year 2262",
		asQ("{ } | rate()") + "&start=1970-01-01T00:00:00%2B14:00":       "is not between 1970 and 2261",
		asQ("{ } | rate()") + "&step=-1":                                 `invalid step: "-1"`,
		asQ("{ } | rate()") + "&step=often":                              "invalid step",
		asQ("{ } | rate()") + "&since=x":                                 "invalid since",
		asQ("{ } | rate()") + "&exemplars=x":                             "invalid exemplars",
		asQ("{ } | rate()") + "&start=1&end=2000000000":                  "",
		asQ("{ } | rate()") + "&start=1000000000&end=2000000000&step=1s": "step",
	} {
		got := get(t, at, "/api/metrics/query_range?"+params, "")
		if want == "" && got.status == 200 {
			continue
		}
		if got.status != 400 || got.contentType != plain || !strings.Contains(got.body, want) {
			t.Errorf("%s: %+v; want %q", params, got, want)
		}
	}
}

func TestStreamsOfMetrics(t *testing.T) {
	at := server(t, many(10))
	question := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "{ } | rate() by (resource.service.name)")
	question = protowire.AppendVarint(protowire.AppendTag(question, 2, protowire.VarintType), testkit.SampleTime-1e9)
	question = protowire.AppendVarint(protowire.AppendTag(question, 3, protowire.VarintType), testkit.SampleTime+1e10)
	for _, method := range []string{"MetricsQueryRange", "MetricsQueryInstant"} {
		got, err := stream(t.Context(), t, at, method, question)
		if err != nil || len(got) == 0 || !slices.Contains(texts(got[len(got)-1]), "resource.service.name") {
			t.Errorf("%s: %d messages, %v", method, len(got), err)
		}
		_, err = stream(t.Context(), t, at, method, question[:len(question)-10])
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "start must be before end") {
			t.Errorf("%s without an end: %v", method, err)
		}
	}
}

// TestDrilldown asks what Grafana's Traces Drilldown asks when somebody opens it, and looks at errors.
func TestDrilldown(t *testing.T) {
	at := server(t, testkit.Sample(), many(20))
	when := fmt.Sprintf("&start=%d&end=%d", sampleSecond-60, sampleSecond+60)
	for _, q := range []string{
		"{nestedSetParent<0 && true} | rate()  with(sample=true)",
		"{nestedSetParent<0 && true && status=error} | rate()  with(sample=true)",
		"{nestedSetParent<0 && true} | histogram_over_time(duration) with(sample=true)",
		"{nestedSetParent<0 && true && resource.service.name != nil} | rate() by(resource.service.name)",
		"{nestedSetParent<0 && true && status=error && span.n != nil} | rate() by(span.n)",
		"{nestedSetParent<0 && true && span.n != nil} | quantile_over_time(duration, 0.9) by(span.n)",
		"{nestedSetParent<0 && true} | compare({status = error}, 10)",
		fmt.Sprintf("{nestedSetParent<0 && true} | compare({duration >= 1.2ms && duration <= 3s}, 10, %d, %d)", testkit.SampleTime, testkit.SampleTime+60_000_000_000),
		"{kind=server && span.db.system.name!=\"\"} | rate()",
	} {
		var a rangeAnswer
		strictly(t, get(t, at, "/api/metrics/query_range?step=10s&"+asQ(q)+when, "application/json"), &a)
		if a.Status != "" {
			t.Errorf("%s: %s %s", q, a.Status, a.Message)
		}
	}
	for q, want := range map[string]int{
		"{nestedSetParent<0 && true}":                   20, // and not the last, whose parent never came
		"{nestedSetParent<0 && true && status = error}": 0,
		"({nestedSetParent<0 && true} &>> { status = error }) || ({nestedSetParent<0 && true  && status = error}) | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)": 1,
		"{true && status = error} | select(resource.service.name, event.exception.message,event.exception.stacktrace,event.exception.type) with(most_recent=true)":                                               1,
		"{kind=consumer && true}": 1,
	} {
		if a := find(t, at, asQ(q)+"&limit=200&spss=20"+when); len(a.Traces) != want {
			t.Errorf("%s: %d traces; want %d", q, len(a.Traces), want)
		}
	}
	a := find(t, at, asQ("({nestedSetParent<0 && true} &>> { status = error }) || ({nestedSetParent<0 && true  && status = error}) | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)")+"&limit=200&spss=20"+when)
	if len(a.Traces) == 1 {
		got := a.lines()
		if want := "GET /warenkörbe/{id} [nestedSetParent=int -1 status=ok service.name=shop/web nestedSetLeft=int 1 nestedSetRight=int 10]"; len(got) != 3 || got[0] != want {
			t.Errorf("the structure: %q; want %q", got, want)
		}
	}
}
