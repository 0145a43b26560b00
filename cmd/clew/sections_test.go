package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type part struct {
	name  string
	names []string
	parts []part
}

func partSettings(p *part) settings {
	return settings{
		{key: "name", value: &text{&p.name}},
		{key: "names", value: &list{&p.names}},
		{key: "parts", value: &sections[part]{p: &p.parts, fresh: part{name: "inner"}, keys: partSettings}},
	}
}

// TestSections reads sections from a file and from text, and reads again what they print.
func TestSections(t *testing.T) {
	var got []part
	ss := settings{{key: "a.list", value: &sections[part]{p: &got, fresh: part{name: "outer"}, keys: partSettings}}}
	path := filepath.Join(t.TempDir(), "clew.yaml")
	read := func(yaml string) error {
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		return ss.loadFile(path)
	}
	if err := read("a:\n  list:\n    - name: \"x: y\"\n      names: [p, q]\n    - parts: [{}, {name: z}]\n"); err != nil {
		t.Fatal(err)
	}
	want := []part{{name: "x: y", names: []string{"p", "q"}}, {name: "outer", parts: []part{{name: "inner"}, {name: "z"}}}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(part{})); d != "" {
		t.Error(d)
	}
	text := ss[0].value.String()
	for range 2 {
		if err := ss[0].value.Set(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(part{})); d != "" || ss[0].value.String() != text {
			t.Errorf("%s, read again: %s\n%s", text, ss[0].value.String(), d)
		}
	}
	for yaml, message := range map[string]string{
		"a:\n  list:\n    - name: x\n      title: y\n":        "clew.yaml:4: there is no key a.list[0].title",
		"a:\n  list: {name: x}\n":                             "clew.yaml:2: a.list: want a list of sections, each of which begins with -",
		"a:\n  list:\n    - parts:\n        - name: [1, 2]\n": "clew.yaml:4: a.list[0].parts[0].name: is a list; want one value",
		"a:\n  list:\n    - text\n":                           "clew.yaml:3: a.list[0] is not a section of keys and values",
		"a:\n  list: '[{name: x}, {title: y}]'\n":             "clew.yaml:2: a.list: there is no key [1].title",
		"a:\n  list: text\n":                                  "clew.yaml:2: a.list: want a list of sections",
		"a:\n  list: '[{name: x'\n":                           "clew.yaml:2: a.list: \"[{name: x\" is not YAML",
	} {
		if err := read(yaml); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s gives %v; want %s", yaml, err, message)
		}
	}
	if err := ss[0].value.Set(""); err != nil || len(got) != 0 {
		t.Errorf("nothing gives %v, %v", got, err)
	}
}
