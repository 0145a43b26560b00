package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// startCollector starts a Collector with a configuration, waits until it listens at addresses, and ends it with the test.
func startCollector(t *testing.T, program, config string, addresses ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.StartPeer(t, exec.Command(program, "--config", path), testkit.Listening(addresses...))
}

// until waits for something to be so, for up to a minute.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// known is a trace that has what all formats can say: one server, with a client below it that fails, in two services.
func known(way byte, service string) []trace.Span {
	text := func(k, v string) trace.Attr { return trace.Attr{Key: k, Value: trace.String(v)} }
	start := uint64(time.Now().Add(-time.Minute).Truncate(time.Millisecond).UnixNano())
	id := trace.ID{0xc0, 1: way, 15: 1}
	front := &trace.Resource{Attrs: []trace.Attr{text("service.name", service), text("host.name", "h1")}}
	back := &trace.Resource{Attrs: []trace.Attr{text("service.name", service), text("host.name", "h2")}}
	lib := &trace.Scope{Name: "lib", Version: "1.2"}
	var spans []trace.Span
	for i := range 40 {
		at := start + uint64(i)*1_000_000
		s := trace.Span{
			TraceID: id, ID: trace.SpanID{0xa0, 7: byte(i + 1)}, Name: fmt.Sprint("op", i%7), Kind: trace.KindServer, Start: at, End: at + 5_000_000,
			Resource: front, Scope: lib, Flags: 1,
			Attrs: []trace.Attr{text("http.route", "/warenkörbe/{id}"), {Key: "n", Value: trace.Int(int64(i))}, {Key: "share", Value: trace.Double(0.25)}, {Key: "yes", Value: trace.Bool(true)}},
		}
		if i > 0 {
			s.Parent = trace.SpanID{0xa0, 7: byte(i)}
		}
		if i%2 == 1 {
			s.Kind, s.Resource = trace.KindClient, back
			s.Events = []trace.Event{{Time: at + 1_000_000, Name: "retry"}}
		}
		if i%5 == 3 {
			s.Status, s.StatusMessage = trace.StatusError, "no stock"
		}
		spans = append(spans, s)
	}
	return spans
}

// post sends spans to a server of OTLP/HTTP.
func post(t *testing.T, url string, spans []trace.Span) {
	t.Helper()
	r, err := http.Post(url+"/v1/traces", "application/x-protobuf", bytes.NewReader(trace.AppendTraces(nil, spans)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if body, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", url, r.Status, body)
	}
}

// answer is a trace in Jaeger's JSON.
type answer struct {
	Data []struct {
		Spans []struct {
			SpanID, OperationName, ProcessID string
			References                       []struct{ SpanID string }
			StartTime, Duration              int64
			Tags                             []keyValue
			Logs                             []struct {
				Timestamp int64
				Fields    []keyValue
			}
		}
		Processes map[string]struct {
			ServiceName string
			Tags        []keyValue
		}
	}
}

type keyValue struct {
	Key   string
	Value any
}

// found is what a server has of a trace: for each span what all formats can say, in a line each.
func found(t *testing.T, url string, id trace.ID) map[string]string {
	t.Helper()
	r, err := http.Get(url + "/api/traces/" + id.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var a answer
	if r.StatusCode == http.StatusNotFound {
		return nil
	}
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, tr := range a.Data {
		for _, s := range tr.Spans {
			p := tr.Processes[s.ProcessID]
			tags := text(append(s.Tags, p.Tags...)) // Zipkin has no tags of processes
			events := 0
			for _, l := range s.Logs {
				if e := text(l.Fields)["event"]; e == "retry" {
					events += int(l.Timestamp - s.StartTime)
				}
			}
			parent := ""
			if len(s.References) > 0 {
				parent = s.References[0].SpanID
			}
			out[s.SpanID] = fmt.Sprint(p.ServiceName, " ", parent, " ", s.OperationName, " ", s.StartTime, "+", s.Duration, " ", tags["span.kind"], " ", tags["http.route"], " ", tags["n"], " ",
				tags["share"], " ", tags["yes"], " ", tags["host.name"], " ", tags["otel.scope.name"], " ", tags["otel.scope.version"], " ", tags["otel.status_code"], " ", tags["otel.status_description"], " ", events)
		}
	}
	return out
}

func text(tags []keyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range tags {
		out[kv.Key] = fmt.Sprint(kv.Value)
	}
	return out
}

// arrives holds that a server gets all of a trace, as another has it that got it directly, apart from what replace makes equal, for it is lost.
func arrives(t *testing.T, at, direct *testkit.Server, spans []trace.Span, replace *strings.Replacer) {
	t.Helper()
	post(t, direct.URL("otlp_http"), spans)
	id := spans[0].TraceID
	want := found(t, direct.URL("query"), id)
	if len(want) != len(spans) {
		t.Fatalf("%d spans were stored directly; want %d", len(want), len(spans))
	}
	var got map[string]string
	until(t, fmt.Sprint("trace ", id, " has come"), func() bool { got = found(t, at.URL("query"), id); return len(got) >= len(spans) })
	for span, w := range want {
		w, got := replace.Replace(w), replace.Replace(got[span])
		if got != w {
			t.Errorf("span %s is %q; want %q", span, got, w)
		}
	}
}

// zipkinLoses makes equal what the Collector's, and Jaeger's, receiver of Zipkin's format does not keep: all spans of a service become those of one host, and
// an error's message stays in the tag "error".
func zipkinLoses() *strings.Replacer { return strings.NewReplacer("h1", "h2", "no stock", "") }
