package extreme

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/trace"
)

// part returns how much of an extreme case is sent.
func part(n int) int {
	if *partFlag > 1 {
		return n / *partFlag
	}
	return n
}

func traceID(kind, n int) trace.ID {
	return trace.ID{0: byte(kind), 5: 1, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

func spanID(n int) trace.SpanID {
	return trace.SpanID{0: 1, 4: byte(n >> 24), 5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n)}
}

func resource(service string) *trace.Resource {
	return &trace.Resource{Attrs: []trace.Attr{text("service.name", service), text("host.name", "host-of-"+service)}}
}

func text(key, value string) trace.Attr { return trace.Attr{Key: key, Value: trace.String(value)} }

// ago returns a time in Unix ns.
func ago(d time.Duration) uint64 { return uint64(time.Now().Add(-d).UnixNano()) }

// each calls fn with the spans of one batch after the other.
func each(n, batch int, make func(i int) trace.Span, fn func([]trace.Span)) {
	spans := []trace.Span{}
	for i := range n {
		if spans = append(spans, make(i)); len(spans) == batch || i == n-1 {
			fn(spans)
			spans = spans[:0]
		}
	}
}

// TestMillionSpans is a trace of a million spans, each a child of one before it.
func TestMillionSpans(t *testing.T) {
	s := start(t, 1280, "--query.memory", "1150MiB", "--query.concurrency", "2") // of which a trace of a million spans takes most; heads are all but empty then
	defer s.check()
	n := part(1_000_000)
	var services []*trace.Resource
	for i := range 10 {
		services = append(services, resource(fmt.Sprint("service-", i)))
	}
	scope := &trace.Scope{Name: "lib"}
	id, begin, r := traceID(1, 0), ago(time.Hour), rand.New(rand.NewPCG(1, 1))
	each(n, 5000, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		span := trace.Span{
			TraceID: id, ID: spanID(i), Name: fmt.Sprint("step ", i%50), Kind: trace.KindInternal, Start: at, End: at + 1_000_000,
			Resource: services[i/500%10], Scope: scope, Attrs: []trace.Attr{text("kind", "step"), {Key: "number", Value: trace.Int(int64(i))}, text("user", fmt.Sprint("u", r.IntN(1000)))},
		}
		if i > 0 {
			span.Parent = spanID(r.IntN(i))
		}
		return span
	}, s.send)
	s.note("sent")
	s.settle()
	s.note("settled")
	if got := s.columns(id); got != n {
		t.Errorf("the page gets %d spans; want %d", got, n)
	}
	// As JSON it is larger than an answer may be; a part of that size is not.
	for path, text := range map[string]string{"/api/traces/": `"operationName":`, "/api/v1/traces/": `"startTimeUnixNano":`} {
		if status, said := s.status(path + id.String()); n == 1_000_000 && (status != http.StatusRequestEntityTooLarge || !strings.Contains(said, "larger than 256 MiB")) {
			t.Errorf("%s: %d %.200s", path, status, said)
		} else if n < 1_000_000 {
			if got := s.count(path+id.String(), text); got != n {
				t.Errorf("%s has %d spans; want %d", path, got, n)
			}
		}
	}
	if got := s.search(url.Values{"service": {"service-3"}}); len(got) != 1 || got[0].Spans != n {
		t.Errorf("a search finds %v; want a trace of %d spans", got, n)
	}
	if got := s.search(url.Values{"tag": {fmt.Sprintf("number=%d", n/2)}}); len(got) != 1 {
		t.Errorf("a search for one of its spans finds %v", got)
	}
}

// TestLongTrace is a trace that lasts 24 hours, whose spans come among those of others and get into many blocks.
func TestLongTrace(t *testing.T) {
	s := start(t, 512, "--store.head_bytes", "512KiB")
	defer s.check()
	n, others := 24*60, part(200)
	id := traceID(2, 0)
	job, web, scope := resource("job"), resource("web"), &trace.Scope{Name: "lib"}
	begin := ago(24*time.Hour + time.Minute)
	var spans []trace.Span
	for minute := range n {
		at := begin + uint64(minute)*uint64(time.Minute)
		span := trace.Span{TraceID: id, ID: spanID(minute + 1), Name: "tick", Start: at, End: at + uint64(time.Second), Resource: job, Scope: scope, Attrs: []trace.Attr{{Key: "minute", Value: trace.Int(int64(minute))}}}
		if minute > 0 {
			span.Parent = spanID(1)
		}
		spans = append(spans, span)
		for i := range others {
			k := minute*others + i
			spans = append(spans, trace.Span{
				TraceID: traceID(3, k/4), ID: spanID(k), Name: "GET", Kind: trace.KindServer, Start: at + uint64(i), End: at + 1e6, Resource: web, Scope: scope,
				Attrs: []trace.Attr{text("user", fmt.Sprint("u", rand.IntN(1e6)))},
			})
		}
		if minute%20 == 19 {
			s.send(spans)
			spans = spans[:0]
		}
	}
	s.settle()
	seen := map[any]bool{}
	if got := s.attributes(id, func(key string, value any) {
		if key == "minute" {
			seen[value] = true
		}
	}); got != n || len(seen) != n {
		t.Errorf("%d spans, %d of them different; want %d", got, len(seen), n)
	}
	if got := s.columns(id); got != n {
		t.Errorf("the page gets %d spans; want %d", got, n)
	}
	// Its place in the order is that of its start, however one of its spans was found.
	late := url.Values{"service": {"job"}, "tag": {fmt.Sprint("minute=", n-1)}, "from": {fmt.Sprint(ago(time.Hour))}}
	if got := s.search(late); len(got) != 1 || got[0].Spans != n {
		t.Errorf("a search for its last span finds %v", got)
	}
	if got := s.search(url.Values{"limit": {"20"}}); len(got) != 20 || slices.ContainsFunc(got, func(f found) bool { return f.TraceID == id.String() }) {
		t.Errorf("the newest 20 are %d, or the trace that began a day ago is one of them", len(got))
	}
	if merged := len(s.Logged(`"msg":"blocks merged"`)); merged < 2 && *partFlag <= 1 {
		t.Errorf("%d merges: the trace was not in many blocks", merged)
	}
}

// TestManyOperations is a service with 100,000 operation names, a span each.
func TestManyOperations(t *testing.T) {
	s := start(t, 512)
	defer s.check()
	n := part(100_000)
	shop, scope, begin := resource("shop"), &trace.Scope{Name: "lib"}, ago(time.Hour)
	name := func(i int) string { return fmt.Sprintf("GET /products/%d/details", i) }
	each(n, 5000, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		return trace.Span{TraceID: traceID(4, i), ID: spanID(i), Name: name(i), Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: shop, Scope: scope, Attrs: []trace.Attr{text("http.route", "/products/{id}")}}
	}, s.send)
	find := func() {
		t.Helper()
		for _, i := range []int{0, 1, n / 2, n - 1} {
			got := s.search(url.Values{"service": {"shop"}, "operation": {name(i)}})
			if len(got) != 1 || got[0].TraceID != traceID(4, i).String() {
				t.Errorf("operation %q: found %v", name(i), got)
			}
		}
	}
	find() // some are in memory
	if err := s.again(); err != nil {
		t.Fatal(err)
	}
	find()
	// A list that a person picks from has an end.
	if got := s.count("/api/v1/operations?service=shop", `"name":`); got == 0 || got > n {
		t.Errorf("%d operations are listed", got)
	}
	if got := s.search(url.Values{"service": {"shop"}, "operation": {"GET /nothing"}}); len(got) != 0 {
		t.Errorf("an operation that is not there: %v", got)
	}
}

// TestManyKeys is a million different attribute keys, ten on each span.
func TestManyKeys(t *testing.T) {
	s := start(t, 512)
	defer s.check()
	n := part(1_000_000)
	const perSpan = 10
	shop, scope, begin := resource("shop"), &trace.Scope{Name: "lib"}, ago(time.Hour)
	each(n/perSpan, 2000, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		span := trace.Span{TraceID: traceID(5, i), ID: spanID(i), Name: "op", Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: shop, Scope: scope}
		for k := range perSpan {
			span.Attrs = append(span.Attrs, text(fmt.Sprint("key.", i*perSpan+k), fmt.Sprint("value ", k)))
		}
		return span
	}, s.send)
	if err := s.again(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		if got := s.search(url.Values{"service": {"shop"}, "tag": {fmt.Sprintf("key.%d=value %d", i, i%perSpan)}}); len(got) != 1 || got[0].TraceID != traceID(5, i/perSpan).String() {
			t.Errorf("key %d: found %v", i, got)
		}
	}
	keys := 0
	if s.attributes(traceID(5, n/perSpan/2), func(key string, _ any) {
		if strings.HasPrefix(key, "key.") {
			keys++
		}
	}); keys != perSpan {
		t.Errorf("a span has %d of its %d attributes", keys, perSpan)
	}
}

// TestManyResources is 10,000 resources: in one request, and one in each of many.
func TestManyResources(t *testing.T) {
	s := start(t, 512)
	defer s.check()
	n := part(10_000)
	scope, begin := &trace.Scope{Name: "lib"}, ago(time.Hour)
	span := func(kind, i int) trace.Span {
		res := resource(fmt.Sprint("service-", i%100))
		for k := range 20 {
			res.Attrs = append(res.Attrs, text(fmt.Sprint("k8s.label.", k), fmt.Sprint("pod-", i, "-", k)))
		}
		at := begin + uint64(i)*1000
		return trace.Span{TraceID: traceID(kind, i), ID: spanID(i), Name: "op", Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: res, Scope: scope}
	}
	each(n, n, func(i int) trace.Span { return span(6, i) }, s.send)
	each(n, 100, func(i int) trace.Span { return span(7, i) }, s.send)
	if err := s.again(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		if got := s.search(url.Values{"tag": {fmt.Sprintf("k8s.label.7=pod-%d-7", i)}}); len(got) != 2 {
			t.Errorf("resource %d: found %v", i, got)
		}
	}
	if got := s.search(url.Values{"service": {"service-7"}, "limit": {"2000"}}); len(got) != 2*n/100 {
		t.Errorf("%d traces of a service; want %d", len(got), 2*n/100)
	}
}

// TestLargeValues is values of 1 MB each, which cannot be made smaller.
func TestLargeValues(t *testing.T) {
	s := start(t, 640)
	defer s.check()
	n := part(300)
	shop, scope, begin := resource("shop"), &trace.Scope{Name: "lib"}, ago(time.Hour)
	value := func(i int) string {
		r := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
		b := make([]byte, 1_000_000)
		_, _ = r.Read(b)
		for k := range b {
			b[k] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[b[k]%64]
		}
		return string(b)
	}
	each(n, 5, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		return trace.Span{TraceID: traceID(8, i), ID: spanID(i), Name: "op", Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: shop, Scope: scope, Attrs: []trace.Attr{text("document", value(i)), {Key: "number", Value: trace.Int(int64(i))}}}
	}, s.send)
	if err := s.again(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		whole := false
		s.attributes(traceID(8, i), func(key string, v any) { whole = whole || key == "document" && v == value(i) })
		if !whole {
			t.Errorf("value %d is not what was sent", i)
		}
		if got := s.search(url.Values{"service": {"shop"}, "tag": {fmt.Sprint("number=", i)}}); len(got) != 1 {
			t.Errorf("number %d: found %v", i, got)
		}
	}
	if got := s.search(url.Values{"service": {"shop"}, "limit": {"20"}}); len(got) != 20 {
		t.Errorf("the newest 20 are %d", len(got))
	}
}

// TestManyAttributes is spans with 10,000 attributes each.
func TestManyAttributes(t *testing.T) {
	s := start(t, 512)
	defer s.check()
	n := part(200)
	const attrs = 10_000
	shop, scope, begin := resource("shop"), &trace.Scope{Name: "lib"}, ago(time.Hour)
	each(n, 10, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		span := trace.Span{TraceID: traceID(9, i), ID: spanID(i), Name: "op", Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: shop, Scope: scope}
		for k := range attrs {
			span.Attrs = append(span.Attrs, text(fmt.Sprint("attribute.", k), fmt.Sprint(i, " ", k)))
		}
		return span
	}, s.send)
	if err := s.again(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		right := 0
		s.attributes(traceID(9, i), func(key string, v any) {
			if k, ok := strings.CutPrefix(key, "attribute."); ok && v == fmt.Sprint(i, " ", k) {
				right++
			}
		})
		if right != attrs {
			t.Errorf("span %d: %d of %d attributes", i, right, attrs)
		}
		if got := s.search(url.Values{"service": {"shop"}, "tag": {fmt.Sprintf("attribute.%d=%d %d", attrs-1, i, attrs-1)}}); len(got) != 1 {
			t.Errorf("span %d: found %v", i, got)
		}
	}
}
