package traceql

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

func attribute(s Scope, key string) *FieldRef { return &FieldRef{Field: Field{Scope: s, Key: key}} }

// TestTree compares whole trees: the form that an executor works with.
func TestTree(t *testing.T) {
	duration := &FieldRef{Field: Field{Scope: ScopeIntrinsic, Intrinsic: SpanDuration}, Short: true}
	seconds := func(n int64) *Const { return &Const{Kind: TypeDuration, Value: trace.Int(n * 1e9)} }
	for _, c := range []struct {
		text string
		want *Query
	}{
		{`{ resource.service.name = "a" && 2s < duration }`, &Query{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &Binary{
			Op: OpAnd,
			X:  &Binary{Op: OpEqual, X: attribute(ScopeResource, "service.name"), Y: &Const{Kind: TypeString, Value: trace.String("a")}},
			Y:  &Binary{Op: OpGreater, X: duration, Y: seconds(2)},
		}}}}}},
		{"{ parent.a =~ `a|b` || event:name = nil || kind = [server, client] }", &Query{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &Binary{
			Op: OpOr,
			X: &Binary{
				Op: OpOr,
				X: &Match{
					X:        &FieldRef{Field: Field{Parent: true, Key: "a"}},
					Patterns: []Pattern{{Text: "a|b", Re: regexp.MustCompile(`\A(?s:a|b)\z`)}},
				},
				Y: &IsNil{X: &FieldRef{Field: Field{Scope: ScopeIntrinsic, Intrinsic: EventName}}},
			},
			Y: &In{
				X:    &FieldRef{Field: Field{Scope: ScopeIntrinsic, Intrinsic: SpanKind}, Short: true},
				Kind: TypeKind, Values: []trace.Value{trace.Int(int64(trace.KindServer)), trace.Int(int64(trace.KindClient))},
			},
		}}}}}},
		{`explain { } !>> { .a } && not exists { } | 1 < count() | order by duration asc with (exemplars=5)`, &Query{
			Explain: true,
			Search: &Pipeline{Stages: []Stage{
				&Combine{
					X: &Combine{Relation: Descendant, Not: true, X: &Filter{}, Y: &Filter{
						Cond: &Binary{Op: OpEqual, X: attribute(ScopeAny, "a"), Y: &Const{Kind: TypeBool, Value: trace.Bool(true)}},
					}},
					Y: &Absent{X: &Filter{}},
				},
				&ScalarFilter{Op: OpGreater, X: &Aggregate{}, Y: &Const{Kind: TypeInt, Value: trace.Int(1)}},
			}},
			Order: &Order{Key: ByDuration, Asc: true},
			Hints: []Hint{{Name: "exemplars", Value: &Const{Kind: TypeInt, Value: trace.Int(5)}}},
		}},
		{`({ } | quantile_over_time(duration, .5) by (.a) > 1s) * 2 | bottomk(3)`, &Query{Metrics: &Top{
			Bottom: true, N: 3,
			X: &SeriesOp{
				Op: OpMul,
				X: &Threshold{Op: OpGreater, Value: seconds(1), X: &Metrics{
					Pipeline: &Pipeline{Stages: []Stage{&Filter{}}},
					Func:     QuantileOverTime, Of: duration, Quantiles: []float64{0.5}, By: []*FieldRef{attribute(ScopeAny, "a")},
				}},
				Y: &Const{Kind: TypeInt, Value: trace.Int(2)},
			},
		}}},
		{`{ .a - 1 > duration * 2 }`, &Query{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &Binary{
			Op: OpGreater,
			X:  &Binary{Op: OpSub, Kind: TypeNumber, X: attribute(ScopeAny, "a"), Y: &Const{Kind: TypeInt, Value: trace.Int(1)}},
			Y:  &Binary{Op: OpMul, Kind: TypeDuration, X: duration, Y: &Const{Kind: TypeInt, Value: trace.Int(2)}},
		}}}}}},
	} {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if d := cmp.Diff(c.want, got, sameTree); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.text, d)
		}
	}
}

// TestPositions says where nodes stand.
func TestPositions(t *testing.T) {
	q, err := Parse("{ .a = 1 } | { span:name =~ \"x\" } | count() > 2")
	if err != nil {
		t.Fatal(err)
	}
	first := q.Search.Stages[0].(*Filter)
	match := q.Search.Stages[1].(*Filter).Cond.(*Match)
	count := q.Search.Stages[2].(*ScalarFilter)
	got := []int{q.Search.At, first.Pos(), first.Cond.Pos(), first.Cond.(*Binary).Y.Pos(), match.Pos(), match.X.Pos(), match.Patterns[0].At, count.Pos(), count.X.Pos()}
	if d := cmp.Diff([]int{0, 0, 5, 7, 25, 15, 28, 44, 36}, got); d != "" {
		t.Error(d)
	}
}

// TestCheck builds trees without text, as a dialect does.
func TestCheck(t *testing.T) {
	q := &Query{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &Binary{
		Op: OpAnd, X: attribute(ScopeSpan, "a b"),
		Y: &Match{X: attribute(ScopeAny, "b"), Patterns: []Pattern{{Text: `\d+`}}},
	}}}}}
	if err := Check(q); err != nil {
		t.Fatal(err)
	}
	if got, want := q.String(), "{ span.\"a b\" = true && .b =~ `\\d+` }"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	m := q.Search.Stages[0].(*Filter).Cond.(*Binary).Y.(*Match)
	if !m.Patterns[0].Re.MatchString("123") || m.Patterns[0].Re.MatchString("1x") {
		t.Errorf("%s is not anchored", m.Patterns[0].Re)
	}
	for _, bad := range []*Query{
		{Search: &Pipeline{Stages: []Stage{&Coalesce{}}}},
		{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &In{X: attribute(ScopeAny, "a")}}}}},
		{Search: &Pipeline{Stages: []Stage{&Filter{Cond: &Match{X: attribute(ScopeAny, "a")}}}}},
		{Search: &Pipeline{Stages: []Stage{&Filter{}}}, Hints: []Hint{{Name: "x", Value: &Const{Kind: TypeBool}}}},
	} {
		if err := Check(bad); trace.KindOf(err) != trace.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestParseFilter(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "{ }": "", "{}": "", " { .a = 1 } ": ".a = 1", ".a = 1 && true": ".a = 1", "{ .a }": ".a = true",
	} {
		e, err := ParseFilter(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if e == nil && want != "" || e != nil && e.String() != want {
			t.Errorf("%q: %v, want %q", text, e, want)
		}
	}
	for text, want := range map[string]string{
		"{ .a = 1 } | count() > 1": `line 1, column 12: expected the end of the filter, found "|"`,
		"{ name }":                 "line 1, column 3: expected a condition, found name, which is a string; compare it with something",
		".a = ":                    "line 1, column 6: expected a field or a value, found the end of the query",
	} {
		if _, err := ParseFilter(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestWalk says which fields of a large expression are met, and that one may stop on the way.
func TestWalk(t *testing.T) {
	e, err := ParseFilter(`.a = 1 && .b =~ "x" || !(-.c > 1 && .d = nil) && .e + .f > 2 && name = ["a"]`)
	if err != nil {
		t.Fatal(err)
	}
	walk := func(into func(Expr) bool) (fields []string) {
		Walk(e, func(e Expr) bool {
			if f, ok := e.(*FieldRef); ok {
				fields = append(fields, f.String())
			}
			return into(e)
		})
		return fields
	}
	if d := cmp.Diff([]string{".a", ".b", ".c", ".d", ".e", ".f", "name"}, walk(func(Expr) bool { return true })); d != "" {
		t.Error(d)
	}
	notUnary := func(e Expr) bool { _, ok := e.(*Unary); return !ok }
	if d := cmp.Diff([]string{".a", ".b", ".e", ".f", "name"}, walk(notUnary)); d != "" {
		t.Error(d)
	}
	Walk(nil, func(Expr) bool { t.Error("nothing was visited"); return true })
}

func TestMany(t *testing.T) {
	for f, want := range map[Field]bool{
		{Scope: ScopeIntrinsic, Intrinsic: TraceDuration}: false,
		{Scope: ScopeIntrinsic, Intrinsic: EventName}:     true,
		{Scope: ScopeLink, Key: "a"}:                      true,
		{Scope: ScopeResource, Key: "a"}:                  false,
	} {
		if f.Many() != want {
			t.Errorf("%s: %v", f, f.Many())
		}
	}
}

// TestStrings has patterns that are lists of texts, and such that are none.
func TestStrings(t *testing.T) {
	for pattern, want := range map[string][]string{
		"GET": {"GET"}, "GET|POST": {"GET", "POST"}, "us-(east|west)-[12]": {"us-east-1", "us-east-2", "us-west-1", "us-west-2"},
		"a?b": {"ab", "b"}, "": {""}, "(a|ab)(c)": {"ac", "abc"}, `a\.b`: {"a.b"},
		"^a$": {"a"}, "^(a|b)$": {"a", "b"}, "^a": {"a"}, "a$": {"a"}, "^$": {""}, "^": {""}, "a^b": nil, "(^a|b)": nil,
		"a.*": nil, "a+": nil, "(?i)get": nil, "[a-z]{9}": nil, `\pL`: nil, ".": nil,
	} {
		p := Pattern{Text: pattern}
		if got, ok := p.Strings(); ok != (want != nil) || ok && cmp.Diff(want, got) != "" {
			t.Errorf("%q: %q, %v; want %q", pattern, got, ok, want)
		}
	}
}
