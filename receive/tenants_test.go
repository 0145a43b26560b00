package receive

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/trace"
)

func as(tenant string) context.Context { return trace.WithTenant(context.Background(), tenant) }

// TestShares: a tenant that holds what it can leaves something for others, each time less, and has all of it back when they are done.
func TestShares(t *testing.T) {
	const total, piece = 64 << 20, 1 << 20
	b := NewBodies(1<<20, total)
	reg := prometheus.NewRegistry()
	b.Share(NewTenants([]Tenant{{Name: "default"}, {Name: "a"}, {Name: "b"}}, reg))
	var releases []func()
	fill := func(tenant string) (pieces int) {
		for {
			release, err := b.HoldFor(as(tenant), piece)
			if err != nil {
				if trace.KindOf(err) != trace.Busy {
					t.Fatal(err)
				}
				return pieces
			}
			releases = append(releases, release)
			pieces++
		}
	}
	a, b1, d := fill("a"), fill("b"), fill("default")
	if a != 48 || b1 != 12 || d != 3 { // three quarters of what is left
		t.Errorf("a holds %d MiB, then b %d, then default %d", a, b1, d)
	}
	if _, err := b.Read(posted(as("a"), 1)); err != nil && trace.KindOf(err) != trace.Busy {
		t.Error(err)
	}
	for _, release := range releases {
		release()
	}
	releases = nil
	if again := fill("b"); again != 48 {
		t.Errorf("when all is free, b holds %d MiB", again)
	}
	if _, err := b.HoldFor(as("c"), 1); trace.KindOf(err) != trace.UnknownTenant {
		t.Errorf("an unknown tenant: %v", err)
	}
	if n := testutil.ToFloat64(b.tenants.requests.WithLabelValues("a", "share")); n != 2 {
		t.Errorf("a was refused %v times because of its share", n)
	}
}

func posted(ctx context.Context, size int) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, size))).WithContext(ctx)
}

// TestSharesOfBodies: what one tenant's slow bodies hold is its own, and the largest body passes while no other tenant holds anything.
func TestSharesOfBodies(t *testing.T) {
	b := NewBodies(1<<20, 4<<20) // as little as is allowed
	b.Share(NewTenants([]Tenant{{Name: "default"}, {Name: "a"}, {Name: "b"}}, prometheus.NewRegistry()))
	body, err := b.Read(posted(as("a"), 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	release, err := body.Hold(2 << 20) // its binary form, in pieces and as a whole
	if err != nil {
		t.Fatal(err)
	}
	if other, err := b.Read(posted(as("b"), 100<<10)); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	if _, err := b.Read(posted(as("a"), 1<<20)); trace.KindOf(err) != trace.Busy {
		t.Errorf("another of the same tenant: %v", err)
	}
	release()
	body.Release()
	if held := b.held.Load(); held != 0 || b.tenants.accounts["a"].held.Load() != 0 || b.tenants.accounts["b"].held.Load() != 0 {
		t.Errorf("%d bytes are held by nobody", held)
	}
}

// TestUnknownTenant: of a tenant that there is not a request is refused before memory is taken for it, and read, so that who sends it sees why.
func TestUnknownTenant(t *testing.T) {
	b := NewBodies(1<<20, 4<<20)
	b.Share(NewTenants([]Tenant{{Name: "default"}}, prometheus.NewRegistry()))
	body := bytes.NewReader(make([]byte, 1<<20))
	req := httptest.NewRequest(http.MethodPost, "/", body).WithContext(as("nobody"))
	if _, err := b.Read(req); trace.KindOf(err) != trace.UnknownTenant || body.Len() > 0 || b.held.Load() != 0 {
		t.Errorf("%v; %d bytes were not read, %d are held", err, body.Len(), b.held.Load())
	}
	if len(b.tenants.accounts) != 1 {
		t.Errorf("there are accounts of %d tenants", len(b.tenants.accounts))
	}
}

// TestLimits: a tenant may send its burst at once and its rate then; one request is never too large; others are not held back by it.
func TestLimits(t *testing.T) {
	tenants := NewTenants([]Tenant{{Name: "default"}, {Name: "a", Spans: 100, Bytes: 1000, Burst: 5 * time.Second}}, prometheus.NewRegistry())
	a, err := tenants.of(as("a"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	step := func(after time.Duration, spans, bytes int, wait time.Duration) {
		t.Helper()
		now = now.Add(after)
		err := a.charge(now, spans, bytes)
		if (err != nil) != (wait > 0) || err != nil && (!errors.Is(err, errLimit) || trace.KindOf(err) != trace.Busy || trace.ErrorOf(err).After.Round(time.Millisecond) != wait) {
			t.Errorf("%d spans, %d bytes: %v, after %v; want to wait for %v", spans, bytes, err, trace.ErrorOf(err).After, wait)
		}
	}
	step(0, 499, 10, 0)
	step(0, 1001, 10, 0) // what is left is one: 1,000 spans are a debt of 10 s
	step(0, 1, 10, 10*time.Second)
	step(4*time.Second, 1, 10, 6*time.Second)
	step(7*time.Second, 1, 10, 0)
	step(time.Hour, 1, 6000, 0)
	step(0, 1, 10, time.Second)
	step(2*time.Second, 500, 10, 0)
	if d, err := tenants.of(as("default")); err != nil || d.charge(now, 1<<30, 1<<30) != nil {
		t.Errorf("the default, which has no limit: %v", err)
	}
	var none *Tenants
	if a, err := none.of(as("x")); a != nil || err != nil || a.charge(now, 1, 1) != nil {
		t.Errorf("without tenants: %v, %v", a, err)
	}
}

// TestTenantCounts: of each tenant, received = stored + refused.
func TestTenantCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	tenants := NewTenants([]Tenant{{Name: "default"}, {Name: "a", Spans: 1, Burst: time.Second}}, reg)
	in := Inlet{Protocol: "x", Sink: sinkOf(nil), Meter: NewMeter(reg), Tenants: tenants, Limits: func(context.Context) trace.Limits { return trace.DefaultLimits() }}
	raw := trace.AppendTraces(nil, []trace.Span{
		{TraceID: trace.ID{1}, ID: trace.SpanID{1}, Start: 1, End: 2, Resource: &trace.Resource{}, Scope: &trace.Scope{}},
		{TraceID: trace.ID{1}, ID: trace.SpanID{2}, Start: 1, End: 2, Resource: &trace.Resource{}, Scope: &trace.Scope{}},
		{ID: trace.SpanID{2}, Start: 1, End: 2, Resource: &trace.Resource{}, Scope: &trace.Scope{}},
	})
	write := func(tenant string, want trace.ErrorKind, fine bool) {
		t.Helper()
		var b trace.Batch
		if err := in.Index(as(tenant), &b, raw); err != nil {
			t.Fatal(err)
		}
		if err := in.Write(as(tenant), &b); (err == nil) != fine || !fine && trace.KindOf(err) != want {
			t.Errorf("tenant %s: %v", tenant, err)
		}
	}
	write("default", 0, true)
	write("default", 0, true)
	write("a", 0, true)
	write("a", trace.Busy, false)
	write("nobody", trace.UnknownTenant, false)
	if received, refused, stored := in.Totals(as("a")); received != 6 || refused != 4 || stored != 2 {
		t.Errorf("a's totals are %d, %d, %d", received, refused, stored)
	}
	want := `# HELP clew_tenant_received_spans_total Spans that arrived of a tenant: those stored and those refused.
# TYPE clew_tenant_received_spans_total counter
clew_tenant_received_spans_total{tenant="a"} 6
clew_tenant_received_spans_total{tenant="default"} 6
# HELP clew_tenant_refused_spans_total Spans of a tenant that were refused, by reason.
# TYPE clew_tenant_refused_spans_total counter
clew_tenant_refused_spans_total{reason="bad_trace_id",tenant="a"} 2
clew_tenant_refused_spans_total{reason="bad_trace_id",tenant="default"} 2
clew_tenant_refused_spans_total{reason="busy",tenant="a"} 0
clew_tenant_refused_spans_total{reason="busy",tenant="default"} 0
clew_tenant_refused_spans_total{reason="limit",tenant="a"} 2
clew_tenant_refused_spans_total{reason="limit",tenant="default"} 0
clew_tenant_refused_spans_total{reason="share",tenant="a"} 0
clew_tenant_refused_spans_total{reason="share",tenant="default"} 0
# HELP clew_tenant_stored_spans_total Spans of a tenant that were stored and acknowledged.
# TYPE clew_tenant_stored_spans_total counter
clew_tenant_stored_spans_total{tenant="a"} 2
clew_tenant_stored_spans_total{tenant="default"} 4
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "clew_tenant_received_spans_total", "clew_tenant_refused_spans_total", "clew_tenant_stored_spans_total"); err != nil {
		t.Error(err)
	}
}

type sinkOf func(b *trace.Batch) error

func (f sinkOf) Append(_ context.Context, b *trace.Batch) error {
	if f == nil {
		return nil
	}
	return f(b)
}
