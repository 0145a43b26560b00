package overload

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// asker asks a server questions until it is stopped, and notes how long the answers take.
type asker struct {
	t    *testing.T
	s    *testkit.Server
	book *book
	stop chan struct{}
	done chan struct{}
	took map[string][]time.Duration // by what was asked
}

func newAsker(t *testing.T, s *testkit.Server, b *book) *asker {
	q := &asker{t: t, s: s, book: b, stop: make(chan struct{}), done: make(chan struct{}), took: map[string][]time.Duration{}}
	go func() {
		defer close(q.done)
		q.run()
	}()
	return q
}

func (q *asker) end() {
	close(q.stop)
	<-q.done
}

func (q *asker) run() {
	for {
		select {
		case <-q.stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		q.ask("services", "/api/services")
		q.ask("search", "/api/v1/search?service=overload&limit=20")
		q.ask("health", "")
		if n, ok := q.book.last(); ok {
			begin := time.Now()
			if spans, err := count(q.s, n); err != nil || spans != batchSpans {
				q.t.Errorf("the trace that was acknowledged last has %d spans of %d, %v", spans, batchSpans, err)
				return
			}
			q.took["trace"] = append(q.took["trace"], time.Since(begin))
		}
	}
}

// ask asks for a path of the query port, or, if that is empty, for the process's health.
func (q *asker) ask(what, path string) {
	url := q.s.URL("query") + path
	if path == "" {
		url = q.s.URL("admin") + "/healthz"
	}
	begin := time.Now()
	a, err := http.Get(url)
	if err != nil {
		q.t.Error(err)
		return
	}
	defer func() { _ = a.Body.Close() }()
	said, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		q.t.Errorf("%s: %d %v %.300s", what, a.StatusCode, err, said)
	}
	q.took[what] = append(q.took[what], time.Since(begin))
}

func (q *asker) report() {
	for _, what := range []string{"services", "search", "trace", "health"} {
		took := q.took[what]
		if len(took) == 0 {
			q.t.Errorf("nobody asked for %s", what)
			continue
		}
		slices.Sort(took)
		at := func(part float64) time.Duration {
			return took[int(part*float64(len(took)-1))].Round(100 * time.Microsecond)
		}
		q.t.Logf("asked for %-8s %4d times: median %v, 90 of 100 below %v, longest %v", what, len(took), at(0.5), at(0.9), at(1))
	}
}

// peakMiB returns the most memory that the server had.
func peakMiB(t *testing.T, s *testkit.Server) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Skip("no /proc here")
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb := 0
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// metric returns the sum of a metric's series that contain a text.
func metric(t *testing.T, s *testkit.Server, name, label string) (sum float64) {
	t.Helper()
	a, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(series, name) || !strings.Contains(series, label) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sum += v
	}
	return sum
}
