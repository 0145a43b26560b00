package trace

import "testing"

// full is a span with something for every field of a condition.
func full() *Span {
	return &Span{
		Name: "op", Kind: KindServer, Status: StatusError, Start: 100, End: 350,
		Attrs:    []Attr{{"http.status", Int(500)}, {"http.url", String("/x")}, {"both", String("span")}},
		Events:   []Event{{Name: "retry", Attrs: []Attr{{"attempt", Int(2)}}}},
		Resource: &Resource{Attrs: []Attr{{"service.name", String("cart")}, {"both", String("resource")}}},
		Scope:    &Scope{},
	}
}

func TestCondMatch(t *testing.T) {
	attr := func(key string, op Op, v Value) Cond { return newCond(FieldAttr, key, op, v) }
	for name, c := range map[string]struct {
		cond Cond
		want bool
	}{
		"service":                      {newCond(FieldService, "", OpEqual, String("cart")), true},
		"other service":                {newCond(FieldService, "", OpEqual, String("shop")), false},
		"name":                         {newCond(FieldName, "", OpEqual, String("op")), true},
		"kind":                         {newCond(FieldKind, "", OpEqual, Int(int64(KindServer))), true},
		"status":                       {newCond(FieldStatus, "", OpEqual, Int(int64(StatusOK))), false},
		"duration at least":            {newCond(FieldDuration, "", OpGreaterEqual, Int(250)), true},
		"duration more":                {newCond(FieldDuration, "", OpGreaterEqual, Int(251)), false},
		"duration at most":             {newCond(FieldDuration, "", OpLessEqual, Int(250)), true},
		"number as text":               {attr("http.status", OpText, String("500")), true},
		"number as string is no match": {attr("http.status", OpEqual, String("500")), false},
		"number":                       {attr("http.status", OpEqual, Int(500)), true},
		"number at least":              {attr("http.status", OpGreaterEqual, Int(400)), true},
		"string at least":              {attr("http.url", OpGreaterEqual, Int(0)), false},
		"exists":                       {attr("http.url", OpExists, Value{}), true},
		"exists not":                   {attr("http", OpExists, Value{}), false},
		"span's":                       {attr("both", OpText, String("span")), true},
		"resource's":                   {attr("both", OpText, String("resource")), true},
		"an event is no attribute":     {attr("attempt", OpExists, Value{}), false},
		"event's name":                 {newCond(FieldEvent, "", OpEqual, String("retry")), true},
		"event's attribute":            {newCond(FieldEvent, "attempt", OpText, String("2")), true},
		"tag of span":                  {newCond(FieldTag, "http.url", OpText, String("/x")), true},
		"tag of resource":              {newCond(FieldTag, "service.name", OpText, String("cart")), true},
		"tag of event":                 {newCond(FieldTag, "attempt", OpText, String("2")), true},
		"mark of span":                 {newCond(FieldMark, "http.url", OpExists, Value{}), true},
		"mark of event":                {newCond(FieldMark, "retry", OpExists, Value{}), true},
	} {
		if got := c.cond.Match(full()); got != c.want {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
}

// TestScanMatch: all conditions of an element hold on one span, elements may be met by different ones.
func TestScanMatch(t *testing.T) {
	a, b := full(), full()
	b.Name, b.Start, b.Kind = "other", 900, KindClient
	tr := &Trace{Spans: []Span{*a, *b}}
	name := func(s string) Cond { return newCond(FieldName, "", OpEqual, String(s)) }
	kind := func(k Kind) Cond { return newCond(FieldKind, "", OpEqual, Int(int64(k))) }
	for i, c := range []struct {
		sc   Scan
		want bool
	}{
		{Scan{}, true},
		{Scan{Range: Range{From: 101, To: 899}}, false},
		{Scan{Range: Range{From: 101}}, true},
		{Scan{Spans: [][]Cond{{name("op"), kind(KindServer)}}}, true},
		{Scan{Spans: [][]Cond{{name("op"), kind(KindClient)}}}, false},
		{Scan{Spans: [][]Cond{{name("op")}, {kind(KindClient)}}}, true},
		{Scan{Range: Range{To: 100}, Spans: [][]Cond{{name("op")}, {kind(KindClient)}}}, false},
		{Scan{Spans: [][]Cond{{name("none")}}}, false},
	} {
		if got := c.sc.Match(tr); got != c.want {
			t.Errorf("%d: %v; want %v", i, got, c.want)
		}
	}
	if (&Scan{}).Match(&Trace{}) {
		t.Error("a trace without spans matches")
	}
}

func TestPosition(t *testing.T) {
	newer, older, next := Position{Start: 9, ID: ID{1}}, Position{Start: 5, ID: ID{1}}, Position{Start: 5, ID: ID{2}}
	if !newer.Precedes(older) || older.Precedes(newer) || !older.Precedes(next) || next.Precedes(older) || older.Precedes(older) {
		t.Error("positions are in the wrong order")
	}
	if !(Position{}).IsZero() || newer.IsZero() {
		t.Error("the zero position is not told from others")
	}
}

func TestRange(t *testing.T) {
	r := Range{From: 10, To: 20}
	for v, want := range map[uint64]bool{9: false, 10: true, 20: true, 21: false} {
		if r.Contains(v) != want {
			t.Errorf("%d: %v", v, !want)
		}
	}
	if !r.Overlaps(1, 10) || !r.Overlaps(20, 30) || !r.Overlaps(1, 90) || r.Overlaps(1, 9) || r.Overlaps(21, 30) || !(Range{}).Overlaps(0, 0) {
		t.Error("ranges overlap wrongly")
	}
}

func newCond(f Field, key string, op Op, v Value) Cond {
	return Cond{Field: f, Key: key, Op: op, Value: v}
}

// TestCondScopes: an attribute may be asked for of the span or of its resource alone, for one of several values, and by a test.
func TestCondScopes(t *testing.T) {
	s := full()
	s.Attrs = append(s.Attrs, Attr{"list", Array(String("a"), Int(2))})
	for name, c := range map[string]struct {
		cond Cond
		want bool
	}{
		"span's":             {Cond{Field: FieldAttr, Scope: ScopeSpan, Key: "both", Op: OpEqual, Value: String("span")}, true},
		"span's, not":        {Cond{Field: FieldAttr, Scope: ScopeSpan, Key: "both", Op: OpEqual, Value: String("resource")}, false},
		"resource's":         {Cond{Field: FieldAttr, Scope: ScopeResource, Key: "both", Op: OpEqual, Value: String("resource")}, true},
		"resource's, not":    {Cond{Field: FieldAttr, Scope: ScopeResource, Key: "both", Op: OpEqual, Value: String("span")}, false},
		"one of":             {Cond{Field: FieldAttr, Key: "http.status", Op: OpAny, Values: []Value{Int(404), Int(500)}}, true},
		"none of":            {Cond{Field: FieldAttr, Key: "http.status", Op: OpAny, Values: []Value{Int(404), String("500")}}, false},
		"element of a list":  {Cond{Field: FieldAttr, Key: "list", Op: OpAny, Values: []Value{Int(2)}}, true},
		"no element":         {Cond{Field: FieldAttr, Key: "list", Op: OpAny, Values: []Value{Int(3)}}, false},
		"tested":             {Cond{Field: FieldAttr, Key: "http.status", Op: OpTest, Test: func(v Value) bool { return v.Int() > 400 }}, true},
		"tested, not":        {Cond{Field: FieldAttr, Key: "http.status", Op: OpTest, Test: func(v Value) bool { return v.Int() > 500 }}, false},
		"missing, no test":   {Cond{Field: FieldAttr, Key: "none", Op: OpTest, Test: func(Value) bool { return true }}, false},
		"tested, an event's": {Cond{Field: FieldEvent, Key: "attempt", Op: OpTest, Test: func(v Value) bool { return v.Int() == 2 }}, true},
	} {
		if got := c.cond.Match(s); got != c.want {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
}

// TestScanAny: one of the alternatives is enough, and comes on top of Spans.
func TestScanAny(t *testing.T) {
	tr := &Trace{Spans: []Span{*full()}}
	yes, no := []Cond{newCond(FieldName, "", OpEqual, String("op"))}, []Cond{newCond(FieldName, "", OpEqual, String("other"))}
	for name, c := range map[string]struct {
		sc   Scan
		want bool
	}{
		"one":          {Scan{Any: [][]Cond{yes}}, true},
		"none":         {Scan{Any: [][]Cond{no}}, false},
		"the second":   {Scan{Any: [][]Cond{no, yes}}, true},
		"out of range": {Scan{Any: [][]Cond{no, yes}, Range: Range{From: 101}}, false},
		"with Spans":   {Scan{Any: [][]Cond{no, yes}, Spans: [][]Cond{no}}, false},
		"both":         {Scan{Any: [][]Cond{no, yes}, Spans: [][]Cond{yes}}, true},
	} {
		if got := c.sc.Match(tr); got != c.want {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
}
