package trace

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestValidTexts breaks each text of a span, one at a time: all else stays as it is, and where it is.
func TestValidTexts(t *testing.T) {
	const bad = "a\xffb"
	make := func(n int) []Span { // the nth text is broken
		i := -1
		text := func() string {
			if i++; i == n {
				return bad
			}
			return fmt.Sprint("text ", i)
		}
		attrs := func() []Attr { return []Attr{{text(), String(text())}, {"n", Int(1)}, {"b", Bytes([]byte(bad))}} }
		r := &Resource{Attrs: attrs(), SchemaURL: text()}
		sc := &Scope{Name: text(), Version: text(), Attrs: attrs(), SchemaURL: text()}
		s := Span{Name: text(), State: text(), StatusMessage: text(), Attrs: append(attrs(), Attr{"l", Array(String(text()), Map(attrs()...))}), Resource: r, Scope: sc}
		s.Events = []Event{{Name: text(), Attrs: attrs()}, {Name: "e"}}
		s.Links = []Link{{State: text(), Attrs: attrs()}}
		return []Span{s, {Name: "other", Resource: r, Scope: sc}}
	}
	const texts = 22
	for n := range texts + 1 {
		spans := make(n)
		before := fmt.Sprintf("%#v %#v %#v", spans, *spans[0].Resource, *spans[0].Scope)
		got := ValidTexts(spans)
		if after := fmt.Sprintf("%#v %#v %#v", spans, *spans[0].Resource, *spans[0].Scope); after != before {
			t.Fatalf("text %d: what was given is changed", n)
		}
		if got[0].Resource != got[1].Resource || got[0].Scope != got[1].Scope {
			t.Errorf("text %d: the resource or the scope is not shared any more", n)
		}
		raw := string(AppendTraces(nil, got))
		if n == texts {
			if &got[0] != &spans[0] {
				t.Error("spans were copied that are as they should be")
			}
			continue
		}
		if &got[0] == &spans[0] || strings.Count(raw, "a\uFFFDb") != 1 || !strings.Contains(fmt.Sprintf("%q", raw), `a\xffb`) {
			t.Errorf("text %d is not mended", n)
		}
		if rest := strings.ReplaceAll(fmt.Sprintf("%+v", got), bad, ""); !utf8.ValidString(rest) { // bytes aside
			t.Errorf("text %d: %s", n, rest)
		}
	}
}

// TestReplaceValues replaces values at all depths, and nothing else.
func TestReplaceValues(t *testing.T) {
	attrs := []Attr{{"a", Value{}}, {"list", Array(Value{}, Map(Attr{"b", Value{}}, Attr{"c", Int(1)}))}}
	spans := []Span{{Name: "\xff", Attrs: attrs, Resource: &Resource{Attrs: attrs}, Events: []Event{{Attrs: attrs}}}, {Name: "same"}}
	got := ReplaceValues(spans, func(v Value) (Value, bool) {
		if v.Type() == TypeEmpty {
			return String("x"), true
		}
		return v, false
	})
	const want = `["x",{"b":"x","c":1}]`
	for _, a := range [][]Attr{got[0].Attrs, got[0].Resource.Attrs, got[0].Events[0].Attrs} {
		if a[0].Value.Text() != "x" || a[1].Value.Text() != want {
			t.Errorf("%v", a)
		}
	}
	if got[0].Name != "\xff" || attrs[1].Value.Text() != `[null,{"b":null,"c":1}]` {
		t.Errorf("%v %v", got[0].Name, attrs)
	}
}
