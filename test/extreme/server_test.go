package extreme

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

var partFlag = flag.Int("extreme.part", 0, "send only a part of each extreme case: one in so many")

// server is a clew serve whose memory is limited.
type server struct {
	*testkit.Server
	t     *testing.T
	limit int // MiB
	sent  int // spans
	lines []string
	flags []string
}

func start(t *testing.T, limit int, flags ...string) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("large")
	}
	flags = append([]string{"--process.memory", fmt.Sprint(limit, "MiB"), "--store.head_bytes", "32MiB"}, flags...)
	s := &server{Server: testkit.Start(t, flags...), t: t, limit: limit, flags: flags}
	return s
}

// check holds that the server is alive, within its memory, and reported nothing bad.
func (s *server) check() {
	s.t.Helper()
	if s.Ended() {
		s.t.Fatalf("the server has ended")
	}
	peak, cpu := s.usage()
	s.t.Logf("%d spans sent; peak %d MiB of %d, %v of CPU\n\t%s", s.sent, peak, s.limit, cpu, strings.Join(s.lines, "\n\t"))
	if peak > s.limit {
		s.t.Errorf("the process took %d MiB; its limit is %d", peak, s.limit)
	}
	for _, line := range s.Logged(`"level":"ERROR"`) {
		s.t.Errorf("log of clew: %s", line)
	}
}

// usage returns the most memory that the server had, in MiB, and the CPU time it has used.
func (s *server) usage() (peak int, cpu time.Duration) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		s.t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			peak = kb >> 10
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
	_, rest, _ := strings.Cut(string(stat), ") ")
	var ticks, user, system int
	if fields := strings.Fields(rest); err == nil && len(fields) > 12 {
		_, _ = fmt.Sscan(fields[11], &user)
		_, _ = fmt.Sscan(fields[12], &system)
		ticks = user + system
	}
	return peak, time.Duration(ticks) * 10 * time.Millisecond
}

// send sends spans until they are taken.
func (s *server) send(spans []trace.Span) {
	s.t.Helper()
	body := trace.AppendTraces(nil, spans)
	for {
		a, err := http.Post(s.URL("otlp_http")+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		said, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		switch {
		case err != nil:
			s.t.Fatal(err)
		case a.StatusCode == http.StatusServiceUnavailable:
			time.Sleep(200 * time.Millisecond)
		case a.StatusCode != http.StatusOK || len(said) > 0: // an answer with something in it is a partial success
			s.t.Fatalf("answered %d %.300q", a.StatusCode, said)
		default:
			s.sent += len(spans)
			return
		}
	}
}

// get reads an answer of the query port with fn, and notes what it cost.
func (s *server) get(path string, fn func(io.Reader) error) {
	s.t.Helper()
	_, before := s.usage()
	begin := time.Now()
	a, err := http.Get(s.URL("query") + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	n := &counted{r: a.Body}
	if a.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(a.Body)
		s.t.Fatalf("%s: %d %.300s", path, a.StatusCode, said)
	}
	if err := fn(n); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	peak, after := s.usage()
	s.lines = append(s.lines, fmt.Sprintf("%.60s: %d bytes in %v, %v of CPU, peak %d MiB", path, n.n, time.Since(begin).Round(time.Millisecond), after-before, peak))
}

// status returns what a call is answered with, of which no more than a beginning is read.
func (s *server) status(path string) (int, string) {
	s.t.Helper()
	a, err := http.Get(s.URL("query") + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(a.Body, 1000))
	if err != nil {
		s.t.Fatal(err)
	}
	s.note(path)
	return a.StatusCode, string(said)
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// columns returns how many spans of a trace the page gets.
func (s *server) columns(id trace.ID) (spans int) {
	s.t.Helper()
	s.get("/api/v1/traces/"+id.String()+"/columns", func(r io.Reader) error {
		var mark [8]byte
		if _, err := io.ReadFull(r, mark[:]); err != nil {
			return err
		}
		var header struct{ Spans, Gaps int }
		if err := json.NewDecoder(io.LimitReader(r, int64(binary.LittleEndian.Uint32(mark[4:])))).Decode(&header); err != nil {
			return err
		}
		spans = header.Spans
		_, err := io.Copy(io.Discard, r)
		return err
	})
	return spans
}

// count returns how often a text is in an answer, which is not held in memory.
func (s *server) count(path, text string) (n int) {
	s.t.Helper()
	s.get(path, func(r io.Reader) error {
		buf, have := make([]byte, 1<<20), 0
		for {
			k, err := r.Read(buf[have:])
			all := buf[:have+k]
			n += bytes.Count(all, []byte(text))
			have = min(len(all), len(text)-1)
			copy(buf, all[len(all)-have:])
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	return n
}

// found is a trace in the answer to a search.
type found struct {
	TraceID string
	Spans   int
}

// search returns the traces that a search finds.
func (s *server) search(q url.Values) (traces []found) {
	s.t.Helper()
	s.get("/api/v1/search?"+q.Encode(), func(r io.Reader) error {
		var a struct {
			Traces  []found
			Scanned struct {
				Complete bool
				Reason   string
			}
		}
		err := json.NewDecoder(r).Decode(&a)
		if err == nil && !a.Scanned.Complete {
			err = fmt.Errorf("incomplete: %s", a.Scanned.Reason)
		}
		traces = a.Traces
		return err
	})
	return traces
}

// attributes returns the attributes of all spans and resources of a trace, as Jaeger's API shows them.
func (s *server) attributes(id trace.ID, each func(key string, value any)) (spans int) {
	s.t.Helper()
	type tags []struct {
		Key   string
		Value any
	}
	s.get("/api/traces/"+id.String(), func(r io.Reader) error {
		var a struct {
			Data []struct {
				Spans     []struct{ Tags tags }
				Processes map[string]struct{ Tags tags }
			}
		}
		if err := json.NewDecoder(r).Decode(&a); err != nil {
			return err
		}
		for _, t := range a.Data {
			spans += len(t.Spans)
			for _, span := range t.Spans {
				for _, tag := range span.Tags {
					each(tag.Key, tag.Value)
				}
			}
			for _, p := range t.Processes {
				for _, tag := range p.Tags {
					each(tag.Key, tag.Value)
				}
			}
		}
		return nil
	})
	return spans
}

// again stops the server, which makes a block of what is in memory, and starts one on the same folder.
func (s *server) again() error {
	s.settle()
	s.check()
	s.lines = nil
	if err := s.Stop(); err != nil {
		return err
	}
	s.Server = testkit.StartIn(s.t, s.Dir, s.flags...)
	s.settle()
	s.note("started again")
	return nil
}

// note notes what the server has used up to now.
func (s *server) note(what string) {
	peak, cpu := s.usage()
	s.lines = append(s.lines, fmt.Sprintf("%s: %d MiB, %v of CPU", what, peak, cpu))
}

// settle waits until the server has nothing to do any more.
func (s *server) settle() {
	for {
		_, before := s.usage()
		time.Sleep(500 * time.Millisecond)
		if _, after := s.usage(); after-before <= 10*time.Millisecond {
			return
		}
	}
}
