package tracecontext

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

var (
	id    = trace.ID{0x46, 0x3a, 0xc3, 0x5c, 0x9f, 0x64, 0x13, 0xad, 0x34, 0x42, 0x9b, 0x04, 0xb6, 0xbb, 0xf4, 0x78}
	short = trace.ID{8: 0x34, 9: 0x42, 10: 0x9b, 11: 0x04, 12: 0xb6, 13: 0xbb, 14: 0xf4, 15: 0x78}
	span  = trace.SpanID{0x26, 0x3e, 0xdc, 0x9b, 0x65, 0x77, 0x3b, 0x08}
	above = trace.SpanID{0xa5, 0xf4, 0x7e, 0x9f, 0xce, 0xd3, 0x14, 0xa2}
	root  = trace.SpanID(short[8:])
)

const (
	hexID    = "463ac35c9f6413ad34429b04b6bbf478"
	hexSpan  = "263edc9b65773b08"
	hexAbove = "a5f47e9fced314a2"
)

// headers makes headers of lines: Name: value.
func headers(lines ...string) HTTP {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return HTTP(h)
}

// lines is what headers writes, in order.
func lines(h HTTP) (out []string) {
	for name, values := range h {
		for _, v := range values {
			out = append(out, strings.ToLower(name)+": "+v)
		}
	}
	slices.Sort(out)
	return out
}

// TestExtract reads each format's headers: what they say, and that what breaks a rule says nothing.
func TestExtract(t *testing.T) {
	sampled := Context{TraceID: id, SpanID: span, Sampling: Sampled}
	with := func(change func(*Context)) Context {
		c := sampled
		change(&c)
		return c
	}
	parent := "traceparent: 00-" + hexID + "-" + hexSpan
	for _, c := range []struct {
		formats string
		lines   []string
		want    Context
	}{
		{"tracecontext", []string{parent + "-01"}, sampled},
		{"tracecontext", []string{parent + "-00"}, with(func(c *Context) { c.Sampling = NotSampled })},
		{"tracecontext", []string{parent + "-02"}, with(func(c *Context) { c.Sampling, c.Random = NotSampled, true })},
		{"tracecontext", []string{parent + "-ff"}, with(func(c *Context) { c.Random = true })},
		{"tracecontext", []string{parent + "-03", "tracestate: a=1,b=2"}, with(func(c *Context) { c.Random, c.State = true, "a=1,b=2" })},
		{"tracecontext", []string{parent + "-01", "tracestate: a=1", "tracestate: b=2"}, with(func(c *Context) { c.State = "a=1,b=2" })},
		{"tracecontext", []string{parent + "-01", "tracestate:  a=1 ,, b=2\t,"}, with(func(c *Context) { c.State = "a=1,b=2" })},
		{"tracecontext", []string{parent + "-01", "tracestate: 0a/_*-@b=x y!"}, with(func(c *Context) { c.State = "0a/_*-@b=x y!" })},
		{"tracecontext", []string{parent + "-01", "tracestate: a=1,A=2"}, sampled},
		{"tracecontext", []string{parent + "-01", "tracestate: a=1,a=2"}, sampled},
		{"tracecontext", []string{parent + "-01", "tracestate: a=1=2"}, sampled},
		{"tracecontext", []string{parent + "-01", "tracestate: a"}, sampled},
		{"tracecontext", []string{parent + "-01", "tracestate: a="}, sampled},
		{"tracecontext", []string{parent + "-01", "tracestate: @a=1"}, sampled},
		{"tracecontext", []string{"traceparent: cc-" + hexID + "-" + hexSpan + "-01-what-comes"}, sampled},
		{"tracecontext", []string{"traceparent: cc-" + hexID + "-" + hexSpan + "-01"}, sampled},
		{"tracecontext", []string{"traceparent: cc-" + hexID + "-" + hexSpan + "-01.what"}, Context{}},
		{"tracecontext", []string{"traceparent: ff-" + hexID + "-" + hexSpan + "-01"}, Context{}},
		{"tracecontext", []string{parent + "-01-"}, Context{}},
		{"tracecontext", []string{parent + "-1"}, Context{}},
		{"tracecontext", []string{parent + "-0A"}, Context{}},
		{"tracecontext", []string{parent + "_01"}, Context{}},
		{"tracecontext", []string{parent + "-01", parent + "-01"}, Context{}},
		{"tracecontext", []string{strings.ToUpper(parent) + "-01"}, Context{}},
		{"tracecontext", []string{"traceparent: 00-" + strings.Repeat("0", 32) + "-" + hexSpan + "-01"}, Context{}},
		{"tracecontext", []string{"traceparent: 00-" + hexID + "-" + strings.Repeat("0", 16) + "-01"}, Context{}},
		{"tracecontext", []string{"tracestate: a=1"}, Context{}},

		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-1"}, sampled},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-1-" + hexAbove}, with(func(c *Context) { c.Parent = above })},
		{"b3", []string{"b3: " + hexID[16:] + "-" + hexSpan + "-d"}, Context{TraceID: short, SpanID: span, Sampling: Debug}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan}, Context{TraceID: id, SpanID: span}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-0"}, with(func(c *Context) { c.Sampling = NotSampled })},
		{"b3", []string{"b3: 0"}, Context{Sampling: NotSampled}},
		{"b3", []string{"b3: d"}, Context{Sampling: Debug}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-"}, Context{}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-2"}, Context{}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-" + hexAbove}, Context{}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-1-" + hexAbove[1:]}, Context{}},
		{"b3", []string{"b3: " + hexID + "-" + hexSpan + "-1-" + hexAbove + "-"}, Context{}},
		{"b3", []string{"b3: " + hexID[1:] + "-" + hexSpan + "-1"}, Context{}},
		{"b3", []string{"b3: " + hexID}, Context{}},
		{"b3", []string{"b3: -"}, Context{}},
		{"b3", []string{"b3: " + strings.Repeat("0", 32) + "-" + hexSpan + "-1"}, Context{}},

		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan, "X-B3-Sampled: 1"}, sampled},
		{"b3multi", []string{"x-b3-traceid: " + hexID, "x-b3-spanid: " + hexSpan, "x-b3-parentspanid: " + hexAbove, "x-b3-sampled: true"}, with(func(c *Context) { c.Parent = above })},
		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan, "X-B3-Flags: 1"}, with(func(c *Context) { c.Sampling = Debug })},
		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan}, Context{TraceID: id, SpanID: span}},
		{"b3multi", []string{"X-B3-Sampled: 0"}, Context{Sampling: NotSampled}},
		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-Sampled: 1"}, Context{}},
		{"b3multi", []string{"X-B3-SpanId: " + hexSpan, "X-B3-Sampled: 1"}, Context{}},
		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan, "X-B3-Sampled: yes"}, Context{}},
		{"b3multi", []string{"X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan, "X-B3-ParentSpanId: x"}, Context{}},

		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:1"}, sampled},
		{"jaeger", []string{"uber-trace-id: " + hexID + "%3A" + hexSpan + "%3a" + hexAbove + "%3A1"}, with(func(c *Context) { c.Parent = above })},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:0"}, with(func(c *Context) { c.Sampling = NotSampled })},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:3"}, with(func(c *Context) { c.Sampling = Debug })},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:02"}, with(func(c *Context) { c.Sampling = NotSampled })},
		{"jaeger", []string{"uber-trace-id: a:b:0:1"}, Context{TraceID: trace.ID{15: 0xa}, SpanID: trace.SpanID{7: 0xb}, Sampling: Sampled}},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0"}, Context{}},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:1:1"}, Context{}},
		{"jaeger", []string{"uber-trace-id: 0" + hexID + ":" + hexSpan + ":0:1"}, Context{}},
		{"jaeger", []string{"uber-trace-id: 0:" + hexSpan + ":0:1"}, Context{}},
		{"jaeger", []string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:100"}, Context{}},
		{"jaeger", []string{"jaeger-debug-id: find me"}, Context{Sampling: Debug, DebugID: "find me"}},
		{
			"jaeger",
			[]string{"uber-trace-id: " + hexID + ":" + hexSpan + ":0:1", "uberctx-User-Name: J%C3%BCrgen+B", "jaeger-baggage: a=1, b=x y,c"},
			with(func(c *Context) { c.Baggage = "user-name=J%C3%BCrgen%20B,a=1,b=x%20y" }),
		},

		{"l5d", []string{"l5d-ctx-trace: NEKbBLa79Hg0QpsEtrv0eDRCmwS2u/R4AAAAAAAAAAA="}, Context{TraceID: short, SpanID: root}},
		{"l5d", []string{"l5d-ctx-trace: NEKbBLa79Hg0QpsEtrv0eDRCmwS2u/R4AAAAAAAAAAY="}, Context{TraceID: short, SpanID: root, Sampling: Sampled}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAY="}, Context{TraceID: short, SpanID: span, Parent: above, Sampling: Sampled}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAI="}, Context{TraceID: short, SpanID: span, Parent: above, Sampling: NotSampled}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAE="}, Context{TraceID: short, SpanID: span, Parent: above, Sampling: Debug}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAZGOsNcn2QTrQ=="}, Context{TraceID: id, SpanID: span, Parent: above, Sampling: Sampled}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAY"}, Context{}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAY=="}, Context{}},
		{"l5d", []string{"l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAYA"}, Context{}},
		{"l5d", []string{"l5d-ctx-trace: ********************************************"}, Context{}},
		{"l5d", []string{"l5d-ctx-trace: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, Context{}},

		// The first format that names a trace counts, whatever others say.
		{"tracecontext,b3", []string{parent + "-00", "b3: " + hexID[16:] + "-" + hexSpan + "-1"}, with(func(c *Context) { c.Sampling = NotSampled })},
		{"b3,tracecontext", []string{parent + "-00", "b3: " + hexID[16:] + "-" + hexSpan + "-1"}, Context{TraceID: short, SpanID: span, Sampling: Sampled}},
		{"tracecontext,b3", []string{"traceparent: broken", "b3: " + hexID + "-" + hexSpan + "-1"}, sampled},
		{"b3,b3multi", []string{"b3: broken", "X-B3-TraceId: " + hexID, "X-B3-SpanId: " + hexSpan, "X-B3-Sampled: 1"}, sampled},
		{"b3,tracecontext", []string{"b3: 0", parent + "-01"}, sampled},
		{"tracecontext,baggage", []string{parent + "-01", "baggage: a=1;p=2,b=2", "baggage: broken, c = 3 , d=\"4\""}, with(func(c *Context) { c.Baggage = "a=1;p=2,b=2,c = 3" })},
		{"baggage", []string{"baggage: a=1"}, Context{Baggage: "a=1"}},
		{"", []string{parent + "-01", "baggage: a=1"}, Context{}},
	} {
		p, err := Parse(c.formats)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, p.Extract(headers(c.lines...))); d != "" {
			t.Errorf("%s, %q: %s", c.formats, c.lines, d)
		}
	}
}

// TestInject writes contexts in all formats at once, over headers that said something else.
func TestInject(t *testing.T) {
	p, err := Parse(Names())
	if err != nil {
		t.Fatal(err)
	}
	old := []string{
		"traceparent: old", "tracestate: o=1", "baggage: o=1", "b3: old", "X-B3-TraceId: o", "X-B3-SpanId: o", "X-B3-ParentSpanId: o", "X-B3-Sampled: 1", "X-B3-Flags: 1",
		"uber-trace-id: o", "uberctx-o: o", "l5d-ctx-trace: o", "l5d-reqid: o", "other: stays",
	}
	for _, c := range []struct {
		c    Context
		want []string
	}{
		{Context{}, []string{"other: stays"}},
		{Context{Sampling: NotSampled, Baggage: "A-b=1%202"}, []string{"b3: 0", "baggage: A-b=1%202", "other: stays", "uberctx-a-b: 1+2", "x-b3-sampled: 0"}},
		{Context{TraceID: id, SpanID: span, Parent: above, Sampling: Sampled, State: "a=1", Random: true}, []string{
			"b3: " + hexID + "-" + hexSpan + "-1-" + hexAbove, "l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAZGOsNcn2QTrQ==", "l5d-reqid: " + hexID[16:], "other: stays",
			"traceparent: 00-" + hexID + "-" + hexSpan + "-03", "tracestate: a=1", "uber-trace-id: " + hexID + ":" + hexSpan + ":" + hexAbove + ":1",
			"x-b3-parentspanid: " + hexAbove, "x-b3-sampled: 1", "x-b3-spanid: " + hexSpan, "x-b3-traceid: " + hexID,
		}},
		{Context{TraceID: short, SpanID: root, Sampling: Debug}, []string{
			"b3: 0000000000000000" + hexID[16:] + "-" + hexID[16:] + "-d", "l5d-ctx-trace: NEKbBLa79Hg0QpsEtrv0eDRCmwS2u/R4AAAAAAAAAAE=", "l5d-reqid: " + hexID[16:], "other: stays",
			"traceparent: 00-0000000000000000" + hexID[16:] + "-" + hexID[16:] + "-01", "uber-trace-id: 0000000000000000" + hexID[16:] + ":" + hexID[16:] + ":0:3",
			"x-b3-flags: 1", "x-b3-spanid: " + hexID[16:], "x-b3-traceid: 0000000000000000" + hexID[16:],
		}},
		{Context{TraceID: short, SpanID: root}, []string{
			"b3: 0000000000000000" + hexID[16:] + "-" + hexID[16:], "l5d-ctx-trace: NEKbBLa79Hg0QpsEtrv0eDRCmwS2u/R4AAAAAAAAAAA=", "l5d-reqid: " + hexID[16:], "other: stays",
			"traceparent: 00-0000000000000000" + hexID[16:] + "-" + hexID[16:] + "-00", "uber-trace-id: 0000000000000000" + hexID[16:] + ":" + hexID[16:] + ":0:0",
			"x-b3-spanid: " + hexID[16:], "x-b3-traceid: 0000000000000000" + hexID[16:],
		}},
	} {
		h := headers(old...)
		p.Inject(&c.c, h)
		if d := cmp.Diff(c.want, lines(h)); d != "" {
			t.Errorf("%+v: %s", c.c, d)
		}
	}
}

// TestStateLimits: 32 members at most, and of more than 512 characters the large members go first, then the last ones.
func TestStateLimits(t *testing.T) {
	member := func(key string, size int) string { return key + "=" + strings.Repeat("x", size-len(key)-1) }
	many := make([]string, 33)
	for i := range many {
		many[i] = string(rune('a'+i/26)) + string(rune('a'+i%26)) + "=1"
	}
	for name, c := range map[string]struct{ in, want string }{
		"32 members":            {strings.Join(many[:32], ","), strings.Join(many[:32], ",")},
		"33 members":            {strings.Join(many, ","), ""},
		"empty ones are none":   {strings.Join(many[:32], ",,"), strings.Join(many[:32], ",")},
		"512 characters":        {member("a", 255) + "," + member("b", 256), member("a", 255) + "," + member("b", 256)},
		"a large one goes":      {member("a", 129) + "," + member("b", 128) + "," + member("c", 128) + "," + member("d", 125), member("b", 128) + "," + member("c", 128) + "," + member("d", 125)},
		"the last large one":    {member("a", 200) + "," + member("b", 128) + "," + member("c", 200), member("a", 200) + "," + member("b", 128)},
		"then the last ones":    {member("a", 128) + "," + member("b", 128) + "," + member("c", 128) + "," + member("d", 128), member("a", 128) + "," + member("b", 128) + "," + member("c", 128)},
		"a key of 256":          {strings.Repeat("k", 256) + "=1", strings.Repeat("k", 256) + "=1"},
		"a key of 257":          {strings.Repeat("k", 257) + "=1", ""},
		"a value of 256":        {"k=" + strings.Repeat("v", 256), "k=" + strings.Repeat("v", 256)},
		"a value of 257":        {"k=" + strings.Repeat("v", 257), ""},
		"a value within spaces": {"k= v v ", "k= v v"},
	} {
		if got := parseState([]string{c.in}); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestBaggageLimits: 180 members and 8192 bytes at most, whole members only.
func TestBaggageLimits(t *testing.T) {
	p := Propagator{Baggage}
	many := make([]string, 200)
	for i := range many {
		many[i] = "k" + strings.Repeat("x", i%7) + "=1"
	}
	c := p.Extract(headers("baggage: "+strings.Join(many[:150], ","), "baggage: "+strings.Join(many[150:], ",")))
	if c.Baggage != strings.Join(many[:180], ",") {
		t.Errorf("%d members", strings.Count(c.Baggage, ",")+1)
	}
	large := "a=" + strings.Repeat("x", 8000)
	c = p.Extract(headers("baggage: " + large + ",b=" + strings.Repeat("y", 300) + ",c=1"))
	if c.Baggage != large+",c=1" {
		t.Errorf("%d bytes", len(c.Baggage))
	}
	h := headers()
	p.Inject(&Context{Baggage: strings.Join(many, ",")}, h)
	if got := h.Values(baggageHeader)[0]; got != strings.Join(many[:180], ",") {
		t.Errorf("%d members are written", strings.Count(got, ",")+1)
	}
}

func TestItems(t *testing.T) {
	var got []string
	for k, v := range Items("a=1;p=2, b = x%20y%C3%BC ,a=%zz,broken,=1") {
		got = append(got, k+"|"+v)
	}
	if d := cmp.Diff([]string{"a|1", "b|x yü", "a|%zz", "|1"}, got); d != "" {
		t.Error(d)
	}
}

func TestParse(t *testing.T) {
	p, err := Parse(" tracecontext, b3,,l5d")
	if d := cmp.Diff(Propagator{TraceContext, B3, Linkerd}, p); d != "" || err != nil {
		t.Errorf("%v: %s", err, d)
	}
	for list, want := range map[string]string{
		"w3c":       `"w3c" is no format of trace context; want some of tracecontext, baggage, b3, b3multi, jaeger, l5d`,
		"b3, b3":    "b3 is there twice",
		"b3 jaeger": `"b3 jaeger" is no format`,
	} {
		if _, err := Parse(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", list, err, want)
		}
	}
}

// TestAllocations: reading what comes with most requests allocates nothing.
func TestAllocations(t *testing.T) {
	p, err := Parse("tracecontext,baggage,b3,b3multi,l5d")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []HTTP{
		headers("traceparent: 00-"+hexID+"-"+hexSpan+"-01", "tracestate: a=1,b=2", "baggage: user=me,tier=gold;p=1"),
		headers("b3: " + hexID + "-" + hexSpan + "-1-" + hexAbove),
		headers("X-B3-TraceId: "+hexID, "X-B3-SpanId: "+hexSpan, "X-B3-ParentSpanId: "+hexAbove, "X-B3-Sampled: 1"),
		headers("l5d-ctx-trace: Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAZGOsNcn2QTrQ=="),
		headers("accept: */*"),
	} {
		var c Context
		if n := testing.AllocsPerRun(100, func() { c = p.Extract(h) }); n != 0 {
			t.Errorf("%v: %g allocations", lines(h), n)
		}
		_ = c
	}
}

func BenchmarkExtract(b *testing.B) {
	p := Propagator{TraceContext, Baggage, B3}
	h := headers("traceparent: 00-"+hexID+"-"+hexSpan+"-01", "tracestate: a=1,b=2", "baggage: user=me,tier=gold")
	b.ReportAllocs()
	for b.Loop() {
		if c := p.Extract(h); !c.Valid() {
			b.Fatal("no context")
		}
	}
}

func BenchmarkInject(b *testing.B) {
	p := Propagator{TraceContext, Baggage, B3}
	c := Context{TraceID: id, SpanID: span, Sampling: Sampled, State: "a=1,b=2", Baggage: "user=me,tier=gold"}
	h := headers()
	b.ReportAllocs()
	for b.Loop() {
		p.Inject(&c, h)
	}
}
