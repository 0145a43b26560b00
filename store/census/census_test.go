package census

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

func span(key string) ID { return ID{trace.ScopeSpan, key} }

// answer reads what was written.
func answer(t testing.TB, q trace.AttrQuery, raw ...[]byte) *trace.AttrStats {
	t.Helper()
	c := Ask(q)
	for _, r := range raw {
		if err := c.Merge(string(r)); err != nil {
			t.Fatal(err)
		}
	}
	return c.Answer()
}

var compareValues = gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

// TestAddUp counts in two, and reads both at once, merged into one, and merged again.
func TestAddUp(t *testing.T) {
	a, b := New(), New()
	for i, c := range []*Census{a, b, b} {
		c.Next()
		k := c.Key("cart", span("http.route"), 10)
		k.Value(trace.TypeString, []byte("/cart"), 7)
		k.Value(trace.TypeString, fmt.Appendf(nil, "/%d", i), 3)
		k = c.Key("shop", span("http.route"), 4)
		k.Attr(trace.Int(4), 4)
		k = c.Key("cart", ID{trace.ScopeResource, "host"}, 10)
		k.Attr(trace.Double(-0.5), 5)
		k.Attr(trace.Array(trace.Bool(true)), 5)
	}
	rawA, rawB := a.Append(nil), b.Append(nil)
	sum := New()
	for _, raw := range [][]byte{rawA, rawB} {
		if err := sum.Merge(string(raw)); err != nil {
			t.Fatal(err)
		}
	}
	both := sum.Append(nil)
	str, num := trace.TypeString, trace.TypeInt
	for _, x := range []struct {
		q    trace.AttrQuery
		want []trace.KeyStat
	}{
		{trace.AttrQuery{}, []trace.KeyStat{
			{Scope: trace.ScopeSpan, Key: "http.route", Types: []trace.ValueType{str, num}, Spans: 42, Distinct: 5, All: true},
			{Scope: trace.ScopeResource, Key: "host", Types: []trace.ValueType{trace.TypeDouble, trace.TypeArray}, Spans: 30, Distinct: 2, All: true},
		}},
		{trace.AttrQuery{Names: true}, []trace.KeyStat{
			{Scope: trace.ScopeSpan, Key: "http.route", Types: []trace.ValueType{str, num}, Spans: 42, All: true},
			{Scope: trace.ScopeResource, Key: "host", Types: []trace.ValueType{trace.TypeDouble, trace.TypeArray}, Spans: 30, All: true},
		}},
		{trace.AttrQuery{Service: "shop"}, []trace.KeyStat{{Scope: trace.ScopeSpan, Key: "http.route", Types: []trace.ValueType{num}, Spans: 12, Distinct: 1, All: true}}},
		{trace.AttrQuery{Scope: trace.ScopeSpan, Key: "http.route"}, []trace.KeyStat{{
			Scope: trace.ScopeSpan, Key: "http.route", Types: []trace.ValueType{str, num}, Spans: 42, Distinct: 5, All: true, Values: []trace.ValueStat{
				{Value: trace.String("/cart"), Spans: 21},
				{Value: trace.Int(4), Spans: 12},
				{Value: trace.String("/0"), Spans: 3},
				{Value: trace.String("/1"), Spans: 3},
				{Value: trace.String("/2"), Spans: 3},
			},
		}}},
		{trace.AttrQuery{Key: "nothing"}, []trace.KeyStat{}},
	} {
		for what, raws := range map[string][][]byte{"two": {rawA, rawB}, "merged": {both}} {
			if diff := gocmp.Diff(x.want, answer(t, x.q, raws...).Keys, compareValues); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", what, x.q, diff)
			}
		}
	}
	again := New()
	if err := again.Merge(string(both)); err != nil || string(again.Append(nil)) != string(both) {
		t.Errorf("read and written it is something else (%v)", err)
	}
}

// TestFrequentValues finds the values that repeat among a hundred thousand that do not, however they are spread.
func TestFrequentValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var raws [][]byte
	want := map[string]uint64{}
	for range 4 {
		c := New()
		k := c.Key("s", span("user"), 50_000)
		for i := range 50_000 {
			v := fmt.Sprint("user-", r.Uint64())
			if i%10 == 0 {
				v = fmt.Sprint("robot-", i%3)
				want[v]++
			}
			k.Value(trace.TypeString, []byte(v), 1)
		}
		raws = append(raws, c.Append(nil))
	}
	got := answer(t, trace.AttrQuery{Key: "user"}, raws...).Keys[0]
	if !got.Many || got.All || got.Distinct < 140_000 || got.Distinct > 220_000 {
		t.Errorf("%+v", got)
	}
	for i, v := range got.Values[:3] {
		n := want[v.Value.Str()]
		if v.Spans > n || v.Spans < n*9/10 {
			t.Errorf("value %d is %q with %d spans of %d", i, v.Value.Str(), v.Spans, n)
		}
	}
}

// TestNumbersRepeat counts a column of more different numbers than are kept, again and again: each time those that most rows have, the same bytes.
func TestNumbersRepeat(t *testing.T) {
	for _, different := range []int{200, 400} {
		var rows []uint64
		for i := range different {
			for range 1 + i%20 {
				rows = append(rows, uint64(i))
			}
		}
		var first []byte
		for range 20 {
			c := New()
			c.Next()
			var counter Counter
			counter.Numbers(c.Key("cart", span("items"), uint64(len(rows))), trace.TypeInt, rows, uint64(len(rows)))
			raw := c.Append(nil)
			if first == nil {
				first = raw
			}
			if !slices.Equal(first, raw) {
				t.Fatalf("%d numbers: not the same bytes each time", different)
			}
		}
		values := answer(t, trace.AttrQuery{Key: "items"}, first).Keys[0].Values
		if len(values) < maxSamples || values[0].Spans != 20 || values[maxSamples-1].Spans != 20 {
			t.Errorf("%d numbers: %v; want the most frequent first", different, values)
		}
	}
}

// TestSketch counts up to a million values.
func TestSketch(t *testing.T) {
	for n := 1; n <= 1_000_000; n *= 10 {
		var a, b sketch
		for i := range n {
			text := fmt.Sprint("order-", i)
			if i%2 == 0 {
				a.add(hash(trace.TypeString, text))
			} else {
				b.add(hash(trace.TypeString, []byte(text)))
			}
		}
		a.merge(&b)
		if got := float64(a.count()); got < 0.75*float64(n) || got > 1.25*float64(n) {
			t.Errorf("%d different values look like %.0f", n, got)
		}
	}
}

// TestBounds fills a census with keys, values and services that have no end.
func TestBounds(t *testing.T) {
	c := New()
	text := []byte(strings.Repeat("x", 1<<20))
	for i := range 200_000 {
		c.Next()
		k := c.Key(fmt.Sprint("service-", i%3), span(fmt.Sprint("key-", i)), 1)
		if k == nil {
			continue
		}
		for v := range 4 {
			binary.BigEndian.PutUint64(text, uint64(i*4+v))
			k.Value(trace.TypeString, text, 1)
			k.Value(trace.TypeArray, text, 1)
		}
		c.Key("quiet", span("seldom"), 1).Value(trace.TypeString, []byte("v"), 1)
	}
	for i := range 100_000 {
		c.Key(fmt.Sprint("one-of-many-", i), span("k"), 1)
	}
	if c.Key(strings.Repeat("s", 2000), span("k"), 1) != nil || c.Key("s", span(strings.Repeat("k", 2000)), 1) != nil {
		t.Error("a name of 2000 bytes is counted")
	}
	if c.bytes > (slack+1)*maxBytes || c.keys > slack*maxKeys {
		t.Errorf("%d keys and %d bytes are held", c.keys, c.bytes)
	}
	raw := c.Append(nil)
	if len(raw) > 2*maxBytes {
		t.Errorf("%d bytes are written", len(raw))
	}
	got := answer(t, trace.AttrQuery{}, raw)
	if len(got.Keys) > maxKeys || got.Others < 200_000 {
		t.Errorf("%d keys, %d others", len(got.Keys), got.Others)
	}
	if !slices.ContainsFunc(got.Keys, func(k trace.KeyStat) bool { return k.Key == "seldom" && k.Spans > 20_000 }) {
		t.Error("the one key that repeats is missing")
	}
}

// TestCut keeps the beginning of long values, and cuts no character.
func TestCut(t *testing.T) {
	c := New()
	k := c.Key("s", span("k"), 3)
	k.Value(trace.TypeString, []byte(strings.Repeat("é", 64)+"e"), 1)
	k.Value(trace.TypeString, []byte("e"+strings.Repeat("é", 64)), 2)
	k.Value(trace.TypeString, []byte(strings.Repeat("\xff", 130)), 1)
	got := answer(t, trace.AttrQuery{Key: "k"}, c.Append(nil)).Keys[0].Values
	want := []string{"e" + strings.Repeat("é", 63), strings.Repeat("é", 64), strings.Repeat("\xff", 128)}
	for i, v := range got {
		if !v.Cut || v.Value.Str() != want[i] {
			t.Errorf("%d: %q, cut %v", i, v.Value.Str(), v.Cut)
		}
	}
}

// FuzzMerge reads any bytes as a census: what can be read can be written, and is the same when read again.
func FuzzMerge(f *testing.F) {
	c := New()
	k := c.Key("cart", span("http.route"), 10)
	for i := range 400 {
		k.Value(trace.TypeString, fmt.Appendf(nil, "/%d", i), uint64(i))
	}
	c.Key("cart", ID{trace.ScopeResource, "n"}, 1).Attr(trace.Int(5), 1)
	raw := c.Append(nil)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add(append(slices.Clone(raw), raw...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := New()
		err := c.Merge(string(raw))
		if trace.KindOf(err) != trace.Corrupt && err != nil {
			t.Fatal(err)
		}
		once := c.Append(nil)
		d := New()
		if err := d.Merge(string(once)); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		q := Ask(trace.AttrQuery{Key: "http.route"})
		_ = q.Merge(string(raw))
		q.Answer()
	})
}
