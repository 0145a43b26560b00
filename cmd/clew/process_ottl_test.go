package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/clewtrace/clew/trace"
)

// stepOf loads the one step of a chain from the keys that it has beside its kind.
func stepOf(t *testing.T, kind, keys string) (*config, error) {
	t.Helper()
	file := "process:\n  steps:\n    - kind: " + kind + "\n      " + strings.ReplaceAll(strings.TrimSpace(keys), "\n", "\n      ") + "\n"
	c, _, err := loaded(t, file, nil)
	if err == nil {
		err = c.validate()
	}
	return c, err
}

// TestAsTheCollector holds the steps transform and filter against what the Collector's processors of these names make of the same
// configuration, as test/ottl wrote it down.
func TestAsTheCollector(t *testing.T) {
	raw, err := os.ReadFile("../../test/ottl/testdata/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Name, Kind, Config string }
	if err := yaml.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	var known struct {
		Input    json.RawMessage
		Expected map[string]json.RawMessage
	}
	if raw, err = os.ReadFile("../../test/ottl/testdata/expected.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &known); err != nil {
		t.Fatal(err)
	}
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			c, err := stepOf(t, test.Kind, test.Config)
			if err != nil {
				t.Fatal(err)
			}
			var failed struct{ Error string }
			if err := json.Unmarshal(known.Expected[test.Name], &failed); err != nil {
				t.Fatal(err)
			}
			var b trace.Batch
			if err := b.Index(binary(t, known.Input), trace.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			err = c.chain[0].Step.Process(t.Context(), &b)
			if failed.Error != "" {
				if err == nil {
					t.Errorf("no error; the Collector's is %s", failed.Error)
				}
				return
			}
			if diff := cmp.Diff(binary(t, known.Expected[test.Name]), b.Raw); diff != "" {
				if diff := cmp.Diff(indented(t, binary(t, known.Expected[test.Name])), indented(t, b.Raw)); diff != "" {
					t.Errorf("(-Collector +Clew):\n%s", diff)
				}
			}
		})
	}
}

// binary returns traces in JSON as protobuf.
func binary(t *testing.T, in []byte) []byte {
	t.Helper()
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func indented(t *testing.T, in []byte) any {
	t.Helper()
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOTTLErrors: a statement that cannot be parsed stops the start, with file, line, key and OTTL's message.
func TestOTTLErrors(t *testing.T) {
	for _, c := range []struct{ kind, keys, want string }{
		{"transform", "trace_statements:\n  - set(span.name, \"x\")\n  - sett(span.name, \"x\")", `clew.yaml:6: process.steps[0].trace_statements[1]: `},
		{"transform", "trace_statements:\n  - context: span\n    statements:\n      - set(name, \"x\")\n      - set(nam, \"x\")", `clew.yaml:8: process.steps[0].trace_statements[0].statements[1]: `},
		{"transform", "trace_statements:\n  - set(span.name, \"x\")\n  - set(spanevent.name, \"x\") where IsRootSpan()", `clew.yaml:6: process.steps[0].trace_statements[1]: `},
		{"transform", "trace_statements:\n  - context: log\n    statements: [x]", `clew.yaml:5: process.steps[0].trace_statements[0].context: "log" is not one of`},
		{"transform", "trace_statements:\n  - context: span", `clew.yaml:5: process.steps[0].trace_statements[0]: is empty; want statements`},
		{"transform", "trace_statements: set(span.name, \"x\")", `clew.yaml:4: process.steps[0].trace_statements: "set(span.name, \"x\")" is one text`},
		{"transform", "name: x", `clew.yaml:3: process.steps[0].trace_statements: there are none`},
		{"filter", "trace_conditions:\n  - span.name = \"x\"", `clew.yaml:5: process.steps[0].trace_conditions[0]: 1:11: condition has invalid syntax`},
		{"filter", "traces:\n  span:\n    - name == \"x\"\n    - nam == \"x\"", `clew.yaml:7: process.steps[0].traces.span[1]: `},
		{"filter", "name: x", `clew.yaml:3: process.steps[0].trace_conditions: there are none`},
	} {
		_, err := stepOf(t, c.kind, c.keys)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v\nwant %s", c.keys, err, c.want)
		}
	}
}

// TestStepsPrinted: what --print-config prints of steps of each kind is read again as the same.
func TestStepsPrinted(t *testing.T) {
	file := `process:
  steps:
    - kind: transform
      trace_statements:
        - context: span
          error_mode: silent
          conditions: ['name == "a, b"']
          statements: ['set(attributes["x"], "\\d+")']
    - kind: filter
      trace_conditions: ['span.name == "x"', 'resource.attributes["a"] == "b"']
      traces: {span: ['name == "y"']}
    - kind: redact
      rules:
        - {keys: [password, "*token*"], action: drop}
        - {patterns: [email, jwt], regexps: ['\bsecret-\d+\b']}
      allowed_keys: ["*"]
      ignored_keys: [id]
      mask: ""
    - kind: rename
      ids: [number]
      with: ":n"
      original: span.name.original
      rules: [{match: '^a (\d)', replacement: 'b $1'}]
    - kind: resource
      insert: {k8s.cluster.name: prod}
      set: {"a b": 'c: "d"'}
      detect: [host]
    - kind: limit
      spans_per_second: 100
      bytes_burst: 10MiB
      rules: [{services: [a], spans_per_second: 5}]
`
	c, ss, err := loaded(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	again, ss2, err := loaded(t, ss.print(), nil)
	if err != nil {
		t.Fatalf("%s\n%v", ss.print(), err)
	}
	if err := again.validate(); err != nil {
		t.Fatal(err)
	}
	text, got := ss.find("process.steps").value.String(), ss2.find("process.steps").value.String()
	if text != got || len(again.chain) != 6 || !strings.Contains(text, `conditions: ["name == \"a, b\""]`) || !strings.Contains(text, `mask: ""`) {
		t.Errorf("printed %s\nread again %s", text, got)
	}
}

// TestKindErrors: what does not fit together in a step is told with the file, the line and the key.
func TestKindErrors(t *testing.T) {
	for _, c := range []struct{ kind, keys, want string }{
		{"redact", "mask: x", "clew.yaml:3: process.steps[0].rules: there are none"},
		{"redact", "rules:\n  - {keys: [a], action: hash}", "clew.yaml:3: process.steps[0].key_file: rules[0] hashes"},
		{"redact", "rules:\n  - {keys: [a], action: hash}\nkey_file: /nowhere/key", "clew.yaml:3: process.steps[0].key_file: open /nowhere/key"},
		{"redact", "rules:\n  - {patterns: [emale]}", `clew.yaml:5: process.steps[0].rules[0].patterns[0]: "emale" is no built-in pattern; want one of credit_card`},
		{"redact", "rules:\n  - regexps:\n      - (", `clew.yaml:6: process.steps[0].rules[0].regexps[0]: "(" is no regular expression`},
		{"rename", "ids: [numbers]", `clew.yaml:3: process.steps[0].ids: "numbers" is not one of number, uuid, hex, token`},
		{"rename", "rules:\n  - match: (", `clew.yaml:5: process.steps[0].rules[0].match: "(" is no regular expression`},
		{"resource", "detect: [cloud]", `clew.yaml:3: process.steps[0].detect: "cloud" is not one of env, host, kubernetes`},
		{"resource", "name: x", "clew.yaml:3: process.steps[0].attributes: are 0"},
		{"resource", "set:\n  a: ${env:CLEW_TEST_NOWHERE}", "clew.yaml:5: process.steps[0].set.a: "},
		{"limit", "per: service", "clew.yaml:3: process.steps[0].spans_per_second: is 0"},
		{"limit", "spans_per_second: 10\nspans_burst: 5", "clew.yaml:3: process.steps[0].spans_burst: "},
	} {
		_, err := stepOf(t, c.kind, c.keys)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v\nwant %s", c.keys, err, c.want)
		}
	}
}
