package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/trace"
)

func TestRename(t *testing.T) {
	cfg := Renaming{IDs: IDKinds[:], With: "{id}", Original: "original", Rules: []RenamingRule{{regexp.MustCompile(`^job-(\w+)-\d+$`), "job-$1"}}}
	r, err := NewRenamer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"GET /users/123":              "GET /users/{id}",
		"POST /v1/things/123:archive": "POST /v1/things/{id}:archive",
		"GET /users/123/orders/550e8400-e29b-41d4-a716-446655440000?x=1&y=z": "GET /users/{id}/orders/{id}?x={id}&y=z",
		"/a/5f2b1c9e/b":                 "/a/{id}/b",
		"/a/5F2B1C9E":                   "/a/{id}",
		"/t/dGhpcyBpcyBhbiBpZA1234":     "/t/{id}",
		"/api/v2/users":                 "/api/v2/users",
		"/deadbeef/facade":              "/deadbeef/facade",
		"/a/-5/1.5/x1":                  "/a/{id}/1.5/x1",
		"/page-for-all-our-users/index": "/page-for-all-our-users/index",
		"users.Service/GetUser":         "users.Service/GetUser",
		"SELECT 1":                      "SELECT 1",
		"job-mail-17":                   "job-mail",
		"job-mail-x":                    "job-mail-x",
		"":                              "",
		"/":                             "/",
		"//1/":                          "//{id}/",
		"/żółć/1":                       "/żółć/{id}",
	} {
		s := span("a", 1)
		s.Name = name
		b := batchOf(t, s)
		if err := r.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got := decoded(t, b)[0]
		original, kept := trace.Get(got.Attrs, "original")
		if got.Name != want || kept != (name != want) || kept && original.Str() != name {
			t.Errorf("%s became %s, with %v; want %s", name, got.Name, got.Attrs, want)
		}
	}
	if _, err := NewRenamer(Renaming{IDs: []string{"number", "names"}}); err == nil || !strings.HasPrefix(err.Error(), `ids: "names" is not one of`) {
		t.Error(err)
	}
	none, err := NewRenamer(Renaming{With: "x"})
	if err != nil {
		t.Fatal(err)
	}
	b := batchOf(t, span("a", 1))
	if err := none.Process(t.Context(), b); err != nil || decoded(t, b)[0].Name != "span 1" {
		t.Error(err)
	}
}

func text(pairs ...string) (out []trace.Attr) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, trace.Attr{Key: pairs[i], Value: trace.String(pairs[i+1])})
	}
	return out
}

func TestResourceAttributes(t *testing.T) {
	step, err := NewResourceAttributes(text("a", "1", "b", "2", "a", "3", "s", "4"), text("s", "set"))
	if err != nil {
		t.Fatal(err)
	}
	spans := []trace.Span{span("x", 1), span("x", 2), span("x", 3)}
	spans[0].Resource = &trace.Resource{}
	spans[1].Resource = &trace.Resource{Attrs: text("s", "old", "b", "kept", "c", "d"), SchemaURL: "u"}
	spans[2].Resource = &trace.Resource{Attrs: text("b", "x", "s", "set", "a", "y")}
	b := batchOf(t, spans...)
	for range 2 {
		if err := step.Process(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got := decoded(t, b)
		for i, want := range [][]trace.Attr{text("a", "1", "b", "2", "s", "set"), text("b", "kept", "c", "d", "a", "1", "s", "set"), text("b", "x", "s", "set", "a", "y")} {
			if diff := cmp.Diff(want, got[i].Resource.Attrs, compareValues); diff != "" {
				t.Errorf("resource %d: %s", i, diff)
			}
		}
	}
	if _, err := NewResourceAttributes(nil, nil); err == nil {
		t.Error("a step without attributes")
	}
}

func TestDetect(t *testing.T) {
	env := map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod, x=a%2Cb,service.name=clew", "K8S_NODE_NAME": "n1"}
	h := Host{
		Getenv:   func(name string) string { return env[name] },
		Hostname: func() (string, error) { return "h1", nil },
		ReadFile: func(path string) ([]byte, error) {
			if path == namespaceFile {
				return []byte("shop\n"), nil
			}
			return nil, fs.ErrNotExist
		},
	}
	for detector, want := range map[string][]trace.Attr{
		"env": text("deployment.environment.name", "prod", "x", "a,b"), "host": text("host.name", "h1"), "kubernetes": text("k8s.node.name", "n1", "k8s.namespace.name", "shop"),
	} {
		got, err := h.Detect(detector)
		if diff := cmp.Diff(want, got, compareValues); diff != "" || err != nil {
			t.Errorf("%s: %v %s", detector, err, diff)
		}
	}
	env["OTEL_RESOURCE_ATTRIBUTES"] = "nonsense"
	if _, err := h.Detect("env"); err == nil {
		t.Error("nonsense in OTEL_RESOURCE_ATTRIBUTES is taken")
	}
	if _, err := h.Detect("cloud"); err == nil {
		t.Error("an unknown detector is taken")
	}
	for in, want := range map[string]string{"plain": "plain", "${env:K8S_NODE_NAME}-${file:" + namespaceFile + "}": "n1-shop"} {
		if got, err := h.Expand(in); got != want || err != nil {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"${env:NOPE}", "${file:/nope}", "${K8S_NODE_NAME}", "${env:", "${env:}"} {
		if got, err := h.Expand(in); err == nil {
			t.Errorf("%s gives %q", in, got)
		}
	}
}

// limited passes n spans of a service through a limiter: how many are kept and refused, and when to come back if that is said.
func limited(t *testing.T, l *Limiter, ctx context.Context, spans ...trace.Span) (kept, refused int, after time.Duration) {
	t.Helper()
	b := batchOf(t, spans...)
	err := l.Process(ctx, b)
	if e := trace.ErrorOf(err); err != nil {
		if e.Kind != trace.Busy || len(b.Spans) != len(spans) {
			t.Fatalf("%v, %d spans", err, len(b.Spans))
		}
		return 0, 0, e.After
	}
	if b.Refused.Total() > 0 && !strings.Contains(b.Refused.First, "sends more than") {
		t.Errorf("told %q", b.Refused.First)
	}
	return len(b.Spans), b.Refused.Count[trace.RateLimited], 0
}

func many(service string, n int) (out []trace.Span) {
	for i := range n {
		s := span(service, i)
		if i > 0 {
			s.Resource = out[0].Resource
		}
		out = append(out, s)
	}
	return out
}

func TestLimit(t *testing.T) {
	l, err := NewLimiter(RateLimit{Rate: Rate{Spans: 10, SpansBurst: 20}, Rules: []RateRule{{[]trace.Glob{"free*"}, Rate{}}, {[]trace.Glob{"big"}, Rate{Bytes: 1000, BytesBurst: 2000}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	ctx := t.Context()
	for i, c := range []struct {
		service       string
		n             int
		wait          time.Duration
		kept, refused int
		after         time.Duration
	}{
		{"a", 15, 0, 15, 0, 0},
		{"a", 15, 0, 5, 10, 0},
		{"a", 1, 0, 0, 0, time.Second},
		{"b", 20, 0, 20, 0, 0}, // each service for itself
		{"a", 7, 500 * time.Millisecond, 5, 2, 0},
		{"free-a", 5000, 0, 5000, 0, 0},
		{"big", 100, 0, 0, 0, 0}, // as many as 2000 bytes hold
		{"a", 30, time.Hour, 20, 10, 0},
	} {
		now = now.Add(c.wait)
		kept, refused, after := limited(t, l, ctx, many(c.service, c.n)...)
		if c.service == "big" {
			if kept < 10 || kept > 40 || kept+refused != 100 {
				t.Errorf("2000 bytes hold %d spans, %d are refused", kept, refused)
			}
			continue
		}
		if kept != c.kept || refused != c.refused || after != c.after {
			t.Errorf("%d: of %d spans of %s %d are kept and %d refused, to come back after %v; want %d, %d, %v", i, c.n, c.service, kept, refused, after, c.kept, c.refused, c.after)
		}
	}
	// Another tenant's service of that name has a rate of its own; services in one batch do not wait for one another.
	if kept, _, _ := limited(t, l, trace.WithTenant(ctx, "other"), many("a", 20)...); kept != 20 {
		t.Errorf("another tenant's: %d kept", kept)
	}
	if kept, refused, after := limited(t, l, ctx, append(many("a", 3), many("c", 3)...)...); kept != 3 || refused != 3 || after != 0 {
		t.Errorf("one of two services is over: %d kept, %d refused, %v", kept, refused, after)
	}
	// A span larger than the burst may come when the bucket is full, and is paid for afterwards.
	large := many("big", 1)
	large[0].Attrs = text("pad", strings.Repeat("x", 5000))
	now = now.Add(time.Hour)
	if kept, _, _ := limited(t, l, ctx, large...); kept != 1 {
		t.Error("a large span never comes in")
	}
	if _, _, after := limited(t, l, ctx, many("big", 1)...); after < 2*time.Second || after > 5*time.Second {
		t.Errorf("the next may come after %v", after)
	}
}

func TestLimitPerTenant(t *testing.T) {
	l, err := NewLimiter(RateLimit{Rate: Rate{Spans: 10}, PerTenant: true})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	if kept, refused, _ := limited(t, l, t.Context(), append(many("a", 7), many("b", 7)...)...); kept != 10 || refused != 4 {
		t.Errorf("%d kept, %d refused", kept, refused)
	}
	if kept, _, _ := limited(t, l, trace.WithTenant(t.Context(), "b"), many("a", 10)...); kept != 10 {
		t.Errorf("another tenant: %d kept", kept)
	}
	for _, wrong := range []RateLimit{{}, {Rate: Rate{Spans: 10, SpansBurst: 5}}, {Rate: Rate{Spans: 1}, PerTenant: true, Rules: make([]RateRule, 1)}} {
		if _, err := NewLimiter(wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// TestLimitManyServices: names that are made up do not fill the memory, and do not get around the limit.
func TestLimitManyServices(t *testing.T) {
	l, err := NewLimiter(RateLimit{Rate: Rate{Spans: 10}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	kept := 0
	for i := range maxBuckets + 100 {
		k, _, _ := limited(t, l, t.Context(), many(fmt.Sprint("s", i), 1)...)
		kept += k
	}
	if kept != maxBuckets+10 || len(l.buckets) > maxBuckets+1 {
		t.Errorf("%d kept, %d buckets", kept, len(l.buckets))
	}
	now = now.Add(2 * time.Second)
	if k, _, _ := limited(t, l, t.Context(), many("new", 1)...); k != 1 || len(l.buckets) > 1 {
		t.Errorf("after a while: %d kept, %d buckets", k, len(l.buckets))
	}
}

// TestAdding: a step that adds spans is told off, and its spans are not stored.
func TestAdding(t *testing.T) {
	next := &sink{}
	c, reg, _ := chain(next, Config{Steps: []Configured{{Name: "s", Step: stepFunc(func(_ context.Context, b *trace.Batch) error {
		return b.Rewrite(func(dst []byte) []byte { return append(append(dst, b.Raw...), b.Raw...) })
	})}}})
	b := batchOf(t, span("a", 1), span("a", 2))
	if err := c.Append(t.Context(), b); err == nil || len(b.Spans) != 2 || next.spans != 0 || total(t, reg, "clew_process_dropped_spans_total") != 0 {
		t.Errorf("%v, %d spans, %d stored", err, len(b.Spans), next.spans)
	}
}

// realSteps are steps as they are configured.
func realSteps(t testing.TB, r *rand.Rand) Step {
	t.Helper()
	must := func(s Step, err error) Step {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	switch r.IntN(6) {
	case 0:
		return NewSampler(Sampling{Percent: float64(r.IntN(101)), KeepErrors: r.IntN(2) == 0, Proportional: r.IntN(2) == 0})
	case 1:
		red, err := NewRedactor(Redaction{Mask: "*", Rules: []RedactionRule{{Keys: []trace.Glob{"p*"}, Action: Drop}, {Patterns: patterns(t, "email")}}})
		return must(red, err)
	case 2:
		ren, err := NewRenamer(Renaming{IDs: IDKinds[:], With: "{id}", Original: "was"})
		return must(ren, err)
	case 3:
		res, err := NewResourceAttributes(text("k8s.cluster.name", "c"), nil)
		return must(res, err)
	case 4:
		lim, err := NewLimiter(RateLimit{Rate: Rate{Spans: int64(1 + r.IntN(10))}})
		return must(lim, err)
	}
	return wild(r)
}

// TestRealBooks is TestBooks with the steps that there are.
func TestRealBooks(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 4))
		var cfg Config
		for i := range r.IntN(6) {
			s := Configured{Name: fmt.Sprint(i), Step: realSteps(t, r), Errors: ErrorMode(r.IntN(3))}
			if r.IntN(2) == 0 {
				s.When.Services = []trace.Glob{trace.Glob([]string{"shop", "b", "*"}[r.IntN(3)])}
			}
			cfg.Steps = append(cfg.Steps, s)
		}
		next := &sink{}
		if r.IntN(8) == 0 {
			next.err = errors.New("full")
		}
		ch, reg, _ := chain(next, cfg)
		spans := append(many("b", r.IntN(10)), plain(r.IntN(10))...)
		spans = append(spans, secretive())
		b := batchOf(t, spans...)
		err := ch.Append(t.Context(), b)
		stored, refused := len(b.Spans), b.Refused.Total()
		if err != nil {
			stored, refused = 0, refused+len(b.Spans)
		}
		if dropped := total(t, reg, "clew_process_dropped_spans_total"); stored+refused+dropped != len(spans) || stored != next.spans {
			t.Fatalf("seed %d: %d received, %d stored (%d by the sink), %d refused, %d dropped; error %v", seed, len(spans), stored, next.spans, refused, dropped, err)
		}
	}
}

// FuzzSteps passes whatever is taken as OTLP through all steps: what comes out is always taken again.
func FuzzSteps(f *testing.F) {
	f.Add(trace.AppendTraces(nil, append(plain(2), secretive())), uint64(1))
	f.Add([]byte("\x0a\x00\x0a\x02\x12\x00"), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		var b, again trace.Batch
		if b.Index(in, trace.DefaultLimits()) != nil || len(b.Spans) == 0 {
			return
		}
		arrived := len(b.Spans)
		r := rand.New(rand.NewPCG(seed, 1))
		for range 4 {
			if step := realSteps(t, r); len(b.Spans) > 0 {
				if _, is := step.(stepFunc); is {
					continue
				}
				if err := step.Process(t.Context(), &b); err != nil && trace.KindOf(err) != trace.Busy && trace.KindOf(err) != trace.TooLarge {
					t.Fatalf("%T: %v", step, err)
				}
			}
		}
		if err := again.Index(b.Raw, trace.DefaultLimits()); err != nil || len(again.Spans) != len(b.Spans) || len(b.Spans) > arrived {
			t.Fatalf("%v: %d spans, %d indexed again, %d at first", err, len(b.Spans), len(again.Spans), arrived)
		}
		if _, err := b.Decode(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAtTheSameTime passes batches of two tenants through one chain from several sides; the race detector looks on where it is asked to.
func TestAtTheSameTime(t *testing.T) {
	red, err := NewRedactor(Redaction{Mask: "*", Key: []byte("0123456789abcdef"), Rules: []RedactionRule{{Keys: []trace.Glob{"password"}, Action: Hash}, {Patterns: patterns(t, "email")}}})
	if err != nil {
		t.Fatal(err)
	}
	ren, err := NewRenamer(Renaming{IDs: IDKinds[:], With: "{id}", Original: "was"})
	if err != nil {
		t.Fatal(err)
	}
	lim, err := NewLimiter(RateLimit{Rate: Rate{Spans: 1e6, Bytes: 1e9}})
	if err != nil {
		t.Fatal(err)
	}
	var stored atomic.Int64
	next := stepSink(func(b *trace.Batch) error { stored.Add(int64(len(b.Spans))); return nil })
	ch, reg, _ := chain(next, Config{Steps: []Configured{
		{Name: "sample", Step: NewSampler(Sampling{Percent: 50})},
		{Name: "redact", Step: red},
		{Name: "rename", Step: ren, When: When{Services: []trace.Glob{"shop"}}},
		{Name: "limit", Step: lim},
		{Name: "odd", Step: stepFunc(dropOdd), When: When{Tenants: []trace.Glob{"b"}}},
	}})
	spans := append(randomIDs(plain(50)), secretive())
	spans = append(spans, many("other", 10)...)
	const senders = 8
	var work sync.WaitGroup
	for i := range senders {
		work.Go(func() {
			ctx := trace.WithTenant(t.Context(), []string{"a", "b"}[i%2])
			var b trace.Batch
			for k := range 50 {
				mine := slices.Clone(spans)
				mine[0].Attrs = append(slices.Clone(mine[0].Attrs), trace.Attr{Key: fmt.Sprint("key ", i, k), Value: trace.String("x")})
				if err := trace.Pack(&b, mine, trace.DefaultLimits()); err != nil {
					t.Error(err)
				}
				if err := ch.Append(ctx, &b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	dropped := int64(total(t, reg, "clew_process_dropped_spans_total"))
	if n := int64(senders * 50 * len(spans)); stored.Load()+dropped != n || stored.Load() == 0 || dropped == 0 {
		t.Errorf("%d stored, %d dropped of %d", stored.Load(), dropped, n)
	}
}

type stepSink func(b *trace.Batch) error

func (s stepSink) Append(_ context.Context, b *trace.Batch) error { return s(b) }

// TestLongServices: the names of services are not remembered at any length.
func TestLongServices(t *testing.T) {
	l, err := NewLimiter(RateLimit{Rate: Rate{Spans: 10}})
	if err != nil {
		t.Fatal(err)
	}
	l.bucket("a", []byte(strings.Repeat("x", 1<<20)), time.Now())
	l.bucket("a", []byte("short"), time.Now())
	for key := range l.buckets {
		if len(key.service) > 1000 {
			t.Errorf("a name of %d bytes is remembered", len(key.service))
		}
	}
	if len(l.buckets) != 2 {
		t.Errorf("%d buckets; want 2", len(l.buckets))
	}
}
