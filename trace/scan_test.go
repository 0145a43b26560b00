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
	attr := func(key string, op Op, v Value) Cond { return Cond{FieldAttr, key, op, v} }
	for name, c := range map[string]struct {
		cond Cond
		want bool
	}{
		"service":                      {Cond{FieldService, "", OpEqual, String("cart")}, true},
		"other service":                {Cond{FieldService, "", OpEqual, String("shop")}, false},
		"name":                         {Cond{FieldName, "", OpEqual, String("op")}, true},
		"kind":                         {Cond{FieldKind, "", OpEqual, Int(int64(KindServer))}, true},
		"status":                       {Cond{FieldStatus, "", OpEqual, Int(int64(StatusOK))}, false},
		"duration at least":            {Cond{FieldDuration, "", OpGreaterEqual, Int(250)}, true},
		"duration more":                {Cond{FieldDuration, "", OpGreaterEqual, Int(251)}, false},
		"duration at most":             {Cond{FieldDuration, "", OpLessEqual, Int(250)}, true},
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
		"event's name":                 {Cond{FieldEvent, "", OpEqual, String("retry")}, true},
		"event's attribute":            {Cond{FieldEvent, "attempt", OpText, String("2")}, true},
		"tag of span":                  {Cond{FieldTag, "http.url", OpText, String("/x")}, true},
		"tag of resource":              {Cond{FieldTag, "service.name", OpText, String("cart")}, true},
		"tag of event":                 {Cond{FieldTag, "attempt", OpText, String("2")}, true},
		"mark of span":                 {Cond{FieldMark, "http.url", OpExists, Value{}}, true},
		"mark of event":                {Cond{FieldMark, "retry", OpExists, Value{}}, true},
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
	name := func(s string) Cond { return Cond{FieldName, "", OpEqual, String(s)} }
	kind := func(k Kind) Cond { return Cond{FieldKind, "", OpEqual, Int(int64(k))} }
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
