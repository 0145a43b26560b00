package tracecontext

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/contrib/propagators/jaeger"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/clewtrace/clew/trace"
)

// pair is one of our formats, and OpenTelemetry's propagator for it.
type pair struct {
	ours   Propagator
	theirs propagation.TextMapPropagator
}

func pairs() map[string]pair {
	return map[string]pair{
		"tracecontext": {Propagator{TraceContext}, propagation.TraceContext{}},
		"baggage":      {Propagator{Baggage}, propagation.Baggage{}},
		"b3":           {Propagator{B3}, b3.New(b3.WithInjectEncoding(b3.B3SingleHeader))},
		"b3multi":      {Propagator{B3Multi}, b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))},
		"both":         {Propagator{B3, B3Multi}, b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader | b3.B3SingleHeader))},
		"jaeger":       {Propagator{Jaeger}, jaeger.Jaeger{}},
		"all": {Propagator{TraceContext, Baggage, B3, B3Multi, Jaeger, Linkerd}, propagation.NewCompositeTextMapPropagator(
			jaeger.Jaeger{}, b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)), propagation.TraceContext{}, propagation.Baggage{})}, // there the last one counts
	}
}

// anyContext returns a context of OpenTelemetry's with anything in it that its propagators can carry.
func anyContext(t *testing.T, r *rand.Rand) context.Context {
	t.Helper()
	var c oteltrace.SpanContextConfig
	for i := range c.TraceID {
		c.TraceID[i] = byte(r.Uint32())
	}
	if r.IntN(3) == 0 { // of 64 bits
		clear(c.TraceID[:8])
	}
	for i := range c.SpanID {
		c.SpanID[i] = byte(r.Uint32())
	}
	c.TraceFlags = oteltrace.TraceFlags(r.IntN(4))
	for range r.IntN(4) {
		state, err := c.TraceState.Insert(text(r, "abcdefgh", 8)+text(r, "0123456789_-*/", 3), text(r, `abc0!"#$%&'()*+-./:;<>?@[]^_{|}~`, 20))
		if err != nil {
			t.Fatal(err)
		}
		c.TraceState = state
	}
	var members []baggage.Member
	for range r.IntN(4) {
		m, err := baggage.NewMemberRaw(text(r, "abcXYZ019!#$&'*+-.^_`|~", 10), text(r, "abc ü,;=\\\"%日\t🙂", 12))
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	bag, err := baggage.New(members...)
	if err != nil {
		t.Fatal(err)
	}
	return baggage.ContextWithBaggage(oteltrace.ContextWithRemoteSpanContext(context.Background(), oteltrace.NewSpanContext(c)), bag)
}

// text returns 1 to n letters of an alphabet.
func text(r *rand.Rand, alphabet string, n int) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range 1 + r.IntN(n) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// said is what a context says, in one form for theirs and ours.
type said struct {
	TraceID, SpanID, State string
	Sampled, Random        bool
	Items                  []string
}

func theirsSays(ctx context.Context) said {
	sc := oteltrace.SpanContextFromContext(ctx)
	s := said{sc.TraceID().String(), sc.SpanID().String(), sc.TraceState().String(), sc.IsSampled(), sc.TraceFlags().IsRandom(), nil}
	for _, m := range baggage.FromContext(ctx).Members() {
		s.Items = append(s.Items, m.Key()+"="+m.Value())
	}
	slices.Sort(s.Items)
	return s
}

func oursSays(c Context) said {
	s := said{c.TraceID.String(), c.SpanID.String(), c.State, c.Sampling >= Sampled, c.Random, nil}
	for k, v := range Items(c.Baggage) {
		s.Items = append(s.Items, k+"="+v)
	}
	slices.Sort(s.Items)
	return s
}

// TestOpenTelemetry: what OpenTelemetry's own propagators write we read as they do, and they read what we write, as we do.
func TestOpenTelemetry(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, p := range pairs() {
		for range 500 {
			ctx := anyContext(t, r)
			theirs := http.Header{}
			p.theirs.Inject(ctx, propagation.HeaderCarrier(theirs))
			want := theirsSays(p.theirs.Extract(context.Background(), propagation.HeaderCarrier(theirs)))
			got := p.ours.Extract(HTTP(theirs))
			if d := cmp.Diff(want, oursSays(got)); d != "" {
				t.Fatalf("%s: of %v we read: %s", name, theirs, d)
			}
			ours := http.Header{}
			p.ours.Inject(&got, HTTP(ours))
			if d := cmp.Diff(want, theirsSays(p.theirs.Extract(context.Background(), propagation.HeaderCarrier(ours)))); d != "" {
				t.Fatalf("%s: of %v they read: %s", name, ours, d)
			}
		}
	}
}

// TestOpenTelemetryOurs: contexts of our own, with parents and all decisions, are what OpenTelemetry's propagators say they are.
func TestOpenTelemetryOurs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, p := range pairs() {
		for range 500 {
			c := Context{Sampling: Sampling(r.IntN(4))}
			for i := range c.TraceID {
				c.TraceID[i] = byte(r.Uint32())
			}
			for i := range c.SpanID {
				c.SpanID[i] = byte(r.Uint32())
			}
			if r.IntN(2) == 0 {
				c.Parent = trace.SpanID(c.TraceID[:8])
			}
			h := http.Header{}
			p.ours.Inject(&c, HTTP(h))
			want := oursSays(p.ours.Extract(HTTP(h)))
			if d := cmp.Diff(want, theirsSays(p.theirs.Extract(context.Background(), propagation.HeaderCarrier(h)))); d != "" {
				t.Fatalf("%s: of %v they read: %s", name, h, d)
			}
		}
	}
}

// TestOpenTelemetryMutations: of headers with a letter changed, we read a trace where they read one and nowhere else, but for the few
// cases that are named.
func TestOpenTelemetryMutations(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const letters = "0123456789abcdefABCDEFg-:%, =d"
	for _, name := range []string{"tracecontext", "b3", "b3multi", "jaeger"} {
		p := pairs()[name]
		differ := map[string]int{}
		for range 5_000 {
			h := http.Header{}
			p.theirs.Inject(anyContext(t, r), propagation.HeaderCarrier(h))
			var names []string
			for n := range h {
				if n != stateHeader {
					names = append(names, n)
				}
			}
			slices.Sort(names)
			n := names[r.IntN(len(names))]
			v := []byte(h.Get(n))
			if len(v) == 0 {
				continue
			}
			switch at := r.IntN(len(v)); r.IntN(3) {
			case 0:
				v[at] = letters[r.IntN(len(letters))]
			case 1:
				v = slices.Delete(v, at, at+1)
			default:
				v = slices.Insert(v, at, letters[r.IntN(len(letters))])
			}
			h.Set(n, string(v))
			got, want := oursSays(p.ours.Extract(HTTP(h))), theirsSays(p.theirs.Extract(context.Background(), propagation.HeaderCarrier(h)))
			got.State, want.State = "", "" // level 2's keys are more than theirs
			if d := cmp.Diff(want, got); d != "" && !known(name, string(v)) {
				if differ[d]++; len(differ) < 5 {
					t.Errorf("%s: of %s %q we read: %s", name, n, v, d)
				}
			}
		}
	}
}

// known reports whether a header is one that we and OpenTelemetry's propagators read differently on purpose.
func known(format, v string) bool {
	switch format {
	case "tracecontext": // flags that nobody knows yet: level 2 has a reader ignore them, theirs refuses the header
		return len(v) == parentLength && strings.HasPrefix(v, "00-") && !strings.HasPrefix(v[53:], "0") || strings.HasSuffix(v, fmt.Sprint("-0", v[len(v)-1:])) && v[len(v)-1] > '3'
	case "b3": // theirs takes anything for the "-" behind the span ID
		at := strings.IndexByte(v, '-') + 1 + 16
		return at < len(v) && v[at] != '-'
	case "jaeger": // theirs takes no upper case, no percent-encoded colon; and any third part, empty parts, and flags of more than a byte
		return strings.ContainsAny(v, "ABCDEF%-= ,g") || strings.Contains(v, "::") || strings.HasSuffix(v, ":") || strings.HasPrefix(v, ":") || len(v) > 54
	}
	return false
}
