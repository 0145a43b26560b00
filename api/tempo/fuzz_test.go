package tempo

import (
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
