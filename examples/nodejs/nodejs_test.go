// Package nodejs_test runs the example's apps as its README does, and looks for their spans.
package nodejs_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
)

// TestOrders runs the app of today.
func TestOrders(t *testing.T) {
	skipShort(t)
	server := testkit.Start(t)
	app := start(t, ".", "tracing.js", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL("otlp_http"))
	if status, body := get(t, app.url); status != http.StatusOK || body != `{"id":"17","items":1,"price":12.5}` {
		t.Fatalf("GET %s: %d\n%s", app.url, status, body)
	}
	if status, body := get(t, app.url+"?items=5"); status != http.StatusInternalServerError || body != `{"error":"3 left, 5 ordered"}` {
		t.Fatalf("GET %s?items=5: %d\n%s", app.url, status, body)
	}
	app.end(t, syscall.SIGTERM) // which sends what still waits
	const without, with = "", " error"
	for _, failed := range []string{without, with} {
		want := []string{
			"client GET <- price order",
			"internal middleware - countItems <- GET /orders/:id",
			"internal middleware - countItems <- GET /stock/:id",
			"internal price order <- request handler" + failed,
			"internal request handler <- GET /orders/:id" + failed,
			"internal request handler <- GET /stock/:id",
			"server GET /orders/:id <- " + failed,
			"server GET /stock/:id <- GET",
		}
		seek(t, server, url.Values{"service": {"orders"}, "tag": {"order.items=" + map[string]string{without: "1", with: "5"}[failed]}}, want)
	}
}

// TestGuide runs the tracing guide's packages, with each of its set-ups that Clew understands.
func TestGuide(t *testing.T) {
	skipShort(t)
	server := testkit.Start(t)
	for _, setup := range []struct{ file, internal, env string }{
		{"zipkin.js", "", "OTEL_EXPORTER_ZIPKIN_ENDPOINT=" + server.URL("zipkin") + "/api/v2/spans"},
		{"otlp.js", "internal", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL("otlp_http")},
	} {
		t.Run(setup.file, func(t *testing.T) {
			before := time.Now().UnixNano()
			hello(t, start(t, "guide", setup.file, setup.env))
			seek(t, server, url.Values{"service": {"your-service-name"}, "tag": {"hello.to=Clew"}, "from": {fmt.Sprint(before)}}, []string{
				setup.internal + " middleware - expressInit <- GET /hello", // Zipkin has no such kind
				setup.internal + " middleware - query <- GET /hello",
				setup.internal + " request handler - /hello <- GET /hello",
				setup.internal + " say hello <- GET /hello", // Express's handlers were not yet parents
				"server GET /hello <- ",
			})
		})
	}
}

// TestGuideUnchanged runs the guide's own lines, which send Jaeger's Thrift: with the packages of its day, and with the last of those names. What
// the exporter is told beside them is in the environment: where Clew is. Its port is always 6832, so it is an address of its own.
func TestGuideUnchanged(t *testing.T) {
	skipShort(t)
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	server := testkit.Start(t, "--listen.jaeger_binary", host+":6832")
	for _, c := range []struct{ name, dir, service, env string }{
		{"of its day, UDP", "guide-0.18", "your-service-name", "OTEL_EXPORTER_JAEGER_AGENT_HOST=" + host},
		{"of its day, HTTP", "guide-0.18", "your-service-name", "OTEL_EXPORTER_JAEGER_ENDPOINT=" + server.URL("jaeger_http") + "/api/traces"},
		{"the last, UDP", "guide", "unknown_service:node", "OTEL_EXPORTER_JAEGER_AGENT_HOST=" + host}, // they ignore the exporter's serviceName
		{"the last, HTTP", "guide", "unknown_service:node", "OTEL_EXPORTER_JAEGER_ENDPOINT=" + server.URL("jaeger_http") + "/api/traces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := time.Now().UnixNano()
			hello(t, start(t, c.dir, "guide.js", c.env))
			seek(t, server, url.Values{"service": {c.service}, "tag": {"hello.to=Clew"}, "from": {fmt.Sprint(before)}}, []string{" say hello <- "})
		})
	}
}

func skipShort(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs the apps' packages")
	}
}

func hello(t *testing.T, app *process) {
	t.Helper()
	if status, body := get(t, app.url); status != http.StatusOK || body != "hello, Clew\n" {
		t.Fatalf("GET %s: %d\n%s", app.url, status, body)
	}
}

// process is an app that runs.
type process struct {
	cmd *exec.Cmd
	url string // that it says to ask for
}

// start starts the app of a folder with a set-up, and ends it with the test.
func start(t *testing.T, dir, setup, env string) *process {
	t.Helper()
	cmd := exec.Command("node", "--require", "./"+setup, "app.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NodeModules(t, dir), "PORT=0", env)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			p.end(t, syscall.SIGKILL)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s in %s ended before it listened: %v", setup, dir, err)
	}
	p.url = strings.TrimSpace(line)
	return p
}

// end ends the app and waits for it.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil && signal != syscall.SIGKILL {
		t.Errorf("the app ended with %v", err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// seekTimeout is how long spans may take to arrive; they take well below a second on a machine that is not busy.
const seekTimeout = 30 * time.Second

// seek waits until the one trace that matches a question has the wanted spans, as lines of "kind name <- parent".
func seek(t *testing.T, server *testkit.Server, question url.Values, want []string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(seekTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var found struct{ Traces []struct{ TraceID string } }
		ask(t, server.URL("query")+"/api/v1/search?"+question.Encode(), &found)
		if len(found.Traces) > 1 {
			t.Fatalf("%d traces for %v; want one", len(found.Traces), question)
		}
		if len(found.Traces) == 0 {
			continue
		}
		got = spans(t, server.URL("query")+"/api/v1/traces/"+found.Traces[0].TraceID)
		if slices.Equal(want, got) {
			return
		}
	}
	t.Errorf("the trace of %v differs (-want +got):\n%s", question, gocmp.Diff(want, got))
}

func ask(t *testing.T, url string, answer any) {
	t.Helper()
	status, body := get(t, url)
	if err := json.Unmarshal([]byte(body), answer); err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: %d, %v\n%s", url, status, err, body)
	}
}

func spans(t *testing.T, url string) (lines []string) {
	t.Helper()
	type span struct {
		SpanID, ParentSpanID, Name string
		Kind                       int
		Status                     struct{ Code int }
	}
	var answer struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []span }
		}
	}
	ask(t, url, &answer)
	byID := map[string]span{}
	for _, r := range answer.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				byID[span.SpanID] = span
			}
		}
	}
	kinds := []string{"", "internal", "server", "client", "producer", "consumer"}
	for _, s := range byID {
		line := kinds[s.Kind] + " " + s.Name + " <- " + byID[s.ParentSpanID].Name
		if s.Status.Code == 2 {
			line += " error"
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, cmp.Compare[string])
	return lines
}
