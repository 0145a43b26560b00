package main

import (
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	for _, c := range []struct{ want, got, diff string }{
		{`{"a": 1}`, `{"a": 1.0}`, ""},
		{`{"a": 1}`, `{"a": "1"}`, `a: got "1", want 1`},
		{`{"a": 1}`, `{"a": 1, "b": 2}`, "b: there is no such field, got 2"},
		{`{"a": 1, "<others>": true}`, `{"a": 1, "b": 2}`, ""},
		{`{"a": 1, "b": 2}`, `{"a": 1}`, "b: there is none, want 2"},
		{`{"a": 1, "b?": 2}`, `{"a": 1}`, ""},
		{`{"a": 1, "b?": 2}`, `{"a": 1, "b": 3}`, "b: got 3, want 2"},
		{`{"a": "<any>"}`, `{"a": null}`, ""},
		{`["<text>", "<number>", "<bool>", "<digits>"]`, `["x", 1, true, "12"]`, ""},
		{`["<text>"]`, `[1]`, `[0]: got 1, want "<text>"`},
		{`["<digits>"]`, `[12]`, `[0]: got 12`},
		{`"<like a*c>"`, `"abc"`, ""},
		{`"<like a*c>"`, `"abd"`, "the answer: got"},
		{`[1, 2]`, `[2, 1]`, "[0]: got 2, want 1"},
		{`["<any order>", 1, 2]`, `[2, 1]`, ""},
		{`["<any order>", 1, 2]`, `[2, 1, 3]`, "the answer: got 3 elements, want 2"},
		{`["<any order>", 1, 1]`, `[2, 1]`, "[1]: none of 2 is 1"},
		{`["<among others>", 1]`, `[2, 1, 3]`, ""},
		{`["<among others>", 4]`, `[2, 1, 3]`, "[0]: none of 3 is 4"},
		{`["<any order>", {"a": {"b": 1}}]`, `[{"a": {"b": 2}}]`, "([0].a.b: got 2, want 1)"},
		{`{}`, `{} {}`, "not JSON: there is more behind its end"},
		{`null`, `[]`, "the answer: got [], want null"},
		{"a *, b", "a 1, b\n", ""},
		{"a *, b", "a 1, c", `got "a 1, c"`},
	} {
		if diff := compare(c.want, []byte(c.got)); c.diff == "" && diff != "" || !strings.Contains(diff, c.diff) {
			t.Errorf("%s of %s: %q; want %q", c.got, c.want, diff, c.diff)
		}
	}
}

func TestFill(t *testing.T) {
	o := occasion{"0123456789ab", time.Unix(1700000000, 0)}
	const text = `${run} ${s} ${ms+5ms} ${us-1h} ${ns+1s} ${rfc} ${rfc+5ms} ${east-1h} ${b64 ff${run}} {name} ${other}`
	const want = `0123456789ab 1700000000 1700000000005 1699996400000000 1700000001000000000 2023-11-14T22:13:20Z 2023-11-14T22:13:20.005Z 2023-11-14T23:13:20+02:00 /wEjRWeJqw== {name} ${other}`
	if got := o.fill(text); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                            "name what to ask",
		"-jaeger http://a":            "-jaeger needs -otlp",
		"-otlp http://a":              "name what to ask",
		"-zipkin http://a b":          "name what to ask",
		"-zipkin http://a -only (":    "error parsing regexp",
		"-zipkin http://127.0.0.1:1":  "connection refused",
		"-zipkin http://a -wait soon": "invalid value",
		"-otlp h -jaeger h -spam":     "not defined",
	} {
		if err := command(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", args, err, want)
		}
	}
}
