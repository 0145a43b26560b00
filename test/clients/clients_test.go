// Package clients_test lets OpenTelemetry's own SDKs send one known trace, and compares all of it with what Clew answers.
package clients_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/test/clients/known"
)

// client is a program that sends the known trace: its arguments are PROTOCOL, HOST:PORT, FILE, COMPRESSION and after.
type client struct {
	name      string
	command   func(t *testing.T) *exec.Cmd
	after     []string
	protocols []string
	ordered   bool // attributes come back in the order of the file, not in one that the SDK made
}

var clients = []client{
	{name: "otlp", command: goClient, after: []string{"otlp"}, protocols: []string{"grpc", "http/protobuf"}, ordered: true},
	{name: "go", command: goClient, after: []string{"sdk"}, protocols: []string{"grpc", "http/protobuf"}},
	{name: "node", command: nodeClient, protocols: []string{"grpc", "http/protobuf", "http/json"}},
	{name: "python", command: pythonClient, protocols: []string{"grpc", "http/protobuf"}},
	{name: "java", command: javaClient, protocols: []string{"grpc", "http/protobuf"}},
}

func goClient(t *testing.T) *exec.Cmd {
	path := filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("go", "build", "-o", path, "./go").CombinedOutput(); err != nil {
		t.Fatalf("build the Go client: %v\n%s", err, out)
	}
	return exec.Command(path)
}

func nodeClient(t *testing.T) *exec.Cmd {
	cmd := exec.Command("node", "client.js")
	cmd.Dir = "node"
	cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NodeModules(t, "node"))
	return cmd
}

func pythonClient(t *testing.T) *exec.Cmd {
	cmd := exec.Command(testkit.PythonWith(t, "python"), "client.py")
	cmd.Dir = "python"
	return cmd
}

func javaClient(t *testing.T) *exec.Cmd {
	java := testkit.Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
	cmd := exec.Command(java, "-Dfile.encoding=UTF-8", "-cp", testkit.ClassPath(t, "java"), "Client.java")
	cmd.Dir = "java"
	return cmd
}

// TestKnownTrace sends the known trace with each client, over each of its protocols, plain and compressed.
func TestKnownTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs the SDKs of four languages")
	}
	server := testkit.Start(t)
	start := uint64(time.Now().Add(-time.Minute).Truncate(time.Millisecond).UnixNano()) + 1 // as old as a fresh trace is; a start that is no whole microsecond
	t.Run("clients", func(t *testing.T) {                                                   // returns when the parallel ones have
		for n, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				cmd := c.command(t)
				for m, protocol := range c.protocols {
					for k, compression := range []string{"none", "gzip"} {
						t.Run(protocol+" "+compression, func(t *testing.T) {
							told, expected := knownTrace(t, c.name, protocol)
							id := fmt.Sprintf("5b8efff798038103d269b633%02x%02x%02x0c", n, m, k)
							told.At(start, id)
							expected.At(start, id)
							send(t, server, cmd, append([]string{protocol, endpoint(server, protocol), file(t, told), compression}, c.after...))
							compare(t, c, expected, get(t, server.URL("query")+"/api/v1/traces/"+id))
							compareJaeger(t, expected, get(t, server.URL("query")+"/api/traces/"+id))
						})
					}
				}
			})
		}
	})
}

// knownTrace returns the known trace as a client is told to send it, and as it is expected to come back.
func knownTrace(t *testing.T, client, protocol string) (told, expected *known.Trace) {
	t.Helper()
	told, err := known.Read("testdata/trace.json")
	if err == nil {
		expected, err = known.Read("testdata/trace.json")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deviations[client] {
		if d.protocol != "" && d.protocol != protocol {
			continue
		}
		before := text(t, expected)
		d.change(expected)
		if before == text(t, expected) {
			t.Errorf("the deviation %q changes nothing", d.why)
		}
		if !d.tried {
			d.change(told)
		}
	}
	told.Tighten()
	return told, expected
}

func endpoint(s *testkit.Server, protocol string) string {
	if protocol == "grpc" {
		return s.Address("otlp_grpc")
	}
	return s.Address("otlp_http")
}

// file writes a trace for a client to read.
func file(t *testing.T, trace *known.Trace) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.json")
	if err := os.WriteFile(path, []byte(text(t, trace)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func text(t *testing.T, trace *known.Trace) string {
	t.Helper()
	b, err := json.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func send(t *testing.T, server *testkit.Server, client *exec.Cmd, args []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), client.Path, append(slices.Clone(client.Args[1:]), args...)...)
	cmd.Dir, cmd.Env = client.Dir, client.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s\nclew says:\n%s", strings.Join(cmd.Args, " "), err, out, strings.Join(server.Logged(`"level":"WARN"`), "\n"))
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// flat is a span with all that is known of it, apart from the order in which spans were sent.
type flat struct {
	Resource       known.Resource
	ResourceSchema string
	Scope          known.Scope
	ScopeSchema    string
	Span           known.Span
}

func flatten(t *testing.T, trace *known.Trace, ordered bool) map[string]flat {
	t.Helper()
	spans := map[string]flat{}
	for _, r := range trace.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				if _, there := spans[span.SpanID]; there {
					t.Errorf("span %s is there twice", span.SpanID)
				}
				f := flat{Resource: r.Resource, ResourceSchema: r.SchemaURL, Scope: s.Scope, ScopeSchema: s.SchemaURL, Span: span}
				if !ordered {
					f.sort()
				}
				spans[span.SpanID] = f
			}
		}
	}
	return spans
}

func (f *flat) sort() {
	sortAttributes(f.Resource.Attributes)
	sortAttributes(f.Scope.Attributes)
	sortAttributes(f.Span.Attributes)
	for _, e := range f.Span.Events {
		sortAttributes(e.Attributes)
	}
	for _, l := range f.Span.Links {
		sortAttributes(l.Attributes)
	}
}

func sortAttributes(list []known.Attribute) {
	slices.SortStableFunc(list, func(a, b known.Attribute) int { return cmp.Compare(a.Key, b.Key) })
	for _, a := range list {
		if a.Value.Map != nil {
			sortAttributes(a.Value.Map.Values)
		}
	}
}

func compare(t *testing.T, c client, want *known.Trace, answer string) {
	t.Helper()
	got, err := known.Parse(answer)
	if err != nil {
		t.Fatal(err)
	}
	sent, back := flatten(t, want, c.ordered), flatten(t, got, c.ordered)
	if len(sent) != len(back) {
		t.Errorf("%d spans came back of %d", len(back), len(sent))
	}
	// As bits: NaN is NaN.
	bits := gocmp.Comparer(func(a, b known.Double) bool { return math.Float64bits(float64(a)) == math.Float64bits(float64(b)) })
	for id := range sent {
		if diff := gocmp.Diff(sent[id], back[id], cmpopts.EquateEmpty(), bits); diff != "" {
			t.Errorf("span %s (-sent +came back):\n%s", id, diff)
		}
	}
}
