package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// target is a server of OTLP/HTTP that keeps the span IDs that it took.
type target struct {
	*httptest.Server
	mu       sync.Mutex
	spans    map[trace.SpanID]int
	requests int
	headers  []http.Header
	answer   func(n int, spans int) (status int, header map[string]string, body []byte) // nil: takes all
}

func newTarget(t testing.TB) *target {
	t.Helper()
	s := &target{spans: map[trace.SpanID]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *target) serve(w http.ResponseWriter, r *http.Request) {
	body := plain(r)
	b := batchOf(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.headers = append(s.headers, r.Header)
	if s.answer != nil {
		status, header, answer := s.answer(s.requests, len(b.Spans))
		for k, v := range header {
			w.Header().Set(k, v)
		}
		if w.WriteHeader(status); status >= 300 {
			return
		}
		_, _ = w.Write(answer)
	}
	for i := range b.Spans {
		s.spans[b.Spans[i].ID]++
	}
}

// plain returns a request's body, decompressed.
func plain(r *http.Request) []byte {
	var in io.Reader = r.Body
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			panic(err)
		}
		in = z
	case "zstd":
		z, err := zstd.NewReader(r.Body)
		if err != nil {
			panic(err)
		}
		defer z.Close()
		in = z
	}
	body, err := io.ReadAll(in)
	if err != nil {
		panic(err)
	}
	return body
}

func batchOf(otlp []byte) *trace.Batch {
	b := new(trace.Batch)
	if err := b.Index(otlp, trace.DefaultLimits()); err != nil {
		panic(err)
	}
	return b
}

func (s *target) got() map[trace.SpanID]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.spans)
}

// kept is a store that keeps nothing but a number, and fails when told to.
type kept struct {
	mu    sync.Mutex
	spans int
	err   error
}

func (k *kept) Append(_ context.Context, b *trace.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.spans += len(b.Spans)
	}
	return k.err
}

// rig is a forwarder with what is around it.
type rig struct {
	*Forwarder
	store *kept
	reg   *prometheus.Registry
	dir   string
	log   *bytes.Buffer
}

func quick(url string) Config {
	c := Default()
	c.Name, c.Protocol, c.Endpoint = "there", OTLPHTTP, url
	c.RetryMin, c.RetryMax = time.Millisecond, 5*time.Millisecond
	return c
}

func start(t testing.TB, dir string, to ...Config) *rig {
	t.Helper()
	r := &rig{store: &kept{}, reg: prometheus.NewRegistry(), dir: dir, log: &bytes.Buffer{}}
	for i := range to {
		if err := to[i].Validate(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(to, Options{
		Dir: dir, Next: r.store, Reg: r.reg, Log: slog.New(slog.DiscardHandler),
		Hold: func(int64) (func(), error) { return func() {}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Forwarder = f
	return r
}

// flush closes the forwarder when it has sent all.
func (r *rig) flush(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.settle(t)
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// settle waits until the queues are empty.
func (r *rig) settle(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		left := r.waiting()
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d spans are still in the queue", left)
		}
	}
}

// waiting returns the spans that wait or are being sent.
func (r *rig) waiting() (spans int64) {
	for _, d := range r.to {
		spans += d.queue.state(time.Now()).spans
	}
	return spans
}

// count returns a counter's value; of several series the sum.
func (r *rig) count(t testing.TB, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			var have []string
			for _, l := range m.Label {
				have = append(have, l.GetName()+"="+l.GetValue())
			}
			if !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// sums holds that queued = sent + dropped, and how many were dropped for which reason.
func (r *rig) sums(t testing.TB, dropped map[string]int) {
	t.Helper()
	total := 0.0
	for reason, want := range dropped {
		if got := r.count(t, "clew_forward_dropped_spans_total", "reason="+reason); got != float64(want) {
			t.Errorf("%v spans dropped as %s; want %d", got, reason, want)
		}
		total += float64(want)
	}
	if got := r.count(t, "clew_forward_dropped_spans_total"); got != total {
		t.Errorf("%v spans dropped; want %v", got, total)
	}
	if queued, sent := r.count(t, "clew_forward_queued_spans_total"), r.count(t, "clew_forward_sent_spans_total"); queued != sent+total-float64(dropped[droppedLoop]) {
		t.Errorf("queued %v; want %v sent and %v dropped", queued, sent, total)
	}
}

// spansFrom returns n spans, numbered from a number on, of a service. Each third one has failed.
func spansFrom(from, n int, service string) []trace.Span {
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}, {Key: "zone", Value: trace.String("eu/1")}}, SchemaURL: "schema"}
	scope := &trace.Scope{Name: "lib"}
	out := make([]trace.Span, n)
	r := rand.New(rand.NewPCG(uint64(from), 1))
	for i := range out {
		k := from + i
		s := &out[i]
		*s = trace.Span{Name: fmt.Sprint("op", k), Start: 1e18, End: 1e18 + 5000, Resource: res, Scope: scope, Kind: trace.KindServer}
		for j := range s.TraceID {
			s.TraceID[j] = byte(r.Uint32())
		}
		s.ID = trace.SpanID{1, 2, 3, 4, byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)}
		s.Attrs = []trace.Attr{{Key: "http.route", Value: trace.String("/pay/{id}")}, {Key: "n", Value: trace.Int(int64(k))}}
		if k%3 == 0 {
			s.Status = trace.StatusError
		}
	}
	return out
}

func packed(spans ...trace.Span) *trace.Batch { return batchOf(trace.AppendTraces(nil, spans)) }

func (r *rig) appendAll(t testing.TB, spans ...trace.Span) {
	t.Helper()
	if err := r.Append(t.Context(), packed(spans...)); err != nil {
		t.Fatal(err)
	}
}

// TestForward sends on what comes, with each compression, and with headers.
func TestForward(t *testing.T) {
	t.Setenv("FORWARD_TEST_TOKEN", "secret")
	for _, compression := range []string{"none", "gzip", "zstd"} {
		there := newTarget(t)
		c := quick(there.URL)
		c.Compression, c.TenantHeader = compression, "X-Tenant"
		c.Headers = map[string]Secret{"X-Key": "Bearer ${env:FORWARD_TEST_TOKEN}!"}
		r := start(t, t.TempDir(), c)
		for i := range 20 {
			r.appendAll(t, spansFrom(i*50, 50, "shop")...)
		}
		r.flush(t)
		if got := there.got(); len(got) != 1000 || r.store.spans != 1000 {
			t.Errorf("%s: %d spans came, %d are stored; want 1000", compression, len(got), r.store.spans)
		}
		r.sums(t, nil)
		for _, h := range there.headers {
			if h.Get("X-Key") != "Bearer secret!" || h.Get("X-Tenant") != "default" || h.Get("Content-Type") != "application/x-protobuf" || h.Get(ViaHeader) != r.id.String() {
				t.Errorf("headers %v", h)
			}
		}
		if problems, err := testutil.GatherAndLint(r.reg); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	}
}

// TestFilter holds each filter against the same question asked of decoded spans.
func TestFilter(t *testing.T) {
	spans := slices.Concat(spansFrom(0, 100, "shop"), spansFrom(100, 100, "shop-cart"), spansFrom(200, 100, "stock"))
	is := func(name string) func(s *trace.Span) bool {
		return func(s *trace.Span) bool { return s.Service() == name }
	}
	for name, c := range map[string]struct {
		filter Filter
		want   func(s *trace.Span) bool
	}{
		"all":        {Filter{Ratio: 1}, func(*trace.Span) bool { return true }},
		"none":       {Filter{Ratio: 0}, func(*trace.Span) bool { return false }},
		"service":    {Filter{Ratio: 1, Services: []string{"shop"}}, is("shop")},
		"glob":       {Filter{Ratio: 1, Services: []string{"x", "shop-*"}}, is("shop-cart")},
		"glob ?":     {Filter{Ratio: 1, Services: []string{"st?ck"}}, is("stock")},
		"errors":     {Filter{Ratio: 1, Errors: true}, func(s *trace.Span) bool { return s.Status == trace.StatusError }},
		"attribute":  {Filter{Ratio: 1, Attributes: []string{"n=1*"}}, func(s *trace.Span) bool { return strings.HasPrefix(s.Name, "op1") }},
		"resource":   {Filter{Ratio: 1, Attributes: []string{"zone=eu/*", "n=7"}}, func(s *trace.Span) bool { return s.Name == "op7" }},
		"other zone": {Filter{Ratio: 1, Attributes: []string{"zone=us/*"}}, func(*trace.Span) bool { return false }},
		"tenant":     {Filter{Ratio: 1, Tenants: []string{"default"}}, func(*trace.Span) bool { return true }},
		"others":     {Filter{Ratio: 1, Tenants: []string{"team-a"}}, func(*trace.Span) bool { return false }},
		"quarter":    {Filter{Ratio: 0.25}, func(s *trace.Span) bool { return s.TraceID[9] >= 0xc0 }},
	} {
		there := newTarget(t)
		cfg := quick(there.URL)
		cfg.Filter = c.filter
		cfg.BatchBytes = 4 << 10 // so that it is split, too
		r := start(t, t.TempDir(), cfg)
		r.appendAll(t, spans...)
		r.flush(t)
		want := 0
		got := there.got()
		for i := range spans {
			if c.want(&spans[i]) {
				want++
			}
			if (got[spans[i].ID] == 1) != c.want(&spans[i]) {
				t.Errorf("%s: span %s came %d times", name, spans[i].Name, got[spans[i].ID])
			}
		}
		if r.store.spans != len(spans) {
			t.Errorf("%s: %d are stored", name, r.store.spans)
		}
		r.sums(t, nil)
		t.Logf("%s: %d of %d", name, want, len(spans))
	}
}

// TestAnswers holds what is sent again, what is not, and how it is counted.
func TestAnswers(t *testing.T) {
	always := func(status int) func(int, int) (int, map[string]string, []byte) {
		return func(int, int) (int, map[string]string, []byte) { return status, nil, nil }
	}
	times := func(n, status int) func(int, int) (int, map[string]string, []byte) {
		return func(k, _ int) (int, map[string]string, []byte) {
			if k <= n {
				return status, nil, nil
			}
			return 200, nil, nil
		}
	}
	for name, c := range map[string]struct {
		answer   func(int, int) (int, map[string]string, []byte)
		came     int
		dropped  map[string]int
		requests int
	}{
		"bad request":           {always(400), 0, map[string]int{droppedRefused: 30}, 1},
		"forbidden":             {always(403), 0, map[string]int{droppedRefused: 30}, 1},
		"unsupported":           {always(415), 0, map[string]int{droppedRefused: 30}, 1},
		"always an error":       {always(500), 0, map[string]int{droppedFailed: 30}, attempts},
		"an error, twice":       {times(2, 500), 30, nil, 3},
		"unavailable, for long": {times(25, 503), 30, nil, 26},
		"too many, for long":    {times(25, 429), 30, nil, 26},
		"bad gateway":           {times(15, 502), 30, nil, 16},
		"wrong token for long":  {times(15, 401), 30, nil, 16},
		"partial": {func(int, int) (int, map[string]string, []byte) {
			return 200, nil, []byte("\x0a\x07\x08\x05\x12\x03why") // 5 of them
		}, 30, map[string]int{droppedRejected: 5}, 1},
		"too large for more than 4": {func(_, spans int) (int, map[string]string, []byte) {
			if spans > 4 {
				return 413, nil, nil
			}
			return 200, nil, nil
		}, 30, nil, 0},
		"too large for any": {always(413), 0, map[string]int{droppedTooLarge: 30}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			there := newTarget(t)
			there.answer = c.answer
			r := start(t, t.TempDir(), quick(there.URL))
			r.appendAll(t, spansFrom(0, 30, "shop")...)
			r.flush(t)
			if got := there.got(); len(got) != c.came {
				t.Errorf("%d spans came; want %d", len(got), c.came)
			}
			for id, n := range there.got() {
				if n > 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
			if c.requests > 0 && there.requests != c.requests {
				t.Errorf("%d requests; want %d", there.requests, c.requests)
			}
			r.sums(t, c.dropped)
		})
	}
}

// TestRestart forwards to a server that is down, stops and starts in between, and has each span arrive.
func TestRestart(t *testing.T) {
	there, dir := newTarget(t), t.TempDir()
	var down sync.Mutex
	up := false
	there.answer = func(int, int) (int, map[string]string, []byte) {
		down.Lock()
		defer down.Unlock()
		if up {
			return 200, nil, nil
		}
		return 503, nil, nil
	}
	total := 0
	for round := range 4 {
		r := start(t, dir, quick(there.URL))
		for range 10 {
			r.appendAll(t, spansFrom(total, 20, "shop")...)
			total += 20
		}
		if round == 3 {
			down.Lock()
			up = true
			down.Unlock()
			r.flush(t)
			break
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := r.Close(ctx); err != nil { // gives up soon, for the destination is down
			t.Error(err)
		}
		if ctx.Err() != nil {
			t.Error("the stop waited for a destination that is down")
		}
		cancel()
	}
	got := there.got()
	if len(got) != total {
		t.Errorf("%d spans came; want %d", len(got), total)
	}
	for id, n := range got {
		if n > 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// TestStoreFirst: what the store refuses is not sent on, and what is full refuses before the store takes it.
func TestStoreFirst(t *testing.T) {
	there := newTarget(t)
	there.answer = func(int, int) (int, map[string]string, []byte) {
		return 503, map[string]string{"Retry-After": "3600"}, nil
	}
	c := quick(there.URL)
	c.OnFull, c.QueueBytes, c.BatchBytes = Refuse, 4<<20, 1<<20
	r := start(t, t.TempDir(), c)
	r.store.err = trace.Errorf(trace.Busy, "later")
	if err := r.Append(t.Context(), packed(spansFrom(0, 10, "shop")...)); trace.KindOf(err) != trace.Busy {
		t.Errorf("%v; want the store's answer", err)
	}
	r.store.err = nil
	var err error
	accepted := 0
	for n := 1; err == nil && n < 1000; n++ {
		if err = r.Append(t.Context(), packed(spansFrom(n*1000, 1000, "shop")...)); err == nil {
			accepted += 1000
		}
	}
	if e := trace.ErrorOf(err); e.Kind != trace.Busy || e.After == 0 {
		t.Errorf("%v; want that the queue is full", err)
	}
	if r.store.spans != accepted {
		t.Errorf("%d are stored; want %d", r.store.spans, accepted)
	}
	if queued := r.count(t, "clew_forward_queued_spans_total"); queued != float64(accepted) {
		t.Errorf("%v were queued; want %d", queued, accepted)
	}
	if err := r.Close(canceled()); err != nil {
		t.Error(err)
	}
	if left := r.waiting(); left != int64(accepted) {
		t.Errorf("%d spans are left; want %d", left, accepted)
	}
}

// TestDropOldest: a destination that is down for long gets the newest, and what it missed is counted.
func TestDropOldest(t *testing.T) {
	there := newTarget(t)
	var mu sync.Mutex
	up := false
	there.answer = func(int, int) (int, map[string]string, []byte) {
		mu.Lock()
		defer mu.Unlock()
		if up {
			return 200, nil, nil
		}
		return 503, nil, nil
	}
	c := quick(there.URL)
	c.QueueBytes, c.BatchBytes = 4<<20, 64<<10
	r := start(t, t.TempDir(), c)
	const batches = 150
	for n := range batches {
		r.appendAll(t, spansFrom(n*1000, 1000, "shop")...)
	}
	mu.Lock()
	up = true
	mu.Unlock()
	r.settle(t)
	dropped := int(r.count(t, "clew_forward_dropped_spans_total", "reason=full"))
	got := there.got()
	if dropped == 0 || len(got)+dropped != batches*1000 {
		t.Errorf("%d came and %d were dropped; want %d together", len(got), dropped, batches*1000)
	}
	for _, s := range spansFrom((batches-1)*1000, 1000, "shop") {
		if got[s.ID] != 1 {
			t.Fatalf("of the newest batch %s came %d times", s.Name, got[s.ID])
		}
	}
	r.sums(t, map[string]int{droppedFull: dropped})
	r.flush(t)
}

// TestLoops: what has been here is stored and not sent on, nor what has been at many.
func TestLoops(t *testing.T) {
	there := newTarget(t)
	r := start(t, t.TempDir(), quick(there.URL))
	other := serverID{1}
	deep := strings.TrimSuffix(strings.Repeat("1111111111111111,", maxVia), ",")
	for header, sent := range map[string]bool{
		"": true, other.String(): true, r.id.String(): false, other.String() + ", " + r.id.String(): false, deep: false, "nonsense": true,
		strings.Repeat("?,", 100): false,
	} {
		before := len(there.got())
		var err error
		h := Marked(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			err = r.Append(req.Context(), packed(spansFrom(len(header)*1000, 10, "shop")...))
		}))
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		if header != "" {
			req.Header.Set(ViaHeader, header)
		}
		h.ServeHTTP(httptest.NewRecorder(), req)
		r.settle(t)
		if got := len(there.got()) > before; got != sent || err != nil {
			t.Errorf("%.40q: sent %v, %v; want %v", header, got, err, sent)
		}
	}
	r.flush(t)
	if r.store.spans != 70 {
		t.Errorf("%d are stored; want 70", r.store.spans)
	}
	r.sums(t, map[string]int{droppedLoop: 40})
	if again := start(t, r.dir, quick(there.URL)); again.id != r.id {
		t.Error("the ID has changed with the restart")
	} else {
		again.flush(t)
	}
}

// TestSplit holds that the parts of a message have all of its spans, each with its own resource and scope, and that none is too large.
func TestSplit(t *testing.T) {
	var spans []trace.Span
	for i := range 30 {
		spans = append(spans, spansFrom(i*10, 1+i%7, fmt.Sprint("service", i/3))...)
	}
	raw := trace.AppendTraces(nil, spans)
	raw = append(raw, 0xfa, 0x01, 1, 'x') // a field that nobody knows
	batchOf(raw)
	for _, most := range []int{1, 200, 500, 3000, 1 << 20} {
		var got []trace.Span
		s := splitter{max: most, emit: func(m []byte, n int) error {
			b := batchOf(m)
			part, err := b.Decode()
			if err != nil || len(part) != n {
				t.Fatalf("%d spans, %v; want %d", len(part), err, n)
			}
			if len(m) > most && n > 1 {
				t.Errorf("a part of %d spans has %d bytes; want at most %d", n, len(m), most)
			}
			got = append(got, part...)
			return nil
		}}
		if err := s.split(raw); err != nil {
			t.Fatal(err)
		}
		if again := trace.AppendTraces(nil, got); most == 1<<20 && !bytes.Equal(again, trace.AppendTraces(nil, spans)) {
			t.Error("one part is not what it was made of")
		}
		if len(got) != len(spans) {
			t.Fatalf("%d spans; want %d", len(got), len(spans))
		}
		for i := range got {
			if got[i].Service() != spans[i].Service() || got[i].Name != spans[i].Name || got[i].Resource.SchemaURL != "schema" || got[i].Scope.Name != "lib" {
				t.Errorf("%v; want %v", got[i], spans[i])
			}
		}
	}
}

// TestDiskFails: a queue that cannot be written does not keep a batch from being stored, and is counted.
func TestDiskFails(t *testing.T) {
	there := newTarget(t)
	full := false
	var mu sync.Mutex
	disk := &wal.Disk{Fault: func(op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if full && op == "write" {
			return errors.New("no space left on device")
		}
		return nil
	}}
	k, reg := &kept{}, prometheus.NewRegistry()
	f, err := Open([]Config{quick(there.URL)}, Options{
		Dir: t.TempDir(), Next: k, Reg: reg, Log: slog.New(slog.DiscardHandler), Disk: disk,
		Hold: func(int64) (func(), error) { return func() {}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Forwarder: f, store: k, reg: reg}
	for i := range 3 {
		mu.Lock()
		full = i == 1
		mu.Unlock()
		r.appendAll(t, spansFrom(i*10, 10, "shop")...)
	}
	r.flush(t)
	if got := there.got(); len(got) != 20 || k.spans != 30 {
		t.Errorf("%d came, %d are stored; want 20 and 30", len(got), k.spans)
	}
	r.sums(t, map[string]int{droppedDisk: 10})
}

// TestTenants: a request has spans of one tenant and of one way here, and says whose they are, also after a restart.
func TestTenants(t *testing.T) {
	down, there, dir := newTarget(t), newTarget(t), t.TempDir()
	down.answer = func(int, int) (int, map[string]string, []byte) { return 503, nil, nil }
	c := quick(down.URL)
	c.TenantHeader, c.Concurrency = "X-Scope-OrgID", 1
	r := start(t, dir, c)
	for i := range 30 {
		ctx := trace.WithTenant(t.Context(), []string{"team-a", "team-b", ""}[i/5%3])
		if err := r.Append(ctx, packed(spansFrom(i*10, 10, "shop")...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Endpoint = there.URL
	start(t, dir, c).flush(t)
	tenants := map[string]int{}
	for _, h := range there.headers {
		tenants[h.Get("X-Scope-OrgID")]++
	}
	if len(there.got()) != 300 || len(tenants) != 3 || tenants["team-a"] != 2 || tenants["team-b"] != 2 || tenants["default"] != 2 {
		t.Errorf("%d spans came in requests of %v; want 300 in two of each", len(there.got()), tenants)
	}
}

// TestClosed: what comes while a server stops is queued as a whole, or refused and not stored.
func TestClosed(t *testing.T) {
	there := newTarget(t)
	r := start(t, t.TempDir(), quick(there.URL))
	var senders sync.WaitGroup
	for w := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				err := r.Append(t.Context(), packed(spansFrom((w*10_000+i)*10, 10, "shop")...))
				if trace.KindOf(err) == trace.Busy && err != nil {
					return
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for r.count(t, "clew_forward_queued_spans_total") < 200 {
		time.Sleep(time.Millisecond)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	senders.Wait()
	if got := there.got(); len(got) != r.store.spans {
		t.Errorf("%d spans came, %d are stored", len(got), r.store.spans)
	}
}

// TestHeld: the memory of a batch's copies is asked for before they are made.
func TestHeld(t *testing.T) {
	there := newTarget(t)
	r := start(t, t.TempDir(), quick(there.URL))
	r.hold = func(int64) (func(), error) { return nil, trace.Errorf(trace.Busy, "too many bytes") }
	if err := r.Append(t.Context(), packed(spansFrom(0, 10, "shop")...)); trace.KindOf(err) != trace.Busy || r.store.spans > 0 {
		t.Errorf("%v, %d stored", err, r.store.spans)
	}
	r.flush(t)
}

// TestValidate: each mistake names its key and what would be right.
func TestValidate(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"name: is \"A b\"; want up to 64":                        func(c *Config) { c.Name = "A b" },
		"protocol: is \"otlp\"; want one of":                     func(c *Config) { c.Protocol = "otlp" },
		"endpoint: is \"localhost:4317\"; want a URL":            func(c *Config) { c.Endpoint = "localhost:4317" },
		"endpoint: is \"http://a/b\"; want no path":              func(c *Config) { c.Protocol, c.Endpoint = OTLPGRPC, "http://a/b" },
		"queue_bytes: is 1; want 4MiB or more":                   func(c *Config) { c.QueueBytes = 1 },
		"batch_bytes: is 1; want 4KiB":                           func(c *Config) { c.BatchBytes = 1 },
		"timeout: is 0s":                                         func(c *Config) { c.Timeout = 0 },
		"retry_max: is 1ms":                                      func(c *Config) { c.RetryMax = time.Millisecond; c.RetryMin = time.Second },
		"compression: is gzip; want none":                        func(c *Config) { c.Protocol, c.Compression = JaegerHTTP, "gzip" },
		"compression: is zstd; want gzip":                        func(c *Config) { c.Protocol, c.Compression = Zipkin, "zstd" },
		"headers: \"a b\" is no header's name":                   func(c *Config) { c.Headers = map[string]Secret{"a b": "c"} },
		"headers: X: the environment has no CLEW_TEST_NO":        func(c *Config) { c.Headers = map[string]Secret{"X": "${env:CLEW_TEST_NO}"} },
		"headers: X: ${secret is neither":                        func(c *Config) { c.Headers = map[string]Secret{"X": "${secret}"} },
		"headers: X: the value has a line break":                 func(c *Config) { c.Headers = map[string]Secret{"X": "a\nb"} },
		"filter.ratio: is 2; want 0 to 1":                        func(c *Config) { c.Filter.Ratio = 2 },
		"filter.attributes: \"nothing\" is not key=value, where": func(c *Config) { c.Filter.Attributes = []string{"nothing"} },
	} {
		c := quick("http://there")
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
