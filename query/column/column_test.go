package column

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clewtrace/clew/query/eval"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// spans is columns of spans that have their shape in common.
type spans []trace.Span

func (s spans) Numbers(c trace.NumberColumn) (out []uint64, _ error) {
	is := func(yes bool) uint64 {
		if yes {
			return 1
		}
		return 0
	}
	for i := range s {
		out = append(out, [...]uint64{
			trace.StartColumn: s[i].Start, trace.DurationColumn: uint64(s[i].Duration()), trace.ResourceColumn: uint64(slices.Index(resources, s[i].Resource)),
			trace.RootColumn: is(s[i].Parent.IsZero()), trace.TraceRootColumn: rootNumber(&s[i]), trace.PlainColumn: is(len(s[i].Events) == 0 && s[i].StatusMessage == ""),
		}[c])
	}
	return out, nil
}

// roots are those of the rows' traces, which have no other spans.
var roots = []*trace.Span{nil, {Name: "op1", Resource: resources[0]}, {Name: "op2", Resource: resources[1]}}

func rootNumber(s *trace.Span) uint64 { return uint64(s.TraceID[1]) % 3 }

// contextOf returns a row's trace.
func contextOf(s trace.Span) *eval.Context {
	t := &trace.Trace{Spans: []trace.Span{s}}
	if r := roots[rootNumber(&s)]; r != nil {
		t.Spans = append(t.Spans, *r)
	}
	t.Spans[0].Parent = trace.SpanID{9}
	return eval.NewContext(t)
}

func (s spans) IDs(row int) (trace.ID, trace.SpanID) { return s[row].TraceID, s[row].ID }

func (s spans) Span(row int, out *trace.Span) error {
	*out = s[row]
	return nil
}

func (s spans) Value(k, row int) (trace.Value, error) { return s[row].Attrs[k].Value, nil }

// Attr returns texts in one of the forms that fit.
func (s spans) Attr(k int) (c trace.Column, _ error) {
	var values []string
	for i := range s {
		v := s[i].Attrs[k].Value
		switch v.Type() {
		case trace.TypeBool, trace.TypeInt, trace.TypeDouble:
			c.Nums = append(c.Nums, v.Bits())
			continue
		}
		n := slices.Index(values, v.Str())
		if n < 0 || k == 1 { // a value for each row
			n = len(values)
			values = append(values, v.Str())
		}
		c.Texts.Index = append(c.Texts.Index, uint16(n))
	}
	for _, v := range values {
		c.Texts.Data = append(c.Texts.Data, v...)
		c.Texts.Ends = append(c.Texts.Ends, uint32(len(c.Texts.Data)))
	}
	switch {
	case c.Nums == nil && len(values) == 1:
		c.Texts.Ends, c.Texts.Index = nil, nil
	case len(values) == len(s):
		c.Texts.Index = nil
	}
	return c, nil
}

var resources = []*trace.Resource{
	{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("cart")}, {Key: "replicas", Value: trace.Int(3)}}},
	{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "color", Value: trace.String("blue")}}},
	{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("cart")}, {Key: "size", Value: trace.Double(2.5)}}},
	{},
}

var scope = &trace.Scope{Name: "lib", Version: "1", Attrs: []trace.Attr{{Key: "fast", Value: trace.Bool(true)}}}

func randomValue(r *rand.Rand, typ trace.ValueType) trace.Value {
	switch typ {
	case trace.TypeBool:
		return trace.Bool(r.IntN(2) == 0)
	case trace.TypeInt:
		return trace.Int(r.Int64N(5))
	case trace.TypeDouble:
		return trace.Double([]float64{0, 2.5, 3, math.NaN(), -1}[r.IntN(5)])
	case trace.TypeArray:
		return trace.Array(trace.Int(r.Int64N(4)), trace.String("red"))
	case trace.TypeEmpty:
		return trace.Value{}
	}
	return trace.String([]string{"red", "blue", "", "green apple", "3"}[r.IntN(5)])
}

// randomTable returns a table and its spans.
func randomTable(r *rand.Rand) (*trace.Table, spans) {
	t := &trace.Table{
		Rows: 1 + r.IntN(30), Name: fmt.Sprint("op", r.IntN(3)), Kind: trace.Kind(r.IntN(6)), Status: trace.StatusCode(r.IntN(3)), Scope: scope,
		Resources: resources, Roots: roots, Wide: r.IntN(5) == 0,
	}
	for range r.IntN(5) {
		typ := []trace.ValueType{trace.TypeString, trace.TypeBool, trace.TypeInt, trace.TypeDouble, trace.TypeArray, trace.TypeEmpty, trace.TypeString}[r.IntN(7)]
		t.Attrs = append(t.Attrs, trace.TableAttr{Key: []string{"color", "size", "ok", "color"}[r.IntN(4)], Type: typ})
	}
	one := r.IntN(len(resources))
	var rows spans
	for i := range t.Rows {
		s := trace.Span{
			TraceID: trace.ID{1: byte(i)}, ID: trace.SpanID{0: 1, 7: byte(i)}, Name: t.Name, Kind: t.Kind, Status: t.Status, Scope: scope,
			Start: 1000, End: 1000 + r.Uint64N(4)*1_000_000, Resource: resources[one],
		}
		if t.Kind != trace.KindServer {
			s.Resource = resources[r.IntN(len(resources))]
		}
		s.Parent = trace.SpanID{9}
		for _, a := range t.Attrs {
			s.Attrs = append(s.Attrs, trace.Attr{Key: a.Key, Value: randomValue(r, a.Type)})
		}
		if t.Wide && r.IntN(2) == 0 {
			s.Name, s.Attrs = "wide", []trace.Attr{{Key: "size", Value: randomValue(r, trace.TypeInt)}}
		}
		if r.IntN(6) == 0 {
			s.Events = []trace.Event{{Time: 1500, Name: "retry", Attrs: []trace.Attr{{Key: "n", Value: trace.Int(r.Int64N(3))}}}}
			s.StatusMessage = "broken"
		}
		rows = append(rows, s)
	}
	if t.Wide {
		t.Name, t.Attrs = "", nil
	}
	t.Columns = rows
	return t, rows
}

var atoms = []string{
	`.color = "red"`, `.color != "red"`, `span.color =~ "r.*|blue"`, `span.color !~ "b.*"`, `resource.color = "blue"`, `.size > 2`, `.size = 2.5`, `.size = nil`, `span.size != nil`,
	`resource.service.name = "cart"`, `resource.service.name != "cart"`, `.service.name = ["cart", "x"]`, `name = "op1"`, `name =~ "op.|wide"`, `kind = server`, `status != error`,
	`duration > 1ms`, `duration = 0s`, `.ok`, `!.ok`, `.size + 1 > 3`, `.size = resource.replicas`, `span.color = resource.color`, `event:name = "retry"`, `event.n > 0`,
	`event:timeSinceStart = 500ns`, `statusMessage = "broken"`, `nestedSetParent < 0`, `instrumentation:name = "lib"`, `instrumentation.fast`, `span:id = "0100000000000005"`,
	`trace:id != "00000000000000000000000000000000"`, `duration > 1ms * .size`, `true`, `.color = ["red", "3"]`, `span:parentID != "0100000000000000"`,
	`rootName = "op1"`, `trace:rootService != "shop"`, `rootName = .color`, `rootName =~ ".*1" && event.n > 0`,
}

func randomCondition(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return atoms[r.IntN(len(atoms))]
	}
	x, y := randomCondition(r, depth-1), randomCondition(r, depth-1)
	switch r.IntN(5) {
	case 0:
		return "!(" + x + ")"
	case 1, 2:
		return "(" + x + ") || (" + y + ")"
	}
	return "(" + x + ") && (" + y + ")"
}

// TestSelect: on random tables, random conditions select the rows that eval's do of the spans, one by one.
func TestSelect(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20_000 {
		text := randomCondition(r, 2)
		e, err := traceql.ParseFilter("{" + text + "}")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		c, ok := Compile(e)
		if !ok {
			t.Fatalf("%s is not asked of single spans", text)
		}
		table, rows := randomTable(r)
		got, err := c.Select(table)
		if err != nil {
			t.Fatal(err)
		}
		want := eval.Compile(e)
		for row := range rows {
			if is := want.Match(contextOf(rows[row]).At(0)); got.Has(row) != is && !strings.Contains(text, "nestedSet") {
				t.Fatalf("seed %d: %s of row %d is %v; want %v: %+v", seed, text, row, got.Has(row), is, rows[row])
			}
		}
	}
}

// TestValues: fields that are read by columns are those of the spans.
func TestValues(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 5000 {
		text := []string{".color", "span.size", "resource.service.name", "name", "kind", "status", "duration", "event.n", ".size", "statusMessage", "span:id", ".ok", "rootName", "rootServiceName"}[r.IntN(14)]
		e, err := traceql.ParseFilter("{" + text + " = nil}")
		if err != nil {
			t.Fatal(err)
		}
		field := e.(*traceql.IsNil).X.(*traceql.FieldRef).Field
		f, ok := Read(field)
		if !ok {
			t.Fatalf("%s is not of single spans", text)
		}
		table, rows := randomTable(r)
		some := Rows{Is: make([]bool, table.Rows)}
		for i := range some.Is {
			some.Is[i] = r.IntN(4) > 0
		}
		if r.IntN(3) == 0 {
			some = all
		}
		values, err := f.Values(table, some)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := f.Numbers(table, some)
		if err != nil {
			t.Fatal(err)
		}
		for row := range rows {
			if !some.Has(row) {
				continue
			}
			want := eval.Fielder(field)(contextOf(rows[row]).At(0))
			if got := values.List[values.At(row)]; got.Key() != want.Key() {
				t.Fatalf("seed %d: %s of row %d is %v; want %v", seed, text, row, got.Text(), want.Text())
			}
			if x, ok := want.Float(); ok != !math.IsNaN(numbers[row]) || ok && x != numbers[row] {
				t.Fatalf("seed %d: %s of row %d is %v; want %v", seed, text, row, numbers[row], want.Text())
			}
		}
	}
}

// TestTally: rows are counted by their value and place as if one by one.
func TestTally(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	for range 5000 {
		text := []string{"span.color", "span.size", "span.ok", "resource.service.name", "name", "duration", "statusMessage", "span:id", "rootName"}[r.IntN(9)]
		e, err := traceql.ParseFilter("{" + text + " = nil}")
		if err != nil {
			t.Fatal(err)
		}
		field := e.(*traceql.IsNil).X.(*traceql.FieldRef).Field
		f, _ := Read(field)
		table, rows := randomTable(r)
		places := &Places{Of: make([]int32, table.Rows), Rows: make([]int, 1+r.IntN(300))}
		want := map[string]int{}
		for row := range rows {
			places.Of[row] = int32(r.IntN(len(places.Rows)+1)) - 1
			if at := places.Of[row]; at >= 0 {
				places.Rows[at]++
				want[fmt.Sprint(at, " ", eval.Fielder(field)(contextOf(rows[row]).At(0)).Key())]++
			}
		}
		tally, err := f.Tally(table, places)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, n := range tally.Counts {
			if n.Rows > 0 {
				got[fmt.Sprint(n.Place, " ", tally.List[n.Value].Key())] += n.Rows
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d: %s: %v; want %v", seed, text, got, want)
		}
	}
}

// TestCount: what is counted in cells, and what in a map, is the same.
func TestCount(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p := &Places{Of: make([]int32, 3000), Rows: make([]int, 40)}
	index := make([]uint16, len(p.Of))
	for row := range index {
		p.Of[row], index[row] = int32(r.IntN(41))-1, uint16(r.IntN(1000))
	}
	dense, sparse := count(p, index, 1000), countSparse(p, index)
	if !slices.Equal(dense, sparse) || len(dense) < 1000 {
		t.Errorf("%d and %d counts differ", len(dense), len(sparse))
	}
}

// TestWholeTraces: what looks at more than a span is left to others.
func TestWholeTraces(t *testing.T) {
	for _, text := range []string{`parent.name = "x"`, `childCount > 1`, `trace:duration > 1s`, `nestedSetLeft > 1`, `!(nestedSetParent < 1)`, `nestedSetParent > 0`} {
		e, err := traceql.ParseFilter("{" + text + "}")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Compile(e); ok {
			t.Errorf("%s can be asked of single spans", text)
		}
	}
}
