package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// shop returns the OTLP bytes of a trace of two services.
func shop(i int, status trace.StatusCode) []byte {
	root, db := shopSpans(i)
	db.Status = status
	return trace.AppendTraces(nil, []trace.Span{root, db})
}

// shopFor is a shop whose spans took so long, and end now.
func shopFor(i int, ofRoot, ofDB time.Duration) []byte {
	root, db := shopSpans(i)
	root.End, db.End = root.Start, root.Start
	root.Start -= uint64(ofRoot)
	db.Start -= uint64(ofDB)
	return trace.AppendTraces(nil, []trace.Span{root, db})
}

func shopSpans(i int) (root, db trace.Span) {
	start := uint64(time.Now().UnixNano())
	of := func(service string) *trace.Resource {
		return &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String(service)}}}
	}
	root = trace.Span{
		TraceID: idOf(i), ID: trace.SpanID{7: 1}, Name: "GET /cart", Kind: trace.KindServer, Start: start, End: start + 2e6, Resource: of("shop"), Scope: &trace.Scope{},
		Attrs: []trace.Attr{{Key: "http.status_code", Value: trace.Int(200)}},
	}
	db = trace.Span{
		TraceID: idOf(i), ID: trace.SpanID{7: 2}, Parent: root.ID, Name: "SELECT\x1b[31m", Kind: trace.KindClient, Start: start + 1000, End: start + 1e6,
		Resource: of("db"), Scope: &trace.Scope{},
	}
	return root, db
}

// TestQuery asks a real server from the command line: for a table, JSON, series, a plan; and what is wrong is shown at its place.
func TestQuery(t *testing.T) {
	s := testkit.Start(t)
	for i := range 3 {
		if status, err := post(s.URL("otlp_http"), bytes.NewReader(shop(i, trace.StatusCode(i)))); status != http.StatusOK || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	ask := func(args ...string) testkit.Result {
		return testkit.Run(t, nil, append([]string{"query", "--server", s.URL("query")}, args...)...)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"{ status = error }"}, 0, []string{"START", idOf(2).String(), "shop GET /cart", "error", "db SELECT�[31m"}},
		{[]string{"--limit", "1", "{ kind = server } > { kind = client }"}, 0, []string{idOf(2).String(), "--cursor "}},
		{[]string{"{ name = `none` }"}, 0, []string{"looked at 0 traces of 0 spans, and found nothing"}},
		{[]string{"--step", "0s", "{ } | count_over_time() by (resource.service.name)"}, 0, []string{"VALUE", `3      {resource.service.name="db"}`}},
		{[]string{"{ } | rate()"}, 0, []string{"MIN", "COURSE", "█", "{}"}},
		{[]string{"{ } | compare({ status = error })"}, 0, []string{"SELECTION", "100.0 %", "status=error", "Shares of 1 span selected"}},
		{[]string{"explain { span.http.status_code = 200 }"}, 0, []string{"span.http.status_code = 200", "evaluated 3 traces of 6 spans", "found 3 traces"}},
		{[]string{"{ status = }"}, 2, []string{"line 1, column 12", "{ status = }\n           ^"}},
		{[]string{"--limit", "0", "{ }"}, 1, []string{`limit is "0"; want 1 to 2000`}},
		{[]string{"{ }", "{ }"}, 2, []string{"want one query"}},
		{[]string{"--follow", "{ } | rate()"}, 2, []string{"--follow prints traces as they come"}},
	} {
		r := ask(c.args...)
		for _, want := range c.want {
			if !strings.Contains(r.Stdout+r.Stderr, want) {
				t.Errorf("clew query %q says nothing of %q:\n%s%s", c.args, want, r.Stdout, r.Stderr)
			}
		}
		if r.Status != c.status {
			t.Errorf("clew query %q ends with %d; want %d", c.args, r.Status, c.status)
		}
	}
	var answer struct{ Traces []struct{ TraceID string } }
	if err := json.Unmarshal([]byte(ask("--json", "{ status = ok }").Stdout), &answer); err != nil || len(answer.Traces) != 1 || answer.Traces[0].TraceID != idOf(1).String() {
		t.Errorf("JSON: %v, %+v", err, answer)
	}
}

// TestLongQuery asks as long a query as there may be, in which each byte is escaped, and a longer one, which is refused as every bad query is.
func TestLongQuery(t *testing.T) {
	s := testkit.Start(t)
	filler := strings.Repeat(" ", traceql.MaxText-len("{ }"))
	for _, call := range []string{s.URL("query") + "/api/v1/query", s.URL("tempo") + "/api/search"} {
		for query, want := range map[string]string{"{" + filler + " }": `"traces":[]`, "{" + filler + "  }": "the query has 65537 bytes; at most 65536"} {
			answer, err := http.Get(call + "?q=" + strings.NewReplacer("{", "%7B", " ", "%20", "}", "%7D").Replace(query))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || !strings.Contains(string(body), want) {
				t.Errorf("%s of %d bytes: %s, %v, %.200s; want %s", call, len(query), answer.Status, err, body, want)
			}
		}
	}
}

// TestFollow prints traces while they come, each once: also those that began long ago, or of which a span took longer than a look goes back.
func TestFollow(t *testing.T) {
	s := testkit.Start(t)
	cmd := exec.CommandContext(t.Context(), testkit.Binary(t), "query", "--server", s.URL("query"), "--follow", "--json", "{ resource.service.name = `db` }")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines, seen := bufio.NewScanner(out), map[string]int{}
	send := func(i int, root, db time.Duration) {
		if status, err := post(s.URL("otlp_http"), bytes.NewReader(shopFor(i, root, db))); status != http.StatusOK || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	}
	until := func(i int) {
		for seen[idOf(i).String()] == 0 {
			var found struct{ TraceID string }
			if !lines.Scan() || json.Unmarshal(lines.Bytes(), &found) != nil {
				t.Fatalf("waiting for trace %d: %q", i, lines.Text())
			}
			seen[found.TraceID]++
		}
	}
	// It may have begun to follow later than this trace: one is sent until it is seen.
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			send(0, time.Millisecond, time.Millisecond)
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	until(0)
	close(stop)
	<-done
	send(1, 20*time.Minute, time.Millisecond)
	until(1)
	send(2, 2*time.Minute, 90*time.Second)
	until(2)
	send(3, time.Millisecond, time.Millisecond)
	until(3)
	for id, n := range seen {
		if n != 1 {
			t.Errorf("trace %s was printed %d times", id, n)
		}
	}
}
