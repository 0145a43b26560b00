package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// printedAnswer returns the lines that an answer is for people.
func printedAnswer(t *testing.T, answer string) []string {
	t.Helper()
	ans := queryAnswer{}
	if err := json.Unmarshal([]byte(answer), &ans); err != nil {
		t.Fatal(err)
	}
	ans.Scanned.Complete = true
	var out strings.Builder
	if err := (&querier{out: &out}).print(&ans); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// TestPrintGroups prints by what a group is one, also where the spans below say so, and no blanks at the ends of lines.
func TestPrintGroups(t *testing.T) {
	got := printedAnswer(t, `{"traces": [{"traceId": "t1", "rootService": "shop", "rootName": "GET /", "start": "1000000000", "durationNs": 5000000, "spans": 2, "sets": [
		{"by": [{"name": "resource.service.name", "type": "string", "value": "db"}, {"name": "span:status", "type": "status", "value": "error"}], "matched": 1,
		 "spans": [{"spanId": "s1", "service": "db", "name": "SELECT", "status": "error", "durationNs": 4000000, "fields": []}]}]}]}`)
	want := []string{
		`by resource.service.name="db" span:status=error`,
		`db SELECT`,
	}
	for i, w := range want {
		if line := got[2+i]; !strings.HasSuffix(line, w) {
			t.Errorf("line %q; want %q at its end", line, w)
		}
	}
}

// TestPrintSeries prints a course in which what has no sample is left blank, so that those of all series are of the same time, and examples that take no
// room in the columns of numbers.
func TestPrintSeries(t *testing.T) {
	got := printedAnswer(t, `{"series": [
		{"labels": [{"name": "name", "type": "string", "value": "a"}], "samples": [{"time": "60", "value": 1}, {"time": "120", "value": 2}, {"time": "180", "value": 4}, {"time": "240", "value": 8}],
		 "exemplars": [{"time": "1000000000", "value": 7, "traceId": "t1", "spanId": "s1"}]},
		{"labels": [{"name": "name", "type": "string", "value": "b"}], "samples": [{"time": "60", "value": 5}, {"time": "240", "value": 5}]}]}`)
	want := []string{
		`MIN  MEAN  MAX  LAST  COURSE  SERIES`,
		`1    3.75  8    8     ▁▂▄█    {name="a"}`,
		`                                7 at ` + nanoseconds(1e9).String() + `: trace t1 span s1`,
		`5    5     5    5     █  █    {name="b"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPrintHostile prints answers whose texts, which whoever sends spans may choose, have in them what a terminal obeys.
func TestPrintHostile(t *testing.T) {
	const bad = `x\u001b[2J\ty\u009b`
	fields := `[{"name": "` + bad + `", "type": "string", "value": "` + bad + `"}, {"name": "n", "type": "array", "value": "` + bad + `"}]`
	span := `"service": "` + bad + `", "name": "` + bad + `", "spanId": "1", "start": "1", "fields": ` + fields
	label := func(side string) string {
		return `{"labels": [{"name": "__meta_type", "type": "string", "value": "` + side + `"}, {"name": "` + bad + `", "type": "array", "value": "` + bad + `"}], "samples": [{"time": "1", "value": 2}]}`
	}
	for name, answer := range map[string]string{
		"traces":     `{"traces": [{"traceId": "1", "rootService": "` + bad + `", "rootName": "` + bad + `", "start": "1", "sets": [{"by": ` + fields + `, "matched": 1, "spans": [{` + span + `}]}]}]}`,
		"spans":      `{"columns": ["` + bad + `", "n"], "spans": [{"traceId": "1", ` + span + `}]}`,
		"series":     `{"series": [{"labels": ` + fields + `, "samples": [{"time": "1", "value": 2}]}]}`,
		"comparison": `{"series": [` + label("selection") + `, ` + label("baseline_total") + `]}`,
	} {
		got := strings.Join(printedAnswer(t, answer), "\n")
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) || !strings.Contains(got, "x") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
