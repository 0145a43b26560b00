package overload

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc/encoding"

	"github.com/clewtrace/clew/internal/testkit"
)

var (
	forFlag   = flag.Duration("overload.for", 12*time.Second, "how long the server gets too much")
	timesFlag = flag.Float64("overload.times", 10, "how many times what it can take")
)

const (
	limitMiB = 512
	senders  = 800 // connections, at most, that have a batch under way
)

func flags() []string {
	return []string{
		"--process.memory", fmt.Sprint(limitMiB, "MiB"), "--store.head_bytes", "32MiB", "--receive.body_bytes", "16MiB", "--receive.held_bytes", "96MiB", "--receive.span_bytes", "4MiB",
		"--log.level", "info",
	}
}

// TestOverload measures what the server takes, then offers it many times as much, asks it questions meanwhile, and kills it in the end.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes all of two cores")
	}
	if raced {
		t.Skip("with the race detector this process cannot send more than the server can take")
	}
	t.Setenv("GOMAXPROCS", "1") // of the server: else what sends would need ten times the machine
	encoding.RegisterCompressor(asIs{})
	s := testkit.Start(t, flags()...)
	b := &book{newest: -1}

	calm := max(3*time.Second, *forFlag/10) // for long, so that blocks are made and merged, too
	f := newFlood(t, s, b, 30, 0)
	time.Sleep(calm)
	f.end()
	_, fates := b.count()
	rate := float64(fates[acknowledged]) / calm.Seconds()
	t.Logf("it takes %.0f spans/s of 30 that send one batch after the other", rate*batchSpans)

	f = newFlood(t, s, b, senders, rate**timesFlag)
	q, p := newAsker(t, s, b), newPackets(t, s)
	before, _ := b.count()
	time.Sleep(*forFlag)
	q.end()
	f.end()
	p.end(t, s)
	offered, fates := b.count()
	t.Logf("%.0f spans/s offered for %v, %.1f times as many", float64(offered-before)*batchSpans/forFlag.Seconds(), *forFlag, float64(offered-before)/forFlag.Seconds()/rate)
	kept := float64(fates[acknowledged])/forFlag.Seconds() - rate*calm.Seconds()/forFlag.Seconds()
	t.Logf("%d batches acknowledged; %d never; %d without an answer; meanwhile it kept %.0f spans/s: %.1f times as much was offered", fates[acknowledged],
		fates[refused], fates[unknown], kept*batchSpans, float64(offered-before)/forFlag.Seconds()/kept)
	if fates[acknowledged] == 0 {
		t.Error("nothing was acknowledged: the test does not test what it should")
	}
	q.report()
	if peak := peakMiB(t, s); peak > limitMiB {
		t.Errorf("the process took %d MiB; its limit is %d", peak, limitMiB)
	} else {
		t.Logf("peak memory %d MiB of %d", peak, limitMiB)
	}
	if stored, want := metric(t, s, "clew_stored_spans_total", "")-metric(t, s, "clew_stored_spans_total", "jaeger/compact"), fates[acknowledged]*batchSpans; fates[unknown] == 0 && stored != float64(want) {
		t.Errorf("%.0f spans are counted as stored; want %d, as many as were acknowledged", stored, want)
	}
	t.Logf("%.0f requests were told to come back", metric(t, s, "clew_refused_requests_total", `reason="busy"`))
	b.check(t, s)

	f = newFlood(t, s, b, senders, rate**timesFlag)
	time.Sleep(time.Second)
	f.killing.Store(true)
	s.Kill()
	f.end()
	b.check(t, testkit.StartIn(t, s.Dir, flags()...))
}

// check holds that what is there is what was acknowledged: all of it, and nothing that was refused.
func (b *book) check(t *testing.T, s *testkit.Server) {
	t.Helper()
	begin := time.Now()
	there, err := all(s)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for n, f := range b.fates {
		id := traceID(n).String()
		spans := there[id]
		delete(there, id)
		if f == acknowledged && spans != batchSpans || f == refused && spans != 0 || spans != 0 && spans != batchSpans {
			wrong++
			t.Errorf("batch %d was %v; %d of its %d spans are there", n, f, spans, batchSpans)
		}
		if wrong > 20 {
			t.Fatal("and so on")
		}
	}
	if len(there) > 0 {
		t.Errorf("%d traces are there that nobody sent", len(there))
	}
	t.Logf("of %d batches those are there that should be, seen in %v", len(b.fates), time.Since(begin).Round(time.Millisecond))
}

// all returns how many spans each trace has.
func all(s *testkit.Server) (map[string]int, error) {
	out := map[string]int{}
	for cursor := ""; ; {
		var a struct {
			Traces []struct {
				TraceID string
				Spans   int
			}
			Cursor  string
			Scanned struct {
				Complete bool
				Reason   string
			}
		}
		resp, err := http.Get(s.URL("query") + "/api/v1/search?service=overload&limit=2000&cursor=" + url.QueryEscape(cursor))
		if err != nil {
			return nil, err
		}
		err = json.NewDecoder(resp.Body).Decode(&a)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !a.Scanned.Complete && a.Cursor == "" {
			return nil, fmt.Errorf("search: %s, %w, %s", resp.Status, err, a.Scanned.Reason)
		}
		for _, t := range a.Traces {
			out[t.TraceID] += t.Spans
		}
		if cursor = a.Cursor; cursor == "" {
			return out, nil
		}
	}
}

// count returns how many spans of a batch the server shows, each once.
func count(s *testkit.Server, n int) (int, error) {
	a, err := http.Get(s.URL("query") + "/api/v1/traces/" + traceID(n).String() + "/columns")
	if err != nil {
		return 0, err
	}
	defer func() { _ = a.Body.Close() }()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		return 0, err
	}
	if a.StatusCode == http.StatusNotFound {
		return 0, nil
	}
	if a.StatusCode != http.StatusOK || len(raw) < 8 {
		return 0, fmt.Errorf("trace of batch %d: status %d, %.300q", n, a.StatusCode, raw)
	}
	var header struct{ Spans int }
	err = json.Unmarshal(raw[8:8+binary.LittleEndian.Uint32(raw[4:])], &header)
	return header.Spans, err
}
