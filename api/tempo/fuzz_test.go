package tempo

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// FuzzTags reads tags, writes them and reads them again; what was read becomes a query.
func FuzzTags(f *testing.F) {
	for _, s := range []string{"", "a=b", `service.name="a b" http.status_code=200`, `a="\"" b=`, "a=b a=c", "=", `a="`, "error=true status.code=ok name=x x=1e309 y=1.5 z=true"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := parseTags(s)
		if err != nil {
			if trace.KindOf(err) != trace.Invalid {
				t.Fatal(err)
			}
			return
		}
		out := ""
		for _, tag := range tags {
			out += tag.Key + "=" + strconv.Quote(tag.Value) + " "
		}
		again, err := parseTags(out)
		if err != nil || len(again) != len(tags) {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
		if _, err := byTags(wire.SearchRequest{Tags: tags}); err != nil && trace.KindOf(err) != trace.Invalid && trace.KindOf(err) != trace.TooLarge {
			t.Fatal(err)
		}
	})
}

// FuzzNames reads names of fields, and conditions that are not finished: what is read can be written into a query.
func FuzzNames(f *testing.F) {
	f.Add("span.a/b c", "{ resource.x = \"1\" && }")
	f.Add(`.a"b\c`, "{ .a && kind = ")
	f.Add("span:name", "{nestedSetParent<0 && true} | rate()")
	f.Add("parent.span.x", "((")
	f.Fuzz(func(t *testing.T, name, cond string) {
		if field, err := parseField(name); err == nil {
			if _, err := traceql.Parse("{ " + field.String() + " != nil } | select(" + field.String() + ")"); err != nil {
				t.Fatalf("%q is %+v: %v", name, field, err)
			}
		} else if trace.KindOf(err) != trace.Invalid {
			t.Fatal(err)
		}
		if e := filterOf(cond); e != nil {
			if _, err := traceql.Parse("{ (" + e.String() + ") && .x != nil }"); err != nil && trace.KindOf(err) != trace.TooLarge {
				t.Fatalf("%q is %s: %v", cond, e, err)
			}
		}
	})
}

// FuzzQuestions reads the parameters of all calls: what comes out is a question within limits, or an error of the caller's.
func FuzzQuestions(f *testing.F) {
	for _, s := range []string{
		"q={}&limit=5&spss=0&start=1&end=2", "tags=a%3Db&minDuration=1s&maxDuration=2s", "q={}|rate()&start=1.5&end=2025-11-23T08:10:08Z&step=30s&exemplars=5",
		"query={}|rate()&since=1h&step=0.5&maxSeries=1", "start=99999999999999999999&end=-1", "scope=span&limit=4294967296", "since=9223372036854775807ns&end=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/", RawQuery: query}}
		invalid := func(err error) bool {
			if err != nil && trace.KindOf(err) != trace.Invalid && trace.KindOf(err) != trace.TooLarge {
				t.Fatalf("%q: %v", query, err)
			}
			return err != nil
		}
		if q, err := searchRequest(r); !invalid(err) {
			if s, err := asked(q); !invalid(err) && (s.Limit < 1 || s.Limit > maxTraces || s.Spans < 1 || s.Spans > maxSpans || s.Range.To != 0 && s.Range.To < s.Range.From) {
				t.Fatalf("%q: %+v", query, s)
			}
		}
		for _, instant := range []bool{false, true} {
			if q, err := metricsRequest(r); !invalid(err) {
				if s, err := seriesRequest(q, instant); !invalid(err) && (s.Step < 0 || s.Range.To <= s.Range.From || s.Exemplars > defaultExemplars || instant != (s.Step == 0)) {
					t.Fatalf("%q: %+v", query, s)
				}
			}
		}
		_, err := tagsRequest(r)
		invalid(err)
	})
}
