package extreme

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// hostile is a query that wants more memory than there is for queries.
type hostile struct {
	listener, path string
	may            bool   // it may be answered, or take too long: it is large, but not beyond what one may have
	says           string // in its error, where that is not of memory
}

// TestHostileQueries asks for more than there is memory for, in all dialects side by side, while others ask for little.
func TestHostileQueries(t *testing.T) {
	s := start(t, 768, "--query.memory", "96MiB", "--receive.body_bytes", "16MiB", "--receive.held_bytes", "64MiB", "--query.concurrency", "6")
	defer s.check()
	large, small := traceID(8, 0), traceID(9, 1)
	const n = 80_000
	s.sendWide(large, n)
	s.note("sent")
	s.settle()
	s.note("settled")

	var work sync.WaitGroup
	queries := make(chan hostile)
	for range 4 {
		work.Go(func() {
			for q := range queries {
				s.refused(q)
			}
		})
	}
	stop := make(chan struct{})
	var cheap sync.WaitGroup
	cheap.Go(func() { s.asks(small, stop) })
	for _, q := range hostiles(large) {
		queries <- q
	}
	close(queries)
	work.Wait()
	close(stop)
	cheap.Wait()
	for end := time.Now().Add(time.Minute); s.metric("clew_query_memory_bytes") != 0 && time.Now().Before(end); { // until the last answers are written
		time.Sleep(10 * time.Millisecond)
	}
	if held := s.metric("clew_query_memory_bytes"); held != 0 {
		t.Errorf("%.0f bytes are held when nobody asks", held)
	}
	if s.metric("clew_query_memory_refused_total") == 0 {
		t.Error("no memory was refused: the test does not test what it should")
	}
}

// sendWide sends n spans with wide attributes: a half of them are one trace, whose first span has events; the others are of traces of four.
func (s *server) sendWide(large trace.ID, n int) {
	r := rand.New(rand.NewPCG(8, 8))
	wide, scope, begin := resource("wide"), &trace.Scope{Name: "lib"}, ago(30*time.Minute)
	each(n, 2000, func(i int) trace.Span {
		at := begin + uint64(i)*1000
		span := trace.Span{TraceID: large, ID: spanID(i + 1), Name: fmt.Sprint("step ", i%50), Kind: trace.KindServer, Start: at, End: at + 1e6, Resource: wide, Scope: scope}
		if i >= n/2 {
			span.TraceID = traceID(9, i/4)
		} else if i > 0 {
			span.Parent = spanID(1 + r.IntN(i))
		}
		if i == n-1 {
			span.TraceID = traceID(9, 1)
		}
		for k := range 16 {
			span.Attrs = append(span.Attrs, text(fmt.Sprint("w", k), fmt.Sprintf("%x", r.Uint64())+fmt.Sprintf("%x", r.Uint64())))
		}
		for k := range 200 {
			if i == 0 {
				span.Events = append(span.Events, trace.Event{Time: at, Name: "tick", Attrs: []trace.Attr{{Key: "n", Value: trace.Int(int64(k))}}})
			}
		}
		return span
	}, s.send)
}

// hostiles returns queries of all dialects, about a large trace and all others.
func hostiles(large trace.ID) []hostile {
	id := large.String()
	q := func(text string) string { return "q=" + url.QueryEscape(text) }
	var all []string
	for k := range 16 {
		all = append(all, fmt.Sprint("span.w", k))
	}
	wide := strings.Join(all, ", ")
	return []hostile{
		{listener: "query", path: "/api/v1/traces/" + id + "/columns"},
		{listener: "query", path: "/api/traces/" + id},
		{listener: "query", path: "/api/traces?service=wide&limit=20000&prettyPrint=true"},
		{listener: "query", path: "/api/v3/traces/" + id},
		{listener: "zipkin", path: "/api/v2/trace/" + id},
		{listener: "zipkin", path: "/api/v2/traces?serviceName=wide&limit=20000"},
		{listener: "tempo", path: "/api/traces/" + id},
		{listener: "tempo", path: "/api/v2/traces/" + id},
		{listener: "tempo", path: "/api/search?limit=20000&spss=10000&" + q("{ } | select("+wide+")")},
		{listener: "tempo", path: "/tempopb.StreamingQuerier/Search?{ } | select(" + wide + ")"},
		{listener: "tempo", path: "/api/metrics/query_range?" + q("{ } | rate() by(span.w0, span.w1)"), says: "series"},
		{listener: "query", path: "/api/v1/query?" + q("{ } >> { } | select("+wide+")"), may: true, says: "the query"},
		{listener: "tempo", path: "/api/metrics/query_range?step=1s&" + q("{ } | compare({ span.w1 > `8` })"), may: true, says: "the "},
		{listener: "tempo", path: "/api/search?" + q("{ event.n + event.n + event.n + event.n = 1 }"), says: "values of one span's events"},
	}
}

// refused asks a hostile query, and holds that it is ended by an error of its own dialect which says why.
func (s *server) refused(q hostile) {
	status, said, err := 0, "", error(nil)
	if method, text, ok := strings.Cut(q.path, "?"); ok && strings.HasPrefix(method, "/tempopb.") {
		status, said, err = s.stream(method, text)
	} else {
		status, said, err = ask(s.URL(q.listener) + q.path)
	}
	what := fmt.Sprintf("%s %.60s", q.listener, q.path)
	switch {
	case err != nil:
		s.t.Errorf("%s: %v", what, err)
	case status == http.StatusOK && q.may:
	case status != http.StatusRequestEntityTooLarge && status != http.StatusServiceUnavailable:
		s.t.Errorf("%s: %d %.300s", what, status, said)
	case !strings.Contains(said, "(Clew's setting query.memory") && (q.says == "" || !strings.Contains(said, q.says)):
		s.t.Errorf("%s: the error does not say why: %d %.300s", what, status, said)
	}
}

// ask returns what a call is answered with, of which no more than a beginning is kept.
func ask(url string) (status int, said string, err error) {
	a, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = a.Body.Close() }()
	begin, err := io.ReadAll(io.LimitReader(a.Body, 1000))
	if err == nil {
		_, err = io.Copy(io.Discard, a.Body)
	}
	return a.StatusCode, string(begin), err
}

// stream makes a call of Tempo's gRPC, and returns the HTTP status that means the same as its own.
func (s *server) stream(method, query string) (status int, said string, err error) {
	var m []byte
	for field, n := range map[protowire.Number]uint64{4: 20_000, 9: 10_000} {
		m = protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), n)
	}
	m = protowire.AppendString(protowire.AppendTag(m, 8, protowire.BytesType), query)
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, s.URL("tempo")+method, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/grpc")
	a, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = a.Body.Close() }()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		return 0, "", err
	}
	code, text := a.Trailer.Get("Grpc-Status")+a.Header.Get("Grpc-Status"), a.Trailer.Get("Grpc-Message")+a.Header.Get("Grpc-Message")
	status = map[string]int{"0": http.StatusOK, "8": http.StatusRequestEntityTooLarge, "14": http.StatusServiceUnavailable}[code]
	return status, text, nil
}

// asks asks for little, again and again: all of it is answered.
func (s *server) asks(small trace.ID, stop chan struct{}) {
	id := small.String()
	for n := 0; ; n++ {
		for _, url := range []string{
			s.URL("query") + "/api/services",
			s.URL("query") + "/api/v1/traces/" + id + "/columns",
			s.URL("query") + "/api/traces/" + id,
			s.URL("zipkin") + "/api/v2/trace/" + id,
			s.URL("tempo") + "/api/v2/traces/" + id,
		} {
			if status, said, err := ask(url); err != nil || status != http.StatusOK {
				s.t.Errorf("asked for little, %s: %d %.300s %v", url, status, said, err)
			}
		}
		select {
		case <-stop:
			s.t.Logf("asked for little %d times", 5*(n+1))
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// metric returns the sum of a metric's series.
func (s *server) metric(name string) (sum float64) {
	s.t.Helper()
	a, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		var v float64
		if of, _, _ := strings.Cut(series, "{"); of != name {
			continue
		}
		if _, err := fmt.Sscan(value, &v); err != nil {
			s.t.Fatalf("%s: %v", lines.Text(), err)
		}
		sum += v
	}
	return sum
}
