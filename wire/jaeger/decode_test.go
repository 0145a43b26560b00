package jaeger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/thrift"
)

// forms is each form that a batch comes in.
var forms = []struct {
	name   string
	write  func(b *batch) []byte
	decode func(d *Decoder, dst, in []byte) ([]byte, error)
}{
	{"thrift binary", func(b *batch) []byte { return b.thrift(false) }, (*Decoder).AppendBatch},
	{"message binary", func(b *batch) []byte { return b.message(false) }, func(d *Decoder, dst, in []byte) ([]byte, error) {
		return d.AppendMessage(dst, in, false)
	}},
	{"message compact", func(b *batch) []byte { return b.message(true) }, func(d *Decoder, dst, in []byte) ([]byte, error) {
		return d.AppendMessage(dst, in, true)
	}},
	{"proto", func(b *batch) []byte { return b.post() }, (*Decoder).AppendPost},
}

// indexed returns the spans of OTLP bytes, all of which must be valid.
func indexed(t *testing.T, raw []byte) []trace.Span {
	t.Helper()
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
		t.Fatalf("not taken as OTLP: %v, %+v", err, b.Refused)
	}
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return spans
}

// back returns what the Encoder makes of spans, a line for each thing, by span.
func back(t *testing.T, spans []trace.Span) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for i := range spans { // each its own trace, lest a parent be looked for
		var e Encoder
		var got struct {
			TraceID string
			Spans   []struct {
				SpanID, OperationName, ProcessID string
				Flags                            uint32
				References                       []struct{ RefType, TraceID, SpanID string }
				StartTime, Duration              int64
				Tags                             []jsonTag
				Logs                             []struct {
					Timestamp int64
					Fields    []jsonTag
				}
				Warnings []string
			}
			Processes map[string]struct {
				ServiceName string
				Tags        []jsonTag
			}
		}
		d := json.NewDecoder(strings.NewReader(string(e.Append(nil, &trace.Trace{ID: spans[i].TraceID, Spans: spans[i : i+1]}))))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		s := got.Spans[0]
		p := got.Processes[s.ProcessID]
		var lines []string
		add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
		add("%q in %s, flags %d, from %d for %d", s.OperationName, p.ServiceName, s.Flags, s.StartTime, s.Duration)
		for _, w := range s.Warnings {
			add("warning %s", w)
		}
		for _, t := range p.Tags {
			add("process %s", t.text())
		}
		for _, r := range s.References {
			add("%s %s %s", r.RefType, r.TraceID, r.SpanID)
		}
		for _, t := range s.Tags {
			add("tag %s", t.text())
		}
		for i, l := range s.Logs {
			add("log %d at %d", i, l.Timestamp)
			for _, f := range l.Fields {
				add("log %d %s", i, f.text())
			}
		}
		slices.Sort(lines)
		out[s.SpanID] = lines
	}
	return out
}

type jsonTag struct {
	Key, Type string
	Value     any
}

func (t jsonTag) text() string { return fmt.Sprintf("%s %s %v", t.Key, t.Type, t.Value) }

// TestNothingLost holds that what the Encoder writes of a batch is what came, in each form of it: whatever comes twice, is empty or is odd.
func TestNothingLost(t *testing.T) {
	d := Decoder{Limit: 1 << 20}
	for seed := range uint64(600) {
		b := random(rand.New(rand.NewPCG(seed, 1)))
		for _, form := range forms {
			raw, err := form.decode(&d, nil, form.write(b))
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, form.name, err)
			}
			got := back(t, indexed(t, raw))
			if len(got) != len(b.spans) {
				t.Fatalf("seed %d, %s: %d spans of %d", seed, form.name, len(got), len(b.spans))
			}
			for i := range b.spans {
				s := &b.spans[i]
				if diff := gocmp.Diff(s.lines(b), got[fmt.Sprintf("%016x", s.id)]); diff != "" {
					t.Fatalf("seed %d, %s, span %d (-sent +back):\n%s", seed, form.name, s.id, diff)
				}
			}
		}
	}
}

// TestModel compares a span with how OpenTelemetry's model has it.
func TestModel(t *testing.T) {
	b := &batch{
		service: "shop", tags: []kv{{"hostname", "h"}},
		spans: []jspan{{
			high: 1, low: 2, id: 3, parent: 4, name: "get", flags: 1, start: 1000, duration: 5,
			refs: []ref{{high: 1, low: 2, id: 4}, {true, 9, 8, 7}},
			tags: []kv{
				{"span.kind", "server"},
				{"http.status_code", int64(500)},
				{"error", true},
				{"otel.status_description", "no"},
				{"otel.scope.name", "lib"},
				{"otel.scope.version", "1"},
				{"w3c.tracestate", "a=b"},
			},
			logs: []log{{1001, []kv{{"event", "retry"}, {"n", int64(2)}}}},
		}},
	}
	want := []trace.Span{{
		TraceID: trace.ID(traceID(1, 2)), ID: trace.SpanID{7: 3}, Parent: trace.SpanID{7: 4}, State: "a=b", Flags: 1, Name: "get", Kind: trace.KindServer,
		Start: 1_000_000, End: 1_005_000, Status: trace.StatusError, StatusMessage: "no",
		Attrs:    []trace.Attr{{Key: "http.status_code", Value: trace.Int(500)}},
		Events:   []trace.Event{{Time: 1_001_000, Name: "retry", Attrs: []trace.Attr{{Key: "n", Value: trace.Int(2)}}}},
		Links:    []trace.Link{{TraceID: trace.ID(traceID(9, 8)), SpanID: trace.SpanID{7: 7}, Attrs: []trace.Attr{{Key: attrRefType, Value: trace.String("follows_from")}}}},
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "hostname", Value: trace.String("h")}}},
		Scope:    &trace.Scope{Name: "lib", Version: "1"},
	}}
	equal := gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })
	for _, form := range forms {
		raw, err := form.decode(&Decoder{Limit: 1 << 20}, nil, form.write(b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, indexed(t, raw), equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form.name, diff)
		}
	}
}

// TestProcesses holds that a span's own process counts, and that spans of one process and scope come together.
func TestProcesses(t *testing.T) {
	other := &batch{service: "other", tags: []kv{{"k", "v"}}}
	b := &batch{service: "shop"}
	for i, p := range []*batch{nil, nil, other, other, nil} {
		b.spans = append(b.spans, jspan{low: 1, id: uint64(i + 1), start: 1000, process: p, warnings: []string{"w1", "w2"}, tags: []kv{{"otel.scope.name", "s"}}})
	}
	raw, err := (&Decoder{Limit: 1 << 20}).AppendPost(nil, b.post())
	if err != nil {
		t.Fatal(err)
	}
	spans := indexed(t, raw)
	got := back(t, spans)
	resources := map[*trace.Resource]bool{}
	for i := range b.spans {
		resources[spans[i].Resource] = true
		if diff := gocmp.Diff(b.spans[i].lines(b), got[fmt.Sprintf("%016x", i+1)]); diff != "" {
			t.Errorf("span %d (-sent +back):\n%s", i+1, diff)
		}
	}
	if len(resources) != 3 {
		t.Errorf("%d resources; want 3", len(resources))
	}
}

func TestClient(t *testing.T) {
	b := &batch{service: "s", tags: []kv{{"client-uuid", "u-1"}}, seq: 9, stats: []int64{1, 2, 3}, spans: []jspan{{low: 1, id: 1, start: 1}}}
	d := Decoder{Limit: 1 << 20}
	in := b.message(true)
	if _, err := d.AppendMessage(nil, in, true); err != nil {
		t.Fatal(err)
	}
	c := d.Client
	if string(c.UUID) != "u-1" || c.SeqNo != 9 || !c.Stats || c.FullQueue != 1 || c.TooLarge != 2 || c.Failed != 3 {
		t.Errorf("client %+v", c)
	}
}

// TestAppends holds that a batch is appended, and that one with an error leaves what was there.
func TestAppends(t *testing.T) {
	d := Decoder{Limit: 1 << 20}
	b := random(rand.New(rand.NewPCG(1, 1)))
	for _, form := range forms {
		in := form.write(b)
		one, err := form.decode(&d, nil, in)
		if err != nil {
			t.Fatal(err)
		}
		if two, err := form.decode(&d, slices.Clone(one), in); err != nil || len(indexed(t, two)) != 2*len(b.spans) {
			t.Errorf("%s: a second batch: %v", form.name, err)
		}
		for n := range len(in) {
			kept, err := form.decode(&d, slices.Clone(one), in[:n])
			if string(kept[:len(one)]) != string(one) || err != nil && len(kept) != len(one) {
				t.Fatalf("%s cut off after %d bytes: what was there is gone", form.name, n)
			}
			if err == nil && !strings.HasPrefix(form.name, "proto") {
				t.Fatalf("%s cut off after %d bytes is taken", form.name, n)
			}
		}
	}
}

func TestOtherMessages(t *testing.T) {
	d := Decoder{Limit: 1 << 20}
	for name, want := range map[string]error{"emitZipkinBatch": ZipkinBatch, "getSamplingStrategy": OtherCall} {
		var w thrift.Writer
		w.Message(thrift.Message{Type: thrift.Oneway, Name: []byte(name)})
		w.Struct()
		w.End()
		if _, err := d.AppendMessage(nil, w.Out, false); err != want { //nolint:errorlint // it is that very one
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostile decodes what costs much more memory than it weighs, if it is believed.
func TestHostile(t *testing.T) {
	empty := strings.Repeat("\x0a\x00", 1<<19)
	refs := "\x0a" + string(binaryLen(1<<20)) + strings.Repeat("\x22\x00", 1<<19)
	process := (&batch{service: strings.Repeat("s", 1<<16)}).processModel()
	own := (&jspan{low: 1, id: 1, start: 1, process: &batch{service: "o"}}).model()
	turns := message(nil, 2, process)
	for range 1000 {
		turns = message(message(turns, 1, own), 1, (&jspan{low: 1, id: 1, start: 1}).model())
	}
	for name, c := range map[string]struct {
		in   []byte
		kind trace.ErrorKind
	}{
		"empty spans":      {message(nil, 1, []byte(empty)), trace.TooLarge},
		"empty references": {message(nil, 1, []byte(refs)), trace.TooLarge},
		"a large process written again and again": {message(nil, 1, turns), trace.TooLarge},
	} {
		d := Decoder{Limit: 4*len(c.in) + 1<<16}
		out, err := d.AppendPost(nil, c.in)
		if trace.KindOf(err) != c.kind || cap(out) > 8*len(c.in)+1<<20 || cap(d.refs)*32 > 8*len(c.in) {
			t.Errorf("%s of %d bytes: %v, %d bytes taken, %d references", name, len(c.in), err, cap(out), cap(d.refs))
		}
	}
	for name, in := range map[string]string{
		"list of 2^31 spans":      "\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x00\x00\x0f\x00\x02\x0c\x7f\xff\xff\xff",
		"spans without fields":    "\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x00\x00\x0f\x00\x02\x0c\x00\x00\x00\x02\x00\x00\x00",
		"spans that are a number": "\x0c\x00\x01\x0b\x00\x01\x00\x00\x00\x00\x00\x08\x00\x02\x00\x00\x00\x00\x00",
		"no process":              "\x0f\x00\x02\x0c\x00\x00\x00\x00\x00",
	} {
		d := Decoder{Limit: 1 << 20}
		if out, err := d.AppendBatch(nil, []byte(in)); trace.KindOf(err) != trace.Invalid || len(out) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongReferences: a span with a reference whose ID is too long is refused alone; a shorter one is the end of an ID.
func TestLongReferences(t *testing.T) {
	with := func(traceID, id int) []byte {
		span := (&jspan{low: 1, id: 1, start: 1}).model()
		return message(nil, 1, message(span, 4, message(message(nil, 1, bytes.Repeat([]byte{7}, traceID)), 2, bytes.Repeat([]byte{7}, id))))
	}
	for _, c := range []struct{ traceID, id, refused int }{{16, 8, 0}, {8, 4, 0}, {0, 0, 0}, {17, 8, 1}, {16, 9, 1}, {1 << 10, 1 << 10, 1}} {
		d := Decoder{Limit: 1 << 20}
		out, err := d.AppendModel(nil, append(with(c.traceID, c.id), with(16, 8)...))
		var b trace.Batch
		if err != nil || b.Index(out, trace.DefaultLimits()) != nil || b.Refused.Count[trace.BadSpanID] != c.refused || len(b.Spans) != 2-c.refused {
			t.Errorf("IDs of %d and %d bytes: %v, %+v, %d spans", c.traceID, c.id, err, b.Refused, len(b.Spans))
		}
	}
}

func binaryLen(n int) []byte { return message(nil, 1, make([]byte, n))[1:4] }

func fuzz(f *testing.F, decode func(d *Decoder, in []byte) ([]byte, error)) {
	f.Fuzz(func(t *testing.T, in []byte) {
		d := Decoder{Limit: 4*len(in) + 1<<12}
		out, err := decode(&d, in)
		if err != nil {
			if len(out) > 0 || trace.KindOf(err) != trace.Invalid && trace.KindOf(err) != trace.TooLarge {
				t.Fatalf("%d bytes after %v", len(out), err)
			}
			return
		}
		var b trace.Batch
		limits := trace.DefaultLimits()
		limits.Items = 0
		if err := b.Index(out, limits); err != nil {
			t.Fatalf("own bytes are no OTLP: %v", err)
		}
		spans, err := b.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if len(spans) > 0 {
			back(t, spans)
		}
	})
}

func FuzzThrift(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(random(rand.New(rand.NewPCG(seed, 1))).thrift(false))
	}
	fuzz(f, func(d *Decoder, in []byte) ([]byte, error) { return d.AppendBatch(nil, in) })
}

func FuzzMessage(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(random(rand.New(rand.NewPCG(seed, 1))).message(true))
	}
	fuzz(f, func(d *Decoder, in []byte) ([]byte, error) { return d.AppendMessage(nil, in, true) })
}

func FuzzPost(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(random(rand.New(rand.NewPCG(seed, 1))).post())
	}
	fuzz(f, func(d *Decoder, in []byte) ([]byte, error) { return d.AppendPost(nil, in) })
}

// typical is a batch as an instrumented server sends it: 100 spans with eight tags and a log.
func typical() *batch {
	b := &batch{service: "frontend", tags: []kv{{"hostname", "frontend-7d4b9"}, {"ip", "10.0.0.7"}, {"jaeger.version", "Go-2.30.0"}}}
	now := time.Now().UnixMicro()
	for i := range 100 {
		b.spans = append(b.spans, jspan{
			high: 0x1234567890abcdef, low: 0xfedcba0987654321, id: uint64(i+1) << 40, parent: 1 << 40, name: "HTTP GET /dispatch", flags: 1,
			start: now + int64(i), duration: 1234, refs: []ref{{high: 0x1234567890abcdef, low: 0xfedcba0987654321, id: 1 << 40}},
			tags: []kv{
				{"span.kind", "server"},
				{"http.method", "GET"},
				{"http.url", "/dispatch?customer=123&nonse=0.5"},
				{"component", "net/http"},
				{"http.status_code", int64(200)},
				{"sampler.type", "const"},
				{"sampler.param", true},
				{"peer.ipv4", "10.0.0.1"},
			},
			logs: []log{{now, []kv{{"event", "dispatch"}, {"driver", "T7"}}}},
		})
	}
	return b
}

// cpu returns the time that this process has computed: on a busy machine it says more than the clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkDecode measures a span of a typical batch in each form, with and without the index over its OTLP bytes.
func BenchmarkDecode(b *testing.B) {
	for _, form := range forms {
		in := form.write(typical())
		for _, index := range []bool{false, true} {
			name := form.name
			if index {
				name += " indexed"
			}
			b.Run(name, func(b *testing.B) {
				d := Decoder{Limit: 1 << 20}
				var batch trace.Batch
				var out []byte
				b.ReportAllocs()
				b.SetBytes(int64(len(in)))
				before := cpu(b)
				for b.Loop() {
					var err error
					if out, err = form.decode(&d, out[:0], in); err != nil {
						b.Fatal(err)
					}
					if index {
						if err := batch.Index(out, trace.DefaultLimits()); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N)/100, "cpu-ns/span")
			})
		}
	}
}

// TestNoAllocation holds that decoding makes nothing, once the decoder is warm.
func TestNoAllocation(t *testing.T) {
	for _, form := range forms {
		in := form.write(typical())
		d := Decoder{Limit: 1 << 20}
		out, _ := form.decode(&d, nil, in)
		if n := testing.AllocsPerRun(20, func() { out, _ = form.decode(&d, out[:0], in) }); n > 0 {
			t.Errorf("%s: %v allocations for 100 spans", form.name, n)
		}
	}
}
