package main

import (
	"strings"
	"testing"
)

// FuzzFile checks that whatever a configuration file holds, it is taken or refused in one line that begins with its name, and that what
// was taken is printed so that it is read back as the same.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"store:\n  dir: x\n", "store: {dir: \"\\u00e9\", retention: 1d}\n", "a: [\n", "otlp:\n  cors_origins: [a, \"*\"]\n", "listen.query: \"[::1]:0\"\n", "&a [*a]\n", "? {}\n: x\n",
		"tenants: {list: {a: {retention: 1d}, b: {}}}\n", "tenants: {list: [a, b retention_bytes=1KiB]}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return
		}
		_, ss, err := loaded(t, s, nil)
		if err != nil {
			if !strings.Contains(err.Error(), "clew.yaml:") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		_, again, err := loaded(t, ss.print(), nil)
		if err != nil {
			t.Fatalf("%q: %v\n%s", s, err, ss.print())
		}
		for i := range ss {
			if got, want := again[i].value.String(), ss[i].value.String(); got != strings.ToValidUTF8(want, "\uFFFD") && got != want {
				t.Fatalf("%q: %s is %q, read back %q", s, ss[i].key, want, got)
			}
		}
	})
}
