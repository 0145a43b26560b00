// Package clients_test lets Zipkin's clients of many languages and times send two known spans, and compares what Clew answers.
package clients_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	reporthttp "github.com/openzipkin/zipkin-go/reporter/http"

	"github.com/clewtrace/clew/internal/testkit"
)

// All send a server's span, and in it a client's that failed. What is compared leaves out what differs at each run: IDs and times.
const (
	server = `SERVER "get /cart", here`
	client = `CLIENT "get /stock" below, here`
)

// want is what Clew answers for a client's two spans.
type want struct{ server, client string }

// whole is what a client says that knows its own address, and named what one says that does not; finagle has values that Zipkin's server
// would drop.
var (
	whole   = want{server + ` 10.0.0.1:80 {http.method=GET}`, client + ` 10.0.0.1:80, stock 10.0.0.7:8080 [retry] {error=timeout}`}
	named   = want{server + ` {http.method=GET}`, client + `, stock 10.0.0.7:8080 [retry] {error=timeout}`}
	finagle = want{
		server + ` 10.0.0.1:80, shared {http.method=GET http.rsp.content-length=31 http.rsp.status=200 l5d.success=true l5d.weight=0.5}`,
		client + ` 10.0.0.1:81, here 10.0.0.7:8080 [retry] {error=timeout}`, // Finagle says of the far end that it has the near one's name
	}
)

// exported is what one of OpenTelemetry's exporters makes of the spans: they differ in how they write an event, and in tags.
func exported(event, serverTags, clientTags string) want {
	return want{server + ` {http.method=GET` + serverTags + `}`, client + `, stock [` + event + `] {error=timeout` + clientTags + `}`}
}

// programs are the clients that are programs, by the folder of their language.
var programs = []struct {
	folder  string
	command func(t *testing.T) *exec.Cmd
	apart   bool // each client is a process of its own
	clients map[string]want
}{
	{"node", nodeClient, true, map[string]want{
		"node-v1": named, "node-v2": named, "node-scribe": named, "node-otel": exported("retry", " service.name=node-otel", " service.name=node-otel"),
	}},
	{"python", pythonClient, true, map[string]want{
		"python-v1": whole, "python-v2": whole, "python-proto": whole,
		"python-otel-json":  exported(`{"retry": {}}`, " service.name=python-otel-json", " service.name=python-otel-json"),
		"python-otel-proto": exported(`{"retry": {}}`, " service.name=python-otel-proto", " service.name=python-otel-proto"),
	}},
	{"java", javaClient, false, map[string]want{
		"brave-v1": whole, "brave-thrift": whole, "brave-v2": whole, "brave-proto": whole, "brave-scribe": whole,
		"java-otel": exported(`"retry":{}`, "", " peer.service=stock"),
	}},
	{"finagle", finagleClient, true, map[string]want{"finagle": finagle}},
	{"go", otelClient, true, map[string]want{"go-otel": exported("retry", " service.name=go-otel", " peer.service=stock service.name=go-otel")}},
}

func nodeClient(t *testing.T) *exec.Cmd {
	cmd := exec.Command("node", "client.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NodeModules(t, "node"))
	cmd.Dir = "node"
	return cmd
}

func pythonClient(t *testing.T) *exec.Cmd {
	cmd := exec.Command(testkit.PythonWith(t, "python"), "client.py")
	cmd.Dir = "python"
	return cmd
}

func javaClient(t *testing.T) *exec.Cmd    { return java(t, "java", "Client.java") }
func finagleClient(t *testing.T) *exec.Cmd { return java(t, "finagle", "Finagle.java") }

func java(t *testing.T, dir, source string) *exec.Cmd {
	java := testkit.Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
	cmd := exec.Command(java, "-XX:TieredStopAtLevel=1", "-cp", testkit.ClassPath(t, dir), source)
	cmd.Dir = dir
	return cmd
}

func otelClient(t *testing.T) *exec.Cmd {
	path := filepath.Join(t.TempDir(), "client")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = "otel"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the Go client: %v\n%s", err, out)
	}
	return exec.Command(path)
}

// TestClients sends with each client, by each protocol that it has.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs the clients of four languages")
	}
	s := testkit.Start(t)
	t.Run("all", func(t *testing.T) { // returns when the parallel ones have
		for _, p := range programs {
			t.Run(p.folder, func(t *testing.T) {
				t.Parallel()
				cmd := p.command(t)
				names := slices.Sorted(maps.Keys(p.clients))
				if !p.apart {
					send(t, s, cmd, names...)
				}
				for _, name := range names {
					if p.apart {
						send(t, s, cmd, name)
					}
					check(t, s, name, p.clients[name])
				}
			})
		}
		t.Run("zipkin-go", func(t *testing.T) {
			t.Parallel()
			zipkinGo(t, s, "zipkin-go-json", reporter.JSONSerializer{})
			zipkinGo(t, s, "zipkin-go-proto", zipkin_proto3.SpanSerializer{})
		})
	})
}

func send(t *testing.T, s *testkit.Server, client *exec.Cmd, names ...string) {
	t.Helper()
	args := append(slices.Clone(client.Args[1:]), s.URL("zipkin"), s.Address("scribe"))
	cmd := exec.CommandContext(t.Context(), client.Path, append(args, names...)...)
	cmd.Dir, cmd.Env = client.Dir, client.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// zipkinGo sends with openzipkin's own library for Go.
func zipkinGo(t *testing.T, s *testkit.Server, name string, as reporter.SpanSerializer) {
	t.Helper()
	r := reporthttp.NewReporter(s.URL("zipkin")+"/api/v2/spans", reporthttp.Serializer(as))
	here := &model.Endpoint{ServiceName: name, IPv4: net.IPv4(10, 0, 0, 1), Port: 80}
	tracer, err := zipkin.NewTracer(r, zipkin.WithLocalEndpoint(here), zipkin.WithTraceID128Bit(true))
	if err != nil {
		t.Fatal(err)
	}
	root := tracer.StartSpan("get /cart", zipkin.Kind(model.Server))
	root.Tag("http.method", "GET")
	child := tracer.StartSpan("get /stock", zipkin.Kind(model.Client), zipkin.Parent(root.Context()),
		zipkin.RemoteEndpoint(&model.Endpoint{ServiceName: "stock", IPv4: net.IPv4(10, 0, 0, 7), Port: 8080}))
	child.Annotate(time.Now(), "retry")
	zipkin.TagError.Set(child, "timeout")
	time.Sleep(time.Millisecond) // what took no microsecond has no duration
	child.Finish()
	root.Finish()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, s, name, whole)
}

// span is a span in Zipkin's JSON.
type span struct {
	ID, ParentID, Kind, Name      string
	Timestamp, Duration           uint64
	LocalEndpoint, RemoteEndpoint struct {
		ServiceName, IPv4 string
		Port              int
	}
	Annotations []struct {
		Timestamp uint64
		Value     string
	}
	Tags   map[string]string
	Shared bool
}

// check compares what Clew answers for a client's service.
func check(t *testing.T, s *testkit.Server, service string, w want) {
	t.Helper()
	var traces [][]span
	for range 100 { // some clients end before the answer is there
		get(t, s.URL("zipkin")+"/api/v2/traces?serviceName="+service, &traces)
		if len(traces) == 1 && len(traces[0]) == 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if len(traces) != 1 || len(traces[0]) != 2 {
		t.Errorf("%s: %+v are not one trace of two spans", service, traces)
		return
	}
	slices.SortFunc(traces[0], func(a, b span) int { return cmp.Compare(a.ParentID, b.ParentID) })
	root, child := &traces[0][0], &traces[0][1]
	if root.Timestamp == 0 || root.Duration == 0 || child.Timestamp < root.Timestamp || child.Duration == 0 || child.Timestamp+child.Duration > root.Timestamp+root.Duration+1000 {
		t.Errorf("%s: times of %+v and %+v", service, root, child)
	}
	for i, got := range []string{root.text(service, ""), child.text(service, root.ID)} {
		if want := [2]string{w.server, w.client}[i]; got != want {
			t.Errorf("%s: %s\nwant %s", service, got, want)
		}
	}
}

// text returns what is compared of a span.
func (s *span) text(service, parent string) string {
	out := fmt.Sprintf("%s %q", s.Kind, s.Name)
	if parent != "" && s.ParentID == parent {
		out += " below"
	}
	place := func(name, ip string, port int) string {
		if name == service {
			name = "here"
		}
		if ip != "" {
			name += " " + ip
		}
		if port != 0 {
			name += fmt.Sprint(":", port)
		}
		return name
	}
	out += ", " + place(s.LocalEndpoint.ServiceName, s.LocalEndpoint.IPv4, s.LocalEndpoint.Port)
	if r := s.RemoteEndpoint; r.ServiceName != "" || r.IPv4 != "" {
		out += ", " + place(r.ServiceName, r.IPv4, r.Port)
	}
	if s.Shared {
		out += ", shared"
	}
	for _, a := range s.Annotations {
		out += " [" + a.Value + "]"
	}
	var tags []string
	for _, k := range slices.Sorted(maps.Keys(s.Tags)) {
		if !strings.HasPrefix(k, "telemetry.sdk.") && !strings.HasPrefix(k, "otel.scope.") && !strings.HasPrefix(k, "otel.library.") {
			tags = append(tags, k+"="+s.Tags[k])
		}
	}
	return out + " {" + strings.Join(tags, " ") + "}"
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v\n%.1000s", url, resp.Status, err, body)
	}
}
