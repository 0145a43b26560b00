package wasm

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// rich is spans with all that OTLP has, under two resources and three scopes, of which some are for the examples to change.
func rich() []trace.Span {
	shop := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}, {Key: "n", Value: trace.Int(-7)}}, SchemaURL: "https://a"}
	other := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("other")}}, Dropped: 3}
	http, sql := &trace.Scope{Name: "http", Version: "1", SchemaURL: "https://b"}, &trace.Scope{Name: "sql", Attrs: []trace.Attr{{Key: "k", Value: trace.Bool(true)}}}
	var out []trace.Span
	for i, in := range []struct {
		res   *trace.Resource
		scope *trace.Scope
		name  string
		attrs []trace.Attr
	}{
		{shop, http, "GET /", []trace.Attr{{Key: "user", Value: trace.String("ann@example.com")}, {Key: "double", Value: trace.Double(1.5)}}},
		{shop, http, "GET /healthz", nil},
		{shop, sql, "SELECT", []trace.Attr{{Key: "db.statement", Value: trace.String("SELECT 1 -- it's 'é'")}, {Key: "user", Value: trace.String("no address @ all")}}},
		{other, sql, "SELECT", []trace.Attr{{Key: "db.statement", Value: trace.String("SELECT a2 FROM t")}}},
		{other, sql, "UPDATE", []trace.Attr{
			{Key: "list", Value: trace.Array(trace.String("x@example.com"), trace.Int(1))},
			{Key: "db.query.text", Value: trace.String("UPDATE t SET a = 'x'' y', b=12.50")},
			{Key: "map", Value: trace.Map(trace.Attr{Key: "k", Value: trace.Bytes([]byte{0, 255})})},
			{Key: "empty"},
		}},
		{other, http, "GET /healthz", nil},
	} {
		out = append(out, trace.Span{
			TraceID: trace.ID{1, byte(i)}, ID: trace.SpanID{2, byte(i)}, Parent: trace.SpanID{3}, State: "a=b", Flags: 0x101, Name: in.name, Kind: trace.KindClient,
			Start: 1e18, End: 1e18 + uint64(i), Attrs: in.attrs, Dropped: 1, DroppedEvents: 2, DroppedLinks: 3,
			Events: []trace.Event{{Time: 1e18, Name: "event", Attrs: []trace.Attr{{Key: "a", Value: trace.Int(1)}}}},
			Links:  []trace.Link{{TraceID: trace.ID{9}, SpanID: trace.SpanID{9}, State: "c=d"}},
			Status: trace.StatusError, StatusMessage: "m", Resource: in.res, Scope: in.scope,
		})
	}
	return out
}

// goExample returns a processor of the example in Go, opened once: to compile it takes seconds of a race-built test.
func goExample(t *testing.T) *Processor {
	t.Helper()
	c := Default()
	c.File, c.Config, c.Timeout = testkit.GoProcessor(t, "scrub"), "shop, payment", time.Minute
	theGoExample.Do(func() { theGo, theGoErr = Open(context.Background(), c) })
	if theGoErr != nil {
		t.Fatal(theGoErr)
	}
	return theGo
}

var (
	theGoExample sync.Once
	theGo        *Processor
	theGoErr     error
)

// processed has spans processed by a module, again and again, and returns what came out.
func processed(t *testing.T, p *Processor, spans []trace.Span) []trace.Span {
	t.Helper()
	var first []trace.Span
	for i := range 4 {
		b := new(trace.Batch)
		if err := trace.Pack(b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := p.Process(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		out, err := b.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = out
		} else if diff := cmp.Diff(first, out); diff != "" {
			t.Errorf("the %dth time another comes out: %s", i+1, diff)
		}
	}
	return first
}

// TestGoExample: it changes what it should, and nothing else.
func TestGoExample(t *testing.T) {
	var want []trace.Span
	for i, s := range rich() {
		switch i {
		case 0:
			s.Attrs[0].Value = trace.String("[e-mail]")
		case 1, 5:
			continue
		}
		if i < 3 {
			s.Attrs = append(s.Attrs, trace.Attr{Key: "tier", Value: trace.String("gold")})
		}
		want = append(want, s)
	}
	if diff := cmp.Diff(want, processed(t, goExample(t), rich())); diff != "" {
		t.Error(diff)
	}
	none := []trace.Span{rich()[3]}
	if diff := cmp.Diff(none, processed(t, goExample(t), none)); diff != "" {
		t.Error(diff)
	}
}

// TestRustExample: so does the one in Rust.
func TestRustExample(t *testing.T) {
	rust, _ := open(t, testkit.RustProcessor(t), nil)
	want := rich()
	want[2].Attrs[0].Value = trace.String("SELECT ? -- it?é?")
	want[4].Attrs[1].Value = trace.String("UPDATE t SET a = ?, b=?")
	if diff := cmp.Diff(want, processed(t, rust, rich())); diff != "" {
		t.Error(diff)
	}
	rust, _ = open(t, testkit.RustProcessor(t), func(c *Config) { c.Config = "another.key" })
	if diff := cmp.Diff(rich(), processed(t, rust, rich())); diff != "" {
		t.Error(diff)
	}
}

// TestManySpans: a batch of many pieces comes out whole.
func TestManySpans(t *testing.T) {
	p := goExample(t)
	const n = 10_000
	b := batchOf(t, n)
	if len(b.Raw) < 2*pieceBytes {
		t.Fatalf("only %d bytes", len(b.Raw))
	}
	want, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Process(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	got, err := b.Decode()
	if err != nil || len(got) != n {
		t.Fatalf("%d spans, %v", len(got), err)
	}
	for i := range want {
		want[i].Attrs[5].Value = trace.String("[e-mail]")
		want[i].Attrs = append(want[i].Attrs, trace.Attr{Key: "tier", Value: trace.String("gold")})
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Fatalf("span %d: %s", i, diff)
		}
	}
	if size := p.meter.first.mod.Memory().Size(); size > 32<<20 {
		t.Errorf("the instance took %d bytes", size)
	}
}

func BenchmarkProcess(b *testing.B) {
	for _, c := range []struct{ name, file, config string }{
		{"unchanged", assembly{}.file(b), ""},
		{"copied", assembly{process: echo()}.file(b), ""},
		{"go/unchanged", testkit.GoProcessor(b, "scrub"), "other"},
		{"go/changed", testkit.GoProcessor(b, "scrub"), "shop"},
		{"rust/unchanged", testkit.RustProcessor(b), "no.such.key"},
		{"rust/changed", testkit.RustProcessor(b), ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, _ := open(b, c.file, func(to *Config) { to.Config = c.config })
			const n = 1000
			batch := batchOf(b, n)
			if strings.Contains(c.name, "unchanged") {
				batch = plainOf(b, n)
			}
			raw := batch.Raw
			b.ReportAllocs()
			var used cpu
			for b.Loop() {
				if err := batch.Index(raw, trace.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
				used.begin()
				if err := p.Process(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
				used.end()
			}
			b.ReportMetric(float64(used.total.Nanoseconds())/float64(b.N*n), "cpu-ns/span")
		})
	}
}

// BenchmarkStart is an instance's start, and what it takes of memory.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct{ name, file string }{{"go", testkit.GoProcessor(b, "scrub")}, {"rust", testkit.RustProcessor(b)}} {
		p, _ := open(b, c.file, nil)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				in, err := p.module.start(context.Background(), &p.config, p.log)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(in.mod.Memory().Size()), "memory-bytes")
				in.close()
			}
		})
	}
}

// BenchmarkLoad is the load and check of a module.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct{ name, file string }{{"go", testkit.GoProcessor(b, "scrub")}, {"rust", testkit.RustProcessor(b)}} {
		b.Run(c.name, func(b *testing.B) {
			var used cpu
			for b.Loop() {
				used.begin()
				l, err := load(context.Background(), &Config{File: c.file, Memory: 64 << 20}, newModuleLog())
				if err != nil {
					b.Fatal(err)
				}
				used.end()
				l.close()
			}
			b.ReportMetric(float64(used.total.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// plainOf returns a batch of which the examples change nothing.
func plainOf(t testing.TB, n int) *trace.Batch {
	t.Helper()
	b := batchOf(t, n)
	spans, err := b.Decode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range spans {
		spans[i].Attrs[4].Value = trace.String("SELECT * FROM users WHERE name = ?")
		spans[i].Attrs[5].Value = trace.String(fmt.Sprint("ann", i))
	}
	if err := trace.Pack(b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	return b
}
