package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// ask makes a request for a tenant, named by a header unless it is empty; by several headers if it has semicolons.
func ask(t testing.TB, method, url, tenant string, body []byte) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(tenant, ";") {
		req.Header.Add("X-Scope-OrgID", name) // an empty one is as good as none
	}
	if req.Header.Set("Content-Type", "application/x-protobuf"); strings.HasSuffix(url, "/api/v2/spans") {
		req.Header.Set("Content-Type", "application/json")
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	out, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(out), r.Header
}

// ownedBy returns the OTLP bytes of the one trace that all tenants have by the same ID, span IDs and number of spans.
func ownedBy(tenant string) []byte {
	now := uint64(time.Now().UnixNano())
	spans := make([]trace.Span, 3)
	for k := range spans {
		spans[k] = trace.Span{
			TraceID: idOf(1), ID: trace.SpanID{7: byte(k + 1)}, Name: "work", Start: now + uint64(k), End: now + 10, Scope: &trace.Scope{},
			Resource: &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shared")}}},
			Attrs:    []trace.Attr{{Key: "owner", Value: trace.String("owner-is-" + tenant)}},
		}
	}
	return trace.AppendTraces(nil, spans)
}

// withTenants starts a server with the tenants a and b.
func withTenants(t testing.TB, dir string) *testkit.Server {
	t.Helper()
	return testkit.StartIn(t, dir, "--tenants.list", "a retention=30d, b")
}

// questions is every call that tells of the trace, and of what it has.
func questions(s *testkit.Server) []string {
	id, page, zipkin := idOf(1).String(), s.URL("query"), s.URL("zipkin")
	return []string{
		page + "/api/traces/" + id, page + "/api/traces?service=shared&limit=10&lookback=1h", page + "/api/traces?traceID=" + id,
		zipkin + "/api/v2/trace/" + id, zipkin + "/api/v2/traces?serviceName=shared&limit=10", zipkin + "/api/v2/traceMany?traceIds=" + id + "," + idOf(2).String(),
		zipkin + "/api/v2/autocompleteValues?key=owner",
		page + "/api/v1/traces/" + id, page + "/api/v1/traces/" + id + "/rows?from=0&to=3&version=3", page + "/api/v1/attributes/owner/values",
	}
}

// TestTenants has three tenants send a trace with the same ID, each over another protocol, and ask every API in turns, caches warm: each
// gets its own and nobody else's, also after a crash, and after one deleted its own.
func TestTenants(t *testing.T) {
	s := withTenants(t, t.TempDir())
	all := []string{"", "a", "b"}
	if code, _, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", "", ownedBy("nobody")); code != 200 {
		t.Fatal(code)
	}
	if err := export(t, s, "a", ownedBy("a")); err != nil {
		t.Fatal(err)
	}
	if code, text, _ := ask(t, "POST", s.URL("zipkin")+"/api/v2/spans", "b", zipkinOf("b")); code != 202 {
		t.Fatal(code, text)
	}
	check := func(deleted string) {
		t.Helper()
		id := idOf(1).String()
		for range 2 { // what one has in a cache, the other must not get
			for _, tenant := range all {
				ask(t, "GET", s.URL("query")+"/api/v1/traces/"+id+"/columns", tenant, nil)
			}
			for _, url := range questions(s) {
				for _, tenant := range all {
					owner := tenant
					if tenant == "" {
						owner = "nobody"
					}
					_, body, header := ask(t, "GET", url, tenant, nil)
					if got := strings.Contains(body, "owner-is-"+owner); got == (owner == deleted) && !strings.Contains(url, "Values") && !strings.Contains(url, "values") {
						t.Errorf("%s, tenant %q: own trace: %v: %s", url, tenant, got, body)
					}
					if rest := strings.ReplaceAll(body, "owner-is-"+owner, ""); strings.Contains(rest, "owner-is-") {
						t.Errorf("%s, tenant %q is given another's: %s", url, tenant, body)
					}
					if !strings.Contains(strings.Join(header.Values("Vary"), ","), "X-Scope-OrgID") {
						t.Errorf("%s may be cached for all tenants: %v", url, header)
					}
				}
			}
		}
	}
	check("")
	s.Kill()
	s = withTenants(t, s.Dir)
	check("")

	admin := "--admin=" + s.URL("admin")
	run := func(status int, out string, args ...string) {
		t.Helper()
		if r := testkit.Run(t, nil, args...); r.Status != status || !strings.Contains(r.Stdout+r.Stderr, out) {
			t.Errorf("clew %v: status %d, %s%s; want %d, %q", args, r.Status, r.Stdout, r.Stderr, status, out)
		}
	}
	run(1, `there is no tenant "c"`, "delete", admin, "--tenant", "c", "--all")
	run(1, "the server knows no tenants, or names them by another header", "delete", admin, "--tenant", "a", "--tenant-header", "X-Team", "--all")
	run(2, "is empty", "delete", admin, "--tenant", "", "--all")
	kept := t.TempDir()
	run(1, `there is no tenant "c"`, "backup", admin, "--tenant", "c", filepath.Join(kept, "c"))
	run(0, "  3 spans,", "backup", admin, "--tenant", "b", filepath.Join(kept, "b"))
	run(0, "", "restore", "--data", filepath.Join(kept, "data"), filepath.Join(kept, "b"))
	restored := testkit.StartIn(t, filepath.Join(kept, "data"))
	if _, body, _ := ask(t, "GET", restored.URL("query")+"/api/traces/"+idOf(1).String(), "", nil); !strings.Contains(body, "owner-is-b") {
		t.Errorf("restored of b's backup: %s", body)
	}
	run(0, "of the tenant default alone", "delete", admin, "--all", "--dry-run")
	run(0, "deleted   1 trace\n", "delete", admin, "--tenant", "a", "--all")
	check("a")
	for _, protocol := range []string{"otlp/grpc", "otlp/http"} {
		endpoint := "--endpoint=" + s.Address(strings.Replace(protocol, "/", "_", 1))
		run(0, "refused   0\n", "load", endpoint, "--protocol", protocol, "--tenant", "a", "--rate", "0", "--spans", "2000", "--batch", "200", "--seed", "7")
		run(1, `there is no tenant "c"`, "load", endpoint, "--protocol", protocol, "--tenant", "c", "--rate", "0", "--spans", "400", "--batch", "200")
	}
	for tenant, want := range map[string]bool{"": false, "a": true, "b": false} {
		if _, body, _ := ask(t, "GET", s.URL("query")+"/api/v1/services", tenant, nil); strings.Contains(body, "frontend") != want {
			t.Errorf("the load of tenant a is seen by %q: %v", tenant, !want)
		}
	}
	for tenant, want := range map[string]string{"": `"ageNs":604800000000000`, "a": `"ageNs":2592000000000000`, "b": `"ageNs":604800000000000`} {
		if _, body, _ := ask(t, "GET", s.URL("query")+"/api/v1/status", tenant, nil); !strings.Contains(body, want) {
			t.Errorf("status of %q: %s", tenant, body)
		}
	}
}

// TestRetentionOfTenants: a span that is too old for one tenant is not for another, and a trace deleted by one is not deleted by another.
func TestRetentionOfTenants(t *testing.T) {
	s := withTenants(t, t.TempDir())
	old := uint64(time.Now().Add(-10 * 24 * time.Hour).UnixNano()) // default and b: 7 days; a: 30
	span := trace.Span{TraceID: idOf(1), ID: trace.SpanID{7: 1}, Name: "old", Start: old, End: old, Resource: &trace.Resource{}, Scope: &trace.Scope{}}
	raw := trace.AppendTraces(nil, []trace.Span{span})
	for _, tenant := range []string{"", "b"} {
		if code, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", tenant, raw); code != 200 || !strings.Contains(text, "1 of 1 spans were refused") {
			t.Errorf("%q keeps a span that is past its retention: %d %q", tenant, code, text)
		}
	}
	if code, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", "a", raw); code != 200 || text != "" {
		t.Errorf("a refuses a span within its retention: %d %q", code, text)
	}
	if r := testkit.Run(t, nil, "delete", "--admin="+s.URL("admin"), "--tenant", "a", idOf(1).String()); r.Status != 0 {
		t.Fatal(r.Stderr)
	}
	for tenant, want := range map[string]bool{"": false, "a": true, "b": false} {
		if _, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", tenant, ownedBy(tenant)); strings.Contains(text, "which was deleted") != want {
			t.Errorf("a deleted the trace; %q is told %q", tenant, text)
		}
	}
}

// zipkinOf returns the trace of ownedBy in Zipkin's form.
func zipkinOf(tenant string) []byte {
	var b strings.Builder
	for k := range 3 {
		fmt.Fprintf(&b, `,{"traceId":"%s","id":"%016x","name":"work","timestamp":%d,"duration":10,"localEndpoint":{"serviceName":"shared"},"tags":{"owner":"owner-is-%s"}}`,
			idOf(1), k+1, time.Now().UnixMicro()+int64(k), tenant)
	}
	return []byte("[" + b.String()[1:] + "]")
}

// export sends OTLP bytes over gRPC for a tenant.
func export(t testing.TB, s *testkit.Server, tenant string, raw []byte) error {
	t.Helper()
	conn, err := grpc.NewClient(s.Address("otlp_grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var req coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &req); err != nil {
		t.Fatal(err)
	}
	_, err = coltracepb.NewTraceServiceClient(conn).Export(metadata.AppendToOutgoingContext(context.Background(), "x-scope-orgid", tenant), &req)
	return err
}

// TestUnknownTenant: one that is not listed is refused by each protocol in its own way, before its spans are read, and leaves nothing.
func TestUnknownTenant(t *testing.T) {
	s := withTenants(t, t.TempDir())
	for _, name := range []string{"c", "A", "a,b", "../a", "a;b", ";a", "a;a"} {
		code, text, _ := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", name, ownedBy("c"))
		if code != 403 || !strings.Contains(text, "there is no tenant") || !strings.Contains(text, "tenants.list") {
			t.Errorf("OTLP/HTTP, %q: %d %q", name, code, text)
		}
		if err := export(t, s, strings.ReplaceAll(name, ";", ", "), ownedBy("c")); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "there is no tenant") {
			t.Errorf("OTLP/gRPC, %q: %v", name, err)
		}
		if code, text, _ := ask(t, "POST", s.URL("zipkin")+"/api/v2/spans", name, zipkinOf("c")); code != 403 || !strings.Contains(text, "there is no tenant") {
			t.Errorf("Zipkin, %q: %d %q", name, code, text)
		}
		for _, url := range append(questions(s), s.URL("query")+"/api/v1/status", s.URL("query")+"/api/services", s.URL("zipkin")+"/api/v2/services") {
			if code, text, _ := ask(t, "GET", url, name, nil); code != 403 || !strings.Contains(text, "there is no tenant") {
				t.Errorf("%s, %q: %d %s", url, name, code, text)
			}
		}
	}
	for _, protocol := range []string{"otlp/http", "otlp/grpc", "zipkin"} {
		if want := fmt.Sprintf("\nclew_refused_requests_total{protocol=%q,reason=\"unknown_tenant\"} 7\n", protocol); !strings.Contains(metrics(t, s), want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if got := metrics(t, s); !strings.Contains(got, "\nclew_store_spans{tenant=\"default\"} 0\n") || !strings.Contains(got, "\nclew_store_spans{tenant=\"b\"} 0\n") {
		t.Error("the metrics do not say what each tenant has")
	}
	entries, err := os.ReadDir(filepath.Join(s.Dir, "tenants"))
	if err != nil || len(entries) != 2 {
		t.Errorf("folders %v, %v", entries, err)
	}
}

// TestNoTenants: without the setting the header means nothing, and there is no folder.
func TestNoTenants(t *testing.T) {
	s := testkit.Start(t)
	for _, tenant := range []string{"", "a", "../b"} {
		if code, text, header := ask(t, "POST", s.URL("otlp_http")+"/v1/traces", tenant, ownedBy("all")); code != 200 || len(header.Values("Vary")) > 0 {
			t.Errorf("%q: %d %s %v", tenant, code, text, header)
		}
		if code, text, _ := ask(t, "GET", s.URL("query")+"/api/traces/"+idOf(1).String(), tenant, nil); code != 200 || !strings.Contains(text, "owner-is-all") {
			t.Errorf("%q: %d %s", tenant, code, text)
		}
	}
	if r := testkit.Run(t, nil, "delete", "--admin="+s.URL("admin"), "--tenant", "a", "--all"); r.Status != 1 || !strings.Contains(r.Stderr, "the server knows no tenants") {
		t.Errorf("clew delete for a tenant: status %d, %s%s", r.Status, r.Stdout, r.Stderr)
	}
	if !strings.Contains(metrics(t, s), "\nclew_store_spans ") {
		t.Error("the store's metrics have labels")
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "tenants")); err == nil {
		t.Error("there is a folder of tenants")
	}
}
