package tenants

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// config is of a store in a folder, with so much memory for the heads of all.
func config(dir string, headBytes int64) spool.Config {
	cfg := spool.Default()
	cfg.Dir, cfg.HeadBytes, cfg.HeadAge = dir, headBytes, time.Second
	return cfg
}

func open(t testing.TB, cfg spool.Config, others ...Tenant) *Store {
	t.Helper()
	s, err := Open(cfg, others, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func as(t testing.TB, name string) context.Context { return trace.WithTenant(t.Context(), name) }

// add appends a trace of one span that starts then, of a service that is named like the tenant.
func add(t testing.TB, s *Store, tenant string, id byte, start time.Time) {
	t.Helper()
	pad := make([]byte, 1000) // which nothing makes smaller
	for i := range pad {
		pad[i] = byte(rand.Uint32())
	}
	span := trace.Span{
		TraceID: trace.ID{15: id}, ID: trace.SpanID{7: 1}, Name: "of " + tenant, Start: uint64(start.UnixNano()), End: uint64(start.UnixNano()) + 1, Scope: &trace.Scope{},
		Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(tenant)}}},
		Attrs:    []trace.Attr{{Key: "pad", Value: trace.Bytes(pad)}},
	}
	var b trace.Batch
	if err := trace.Pack(&b, []trace.Span{span}, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(as(t, tenant), &b); err != nil {
		t.Fatal(err)
	}
}

// has reports whether a tenant has a trace, and holds that it is its own.
func has(t testing.TB, s *Store, tenant string, id byte) bool {
	t.Helper()
	tr, err := s.Trace(as(t, tenant), trace.ID{15: id}, trace.Range{})
	if trace.KindOf(err) == trace.NotFound {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range tr.Spans {
		if tr.Spans[i].Service() != tenant {
			t.Fatalf("%s is given a span of %s", tenant, tr.Spans[i].Service())
		}
	}
	return true
}

// TestApart gives three tenants a trace with the same ID, and asks each by each call, before and after a restart: none sees another's.
func TestApart(t *testing.T) {
	dir := t.TempDir()
	others := []Tenant{{Name: "a"}, {Name: "b"}}
	s := open(t, config(dir, 3<<20), others...)
	all := []string{trace.DefaultTenant, "a", "b"}
	for _, tenant := range all {
		add(t, s, tenant, 1, time.Now())
	}
	look := func() {
		t.Helper()
		for _, tenant := range all {
			ctx := as(t, tenant)
			if !has(t, s, tenant, 1) {
				t.Errorf("%s has lost its trace", tenant)
			}
			n := 0
			for tr, err := range s.Scan(ctx, trace.Scan{}, &trace.ScanReport{}) {
				if err != nil || tr.Spans[0].Service() != tenant {
					t.Fatalf("%s scans %+v, %v", tenant, tr, err)
				}
				n++
			}
			services, err1 := s.Services(ctx)
			ops, err2 := s.Operations(ctx, "")
			st, err3 := s.Stats(ctx)
			attrs, err4 := s.Attributes(ctx, trace.AttrQuery{Key: "service.name"})
			if n != 1 || fmt.Sprint(services) != "["+tenant+"]" || len(ops) != 1 || ops[0].Name != "of "+tenant || st.Spans != 1 ||
				len(attrs.Keys) != 1 || len(attrs.Keys[0].Values) != 1 || attrs.Keys[0].Values[0].Value.Text() != tenant {
				t.Errorf("%s sees %d traces, services %v, operations %v, %+v, %+v (%v %v %v %v)", tenant, n, services, ops, st, attrs, err1, err2, err3, err4)
			}
		}
	}
	look()
	if !has(t, s, trace.DefaultTenant, 1) {
		t.Error("who names nobody is not the default")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, config(dir, 3<<20), others...)
	look()

	if n, err := s.Delete(as(t, "a"), []trace.ID{{15: 1}}); n != 1 || err != nil || s.Deletions() != 1 {
		t.Errorf("deleted %d of %d, %v", n, s.Deletions(), err)
	}
	for tenant, want := range map[string]bool{trace.DefaultTenant: true, "a": false, "b": true} {
		deleted := s.Deleted(as(t, tenant))
		if has(t, s, tenant, 1) != want || (deleted == nil) != want {
			t.Errorf("after a's trace was deleted, %s has one: %v", tenant, !want)
		}
	}
}

// TestUnknown: who is not configured, exactly so, gets nothing and leaves nothing.
func TestUnknown(t *testing.T) {
	dir := t.TempDir()
	s := open(t, config(dir, 3<<20), Tenant{Name: "team-a"})
	for _, name := range []string{"b", "Team-a", "team-", "team-a ", "team-a, team-a", "../tenants/team-a", ".", "..", "\x00", strings.Repeat("x", 1000)} {
		ctx := as(t, name)
		_, err1 := s.Trace(ctx, trace.ID{1}, trace.Range{})
		_, err2 := s.Services(ctx)
		_, err3 := s.Operations(ctx, "")
		_, err4 := s.Attributes(ctx, trace.AttrQuery{})
		_, err5 := s.Stats(ctx)
		_, err6 := s.Delete(ctx, []trace.ID{{1}})
		errs := []error{err1, err2, err3, err4, err5, err6, s.Append(ctx, &trace.Batch{})}
		for _, err := range s.Scan(ctx, trace.Scan{}, &trace.ScanReport{}) {
			errs = append(errs, err)
		}
		if len(errs) != 8 {
			t.Fatalf("%q: a scan does not end", name)
		}
		for i, err := range errs {
			if trace.KindOf(err) != trace.UnknownTenant {
				t.Errorf("%q: call %d: %v", name, i, err)
			}
		}
		if age, n := s.Retention(ctx); age != 0 || n != 0 || s.Deleted(ctx) != nil {
			t.Errorf("%q has a retention of %v and %d", name, age, n)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "tenants")); err != nil || len(entries) != 1 {
		t.Errorf("folders %v, %v", entries, err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a b", "ü", "default", strings.Repeat("x", 65)} {
		if CheckName(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	for _, name := range []string{"a", "...", "A-b_c.9", strings.Repeat("x", 64)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
}

// TestRetentionByAge moves the clock: each tenant's spans go when its own retention says, and nobody else's.
func TestRetentionByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t.TempDir(), 4<<20)
		cfg.Retention = 10 * time.Minute
		s := open(t, cfg, Tenant{Name: "short", Retention: 2 * time.Minute}, Tenant{Name: "long", Retention: time.Hour}, Tenant{Name: "ever"})
		all := []string{trace.DefaultTenant, "short", "long", "ever"}
		for _, tenant := range all {
			add(t, s, tenant, 1, time.Now())
		}
		for _, step := range []struct {
			by   time.Duration
			want string
		}{
			{110 * time.Second, "default short long ever"},
			{20 * time.Second, "default long ever"},
			{7 * time.Minute, "default long ever"},
			{time.Minute, "long ever"},
			{49 * time.Minute, "long ever"},
			{time.Minute, "ever"},
			{5 * time.Hour, "ever"},
		} {
			time.Sleep(step.by)
			synctest.Wait()
			var left []string
			for _, tenant := range all {
				if has(t, s, tenant, 1) {
					left = append(left, tenant)
				}
			}
			if got := strings.Join(left, " "); got != step.want {
				t.Errorf("%v later %q have theirs; want %q", step.by, got, step.want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRetentionByBytes fills two tenants' stores alike: one keeps as much as it may, the other all.
func TestRetentionByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t.TempDir(), 3<<20)
		cfg.BlockSpans = 1 << 17
		s := open(t, cfg, Tenant{Name: "small", RetentionBytes: 30_000}, Tenant{Name: "large"})
		for i := range byte(100) {
			for _, tenant := range []string{"small", "large"} {
				add(t, s, tenant, i+1, time.Now())
			}
			if i%10 == 9 {
				time.Sleep(3 * time.Second) // blocks are made of them
				synctest.Wait()
			}
		}
		kept := map[string]int{}
		for i := range byte(100) {
			for _, tenant := range []string{"small", "large"} {
				if has(t, s, tenant, i+1) {
					kept[tenant]++
				}
			}
		}
		small, err := s.Stats(as(t, "small"))
		if err != nil || kept["large"] != 100 || kept["small"] == 0 || kept["small"] > 30 || small.Bytes > 40_000 {
			t.Errorf("kept %v, %+v, %v", kept, small, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestOpen looks at what is logged and counted, by tenant, and at what is wrong with a folder.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	reg := prometheus.NewRegistry()
	s, err := Open(config(dir, 3<<20), []Tenant{{Name: "a"}, {Name: "gone"}}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, "a", 1, time.Now())
	if _, err := Open(config(filepath.Join(dir, "tenants", "a"), 3<<20), nil, log, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "in use by another clew") {
		t.Errorf("a tenant's folder is opened twice: %v", err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[len(m.GetLabel())-1].GetName() != "tenant" {
				t.Errorf("%s has labels %v", f.GetName(), m.GetLabel())
			}
			if f.GetName() == "clew_store_appended_spans_total" {
				counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if len(counted) != 3 || counted["a"] != 1 || counted["default"] != 0 {
		t.Errorf("counted %v", counted)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"store is open\" tenant=default", "store is open\" tenant=a"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, &out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "tenants", "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if _, err := Open(config(dir, 3<<20), []Tenant{{Name: "a"}, {Name: "b"}}, log, prometheus.NewRegistry()); err == nil || !strings.HasPrefix(err.Error(), "tenant b: ") {
		t.Errorf("a file in a folder's place: %v", err)
	}
	s, err = Open(config(dir, 3<<20), []Tenant{{Name: "a"}}, log, prometheus.NewRegistry()) // what was opened before was closed
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil || !strings.Contains(out.String(), "a tenant that is not configured has data") || !strings.Contains(out.String(), "tenant=gone folder=") {
		t.Errorf("%v\n%s", err, &out)
	}
}
