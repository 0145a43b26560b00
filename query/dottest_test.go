package query_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// The files in testdata/*.test are spans, queries, and what they find; testdata/README.md says how to read them. They are at the same time the
// examples of docs/traceql.md.

var update = flag.Bool("update", false, "rewrite what is expected in testdata/*.test")

func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".test"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runFile(t, string(text))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(string(text), got); d != "" {
				t.Errorf("%s (- is expected, + is what came; -update takes it over):\n%s", name, d)
			}
		})
	}
}

// runFile returns the file with what its queries really find.
func runFile(t *testing.T, text string) string {
	var out []string
	var s *spool.Spool
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out = append(out, line)
		verb, rest, _ := strings.Cut(line, " ")
		var block []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			block = append(block, lines[i])
		}
		verb, options, _ := strings.Cut(strings.TrimSuffix(verb, "]"), "[")
		switch verb {
		case "load":
			s = store(t, 1<<20)
			spans, err := parseSpans(block)
			if err != nil {
				t.Fatal(err)
			}
			if len(spans) > 0 {
				add(t, s, spans...)
			}
			out = append(out, block...)
		case "search", "series":
			for _, row := range ask(t, s, [3]string{verb, options, rest}) {
				out = append(out, strings.TrimRight("  "+row, " "))
			}
		default:
			if line != "" && !strings.HasPrefix(line, "#") {
				t.Fatalf("line %d: %q is none of load, search and series, and no comment", i+1, line)
			}
			out = append(out, block...)
		}
	}
	return strings.Join(out, "\n")
}

// fileBase is when the spans of a file start that have no offset.
var fileBase = uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())

// ask runs a query, and returns rows, or the error.
func ask(t *testing.T, s *spool.Spool, line [3]string) []string {
	q, err := traceql.Parse(line[2])
	if err != nil {
		e, _ := errors.AsType[*traceql.Error](err)
		return []string{"error: " + e.Msg, strings.ReplaceAll(e.Caret(), "\n", "\n  ")}
	}
	o := options{values: map[string]string{}}
	for option := range strings.SplitSeq(line[1], ",") {
		if k, v, ok := strings.Cut(option, "="); ok {
			o.values[strings.TrimSpace(k)] = v
		}
	}
	e := query.New(s)
	r := trace.Range{From: o.time("from", 0), To: o.time("to", 0)}
	if q.Spans {
		a, err := e.Spans(t.Context(), query.SpansRequest{Query: q, Range: r, Limit: o.number("limit", 100), Cursor: o.values["cursor"]})
		if err != nil {
			return []string{"error: " + err.Error()}
		}
		return spanRows(a)
	}
	if line[0] == "search" {
		a, err := e.Search(t.Context(), query.SearchRequest{Query: q, Range: r, Limit: o.number("limit", 100), Spans: o.number("spans", 100)})
		if err != nil {
			return []string{"error: " + err.Error()}
		}
		return searchRows(a)
	}
	a, err := e.Series(t.Context(), query.SeriesRequest{Query: q, Range: r, Step: o.duration("step"), Exemplars: o.number("exemplars", 0)})
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	return seriesRows(a)
}

type options struct{ values map[string]string }

func (o options) duration(key string) time.Duration {
	d, err := time.ParseDuration(o.values[key])
	if err != nil {
		return 0
	}
	return d
}

func (o options) time(key string, missing uint64) uint64 {
	if o.values[key] == "" {
		return missing
	}
	return fileBase + uint64(o.duration(key))
}

func (o options) number(key string, missing int) int {
	n, err := strconv.Atoi(o.values[key])
	if err != nil {
		return missing
	}
	return n
}

// searchRows writes a line for each set: the trace, what it was grouped by, and its spans, each with what the query reads of it.
func searchRows(a *query.SearchAnswer) []string {
	rows := slices.Clone(a.Plan)
	for _, f := range a.Traces {
		for _, set := range f.Sets {
			row := "trace " + strings.TrimLeft(f.ID.String(), "0") + labels(set.By, " by ") + ":"
			if set.Matched > len(set.Spans) {
				row += fmt.Sprintf(" %d spans:", set.Matched)
			}
			for i, x := range set.Spans {
				if i > 0 {
					row += ","
				}
				row += " " + x.Name + fieldsOf(&x)
			}
			rows = append(rows, row)
		}
	}
	if a.Cursor != "" {
		rows = append(rows, "…")
	}
	if len(rows) == 0 {
		rows = []string{"nothing"}
	}
	return rows
}

// spanRows writes a line for each span: its trace, its name, and what the query selects of it.
func spanRows(a *query.SpansAnswer) []string {
	rows := slices.Clone(a.Plan)
	for i := range a.Spans {
		x := &a.Spans[i]
		rows = append(rows, fmt.Sprintf("trace %s: %s%s", strings.TrimLeft(x.TraceID.String(), "0"), x.Name, fieldsOf(&x.FoundSpan)))
	}
	if a.Cursor != "" {
		rows = append(rows, "…")
	}
	if len(rows) == 0 {
		rows = []string{"nothing"}
	}
	return rows
}

// fieldsOf writes what a query reads of a span, but for its name.
func fieldsOf(x *query.FoundSpan) (text string) {
	for _, v := range x.Attrs {
		if v.Field.Intrinsic != traceql.SpanName {
			text += fmt.Sprintf(" %s=%s", v.Field, quoted(v.Value))
		}
	}
	return text
}

func quoted(v eval.Value) string {
	if v.Type == traceql.TypeString {
		return strconv.Quote(v.Text())
	}
	return v.Text()
}

func labels(ls []eval.Label, before string) string {
	if len(ls) == 0 {
		return ""
	}
	var parts []string
	for _, l := range ls {
		parts = append(parts, l.Name+"="+quoted(l.Value))
	}
	return before + "{" + strings.Join(parts, ", ") + "}"
}

// seriesRows writes a line for each series: its labels, and numbers after the time of their sample.
func seriesRows(a *query.SeriesAnswer) []string {
	rows := slices.Clone(a.Plan)
	for _, s := range a.Series {
		row := labels(s.Labels, "")
		if row == "" {
			row = "{}"
		}
		for _, x := range s.Samples {
			row += fmt.Sprintf(" %s:%.6g", time.Duration(x.Time*1e6-int64(fileBase)), x.Value)
		}
		rows = append(rows, row)
		for _, x := range s.Exemplars {
			rows = append(rows, fmt.Sprintf("  at %s %.6g in trace %s", time.Duration(x.Time-fileBase), x.Value, strings.TrimLeft(x.TraceID.String(), "0")))
		}
	}
	if len(rows) == 0 {
		rows = []string{"nothing"}
	}
	return rows
}

// TestManual holds that docs/traceql.md leads to each of the files.
func TestManual(t *testing.T) {
	doc, err := os.ReadFile("../docs/traceql.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !strings.Contains(string(doc), "](../query/"+filepath.ToSlash(name)+")") {
			t.Errorf("docs/traceql.md does not lead to %s", name)
		}
	}
	if n := strings.Count(string(doc), "| [") - strings.Count(string(doc), "| [`"); n != len(files) {
		t.Errorf("docs/traceql.md leads to %d files; there are %d", n, len(files))
	}
}
