// Package jaeger_test lets Jaeger's own clients, and OpenTelemetry's exporters for it, send one known trace, and compares all of it with
// what Clew answers; and it asks the clients how they understand what they are told of sampling.
package jaeger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clewtrace/clew/internal/testkit"
)

// tag is a key, a type and a value: a string, a boolean, a number, or base64 of bytes.
type tag struct {
	key, kind string
	value     any
}

func (t tag) MarshalJSON() ([]byte, error) { return json.Marshal([]any{t.key, t.kind, t.value}) }

// spans of the known trace; times are in ms.
type span struct {
	Name     string   `json:"name"`
	Parent   string   `json:"parent"`
	Follows  []string `json:"follows"`
	Kind     string   `json:"kind"`
	Start    int64    `json:"start"`
	Duration int64    `json:"duration"`
	Error    bool     `json:"error"`
	Tags     []tag    `json:"tags"`
	Logs     []log    `json:"logs"`
}

type log struct {
	At     int64 `json:"at"`
	Fields []tag `json:"fields"`
}

type known struct {
	Service string `json:"service"`
	Process []tag  `json:"process"`
	Spans   []span `json:"spans"`
}

func trace(service string) *known {
	at := time.Now().Add(-time.Minute).Truncate(time.Second).UnixMilli() // and all else in eighths of one: some clients have seconds as floating-point numbers
	return &known{
		Service: service, Process: []tag{{"deployment", "string", "täglich"}},
		Spans: []span{
			{
				Name: "root", Kind: "server", Start: at, Duration: 500, Follows: []string{},
				Tags: []tag{
					{"text", "string", "grüße, \"quoted\" <&>"},
					{"empty", "string", ""},
					{"yes", "bool", true},
					{"no", "bool", false},
					{"int", "int", 42},
					{"negative", "int", -7},
					{"large", "int", int64(1)<<53 - 1},
					{"double", "double", 0.125},
					{"bytes", "binary", []byte{0, 1, 0xfe, 0xff}},
				},
				Logs: []log{
					{at + 125, []tag{{"event", "string", "retry"}, {"attempt", "int", 2}, {"delayed", "bool", true}}},
					{at + 250, []tag{{"event", "string", "long"}, {"stack", "string", strings.Repeat("at f (x.js:1)\n", 40)}}},
				},
			},
			{Name: "child", Parent: "root", Kind: "client", Start: at + 125, Duration: 250, Error: true, Follows: []string{}, Tags: []tag{}, Logs: []log{}},
			{Name: "follower", Follows: []string{"root"}, Start: at + 625, Duration: 0, Tags: []tag{{"kind", "string", "x"}}, Logs: []log{}},
			{Name: "join", Parent: "root", Follows: []string{"child"}, Kind: "producer", Start: at + 250, Duration: 125, Tags: []tag{}, Logs: []log{}},
		},
	}
}

// client is a program that sends the known trace: its arguments are what it sends by, HOST:PORT and FILE.
type client struct {
	name      string
	command   func(t *testing.T) *exec.Cmd
	listeners map[string]string // by what it sends by
	sampling  []string          // listeners that it can ask how to sample
	otel      bool              // it is OpenTelemetry's
	change    func(s *span)     // how it says otherwise
}

// asDoubles is what JavaScript does with integers.
func asDoubles(s *span) {
	for _, tags := range append([][]tag{s.Tags}, fields(s)...) {
		for i := range tags {
			if tags[i].kind == "int" {
				tags[i].kind = "double"
			}
		}
	}
}

func fields(s *span) (all [][]tag) {
	for i := range s.Logs {
		all = append(all, s.Logs[i].Fields)
	}
	return all
}

// noBytes is what clients do that have no such type.
func noBytes(s *span) {
	s.Tags = slices.DeleteFunc(s.Tags, func(t tag) bool { return t.kind == "binary" })
}

func clients() []client {
	return []client{
		{
			name: "node", command: node("client.js"), listeners: map[string]string{"udp": "jaeger_binary", "http": "jaeger_http"}, sampling: []string{"sampling_http"}, change: asDoubles,
		},
		{
			name: "node-otel", command: node("otel.js"), listeners: map[string]string{"udp": "jaeger_binary", "http": "jaeger_http"}, otel: true,
			change: func(s *span) { asDoubles(s); noBytes(s) },
		},
		{
			name: "python", command: python("python"), listeners: map[string]string{"udp": "jaeger_compact"}, sampling: []string{"sampling_http"},
			change: func(s *span) {
				for i := range s.Tags {
					if t := &s.Tags[i]; t.kind == "binary" {
						t.kind, t.value = "string", `b'\x00\x01\xfe\xff'` // str() of it
					}
				}
			},
		},
		{
			name: "python-otel", command: python("pythonotel"), otel: true, change: func(s *span) {
				noBytes(s)
				for _, f := range fields(s) {
					f[0].key = "message" // instead of event
				}
				if s.Kind == "" {
					s.Kind = "internal"
				}
			},
			listeners: map[string]string{"udp": "jaeger_compact", "http": "jaeger_http", "grpc": "jaeger_grpc"},
		},
		{
			name: "java", command: java("Client.java"), listeners: map[string]string{"udp": "jaeger_compact", "http": "jaeger_http"}, sampling: []string{"sampling_http"},
			change: func(s *span) {
				for i := range s.Tags {
					if t := &s.Tags[i]; t.kind == "binary" {
						t.kind, t.value = "string", base64.StdEncoding.EncodeToString(t.value.([]byte)) // it is sent as the file has it
					}
				}
			},
		},
		{name: "java-otel", command: java("Sampler.java"), sampling: []string{"sampling_grpc", "jaeger_grpc"}},
		{name: "go", command: goClient, listeners: map[string]string{"udp": "jaeger_compact", "http": "jaeger_http"}, sampling: []string{"sampling_http"}},
	}
}

func node(script string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		cmd := exec.Command("node", script)
		cmd.Dir = "node"
		cmd.Env = append(os.Environ(), "NODE_PATH="+testkit.NodeModules(t, "node"))
		return cmd
	}
}

func python(dir string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		cmd := exec.Command(testkit.PythonWith(t, dir), "client.py")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python") // exporter-jaeger-proto-grpc was generated for an old one
		return cmd
	}
}

func java(source string) func(t *testing.T) *exec.Cmd {
	return func(t *testing.T) *exec.Cmd {
		java := testkit.Tool(t, "java", "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)")
		cmd := exec.Command(java, "-Dfile.encoding=UTF-8", "-cp", testkit.ClassPath(t, "java"), source)
		cmd.Dir = "java"
		return cmd
	}
}

func goClient(t *testing.T) *exec.Cmd {
	path := filepath.Join(t.TempDir(), "client")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = "go"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the Go client: %v\n%s", err, out)
	}
	return exec.Command(path)
}

const strategies = `{
  "default_strategy": {"type": "probabilistic", "param": 0},
  "service_strategies": [
    {"service": "always", "type": "probabilistic", "param": 1},
    {"service": "limited", "type": "ratelimiting", "param": 100},
    {"service": "mixed", "type": "probabilistic", "param": 0, "operation_strategies": [{"operation": "kept", "type": "probabilistic", "param": 1}]}
  ]
}
`

type decision struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Sampled   bool   `json:"sampled"`
}

var decisions = []decision{{"never", "x", false}, {"always", "x", true}, {"limited", "x", true}, {"mixed", "kept", true}, {"mixed", "x", false}}

// TestClients sends the known trace with each client, by each of its ways, and has those decide what to sample that can ask.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("it installs the clients of four languages")
	}
	server := testkit.Start(t, "--sampling.strategies_file", file(t, json.RawMessage(strategies)))
	t.Run("clients", func(t *testing.T) { // returns when the parallel ones have
		for _, c := range clients() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				cmd := c.command(t)
				for by, listener := range c.listeners {
					t.Run(by, func(t *testing.T) {
						told := trace(c.name)
						var sent ids
						run(t, cmd, &sent, by, server.Address(listener), file(t, told))
						sent.pad()
						compare(t, server, told.lines(&c, &sent, by), &sent)
					})
				}
				for _, listener := range c.sampling {
					t.Run(listener, func(t *testing.T) {
						var got []decision
						run(t, cmd, &got, "sampling", server.Address(listener), file(t, decisions))
						if diff := gocmp.Diff(decisions, got); diff != "" {
							t.Errorf("sampled otherwise than told (-told +did):\n%s", diff)
						}
					})
				}
			})
		}
	})
}

// ids are those that a client gave its spans, by their names.
type ids struct {
	TraceID string
	Spans   map[string]string
}

// pad puts the zeros back that some clients leave out.
func (i *ids) pad() {
	for name, id := range i.Spans {
		i.Spans[name] = strings.Repeat("0", 16-len(id)) + id
	}
	if n := len(i.TraceID); n > 16 {
		i.TraceID = strings.Repeat("0", 32-n) + i.TraceID
	}
}

func file(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "told.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a client and reads the last line that it prints.
func run(t *testing.T, client *exec.Cmd, answer any, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), client.Path, append(slices.Clone(client.Args[1:]), args...)...)
	cmd.Dir, cmd.Env = client.Dir, client.Env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err == nil {
		err = json.Unmarshal([]byte(lines[len(lines)-1]), answer)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
}

// compare waits until the trace is there, for packets are on their own, and compares all of it.
func compare(t *testing.T, server *testkit.Server, want []string, sent *ids) {
	t.Helper()
	if len(sent.TraceID) != 32 {
		t.Errorf("trace ID %s; it should have been one of 128 bits", sent.TraceID)
	}
	var got []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = lines(t, server.URL("query")+"/api/traces/"+sent.TraceID); len(got) >= len(want) {
			break
		}
	}
	got = slices.DeleteFunc(got, func(line string) bool {
		return slices.ContainsFunc(own, func(key string) bool { return strings.Contains(line, key) })
	})
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the trace that came back differs (-sent +back):\n%s", diff)
	}
}

// own is what clients add of their own, with values that cannot be known here.
var own = []string{"tag sampler.type ", "tag sampler.param ", "process jaeger.version ", "process hostname ", "process ip ", "process client-uuid "}

// lines is what must come back of what a client sends in some way, a line for each thing.
func (k *known) lines(c *client, sent *ids, by string) (out []string) {
	µs := func(ms int64) int64 { return ms * 1000 }
	if by == "grpc" { // OpenTelemetry's exporter for it splits times as floating-point numbers
		µs = func(ms int64) int64 {
			s := float64(ms*1e6) / 1e9
			return int64(s)*1e6 + int64((s-float64(int64(s)))*1e9)/1000
		}
	}
	for i := range k.Spans {
		s := k.Spans[i]
		if c.change != nil {
			c.change(&s)
		}
		add := func(format string, args ...any) { out = append(out, s.Name+": "+fmt.Sprintf(format, args...)) }
		add("%s in %s, flags 1, from %d for %d", sent.Spans[s.Name], k.Service, µs(s.Start), µs(s.Duration))
		if s.Parent != "" {
			add("CHILD_OF %s %s", sent.TraceID, sent.Spans[s.Parent])
		}
		if by == "grpc" && s.Parent == "" && len(s.Follows) > 0 { // what it links to is its parent, too
			add("CHILD_OF %s %s", sent.TraceID, sent.Spans[s.Follows[0]])
		}
		for _, name := range s.Follows {
			add("FOLLOWS_FROM %s %s", sent.TraceID, sent.Spans[name])
		}
		for _, t := range append(slices.Clone(s.Tags), s.more(c)...) {
			add("tag %s", t.text())
		}
		for _, t := range k.Process {
			if c.otel { // for which they are tags of the span
				add("tag %s", t.text())
			}
			if !c.otel || by == "grpc" {
				add("process %s", t.text())
			}
		}
		if c.otel {
			add("tag service.name string %s", k.Service)
		}
		if by == "grpc" {
			add("process service.name string %s", k.Service)
		}
		for i, l := range s.Logs {
			add("log %d at %d", i, µs(l.At))
			for _, f := range l.Fields {
				add("log %d %s", i, f.text())
			}
		}
	}
	slices.Sort(out)
	return out
}

// more is the tags that are not in the file: of kinds, of errors, and of the scope, in Jaeger's names.
func (s *span) more(c *client) (tags []tag) {
	if s.Kind != "" {
		tags = append(tags, tag{"span.kind", "string", s.Kind})
	}
	if s.Error {
		tags = append(tags, tag{"error", "bool", true}, tag{"otel.status_code", "string", "ERROR"})
		if c.otel {
			tags = append(tags, tag{"otel.status_description", "string", "went wrong"})
		}
	}
	if c.otel {
		for _, scope := range []string{"scope", "library"} { // the second as it is sent
			tags = append(tags, tag{"otel." + scope + ".name", "string", "scope"}, tag{"otel." + scope + ".version", "string", "1.2"})
		}
	}
	return tags
}

func (t tag) text() string {
	switch t.kind {
	case "int":
		return fmt.Sprintf("%s int64 %v", t.key, t.value)
	case "double":
		f, _ := strconv.ParseFloat(fmt.Sprint(t.value), 64)
		return fmt.Sprintf("%s float64 %s", t.key, strconv.FormatFloat(f, 'f', -1, 64))
	case "binary":
		return fmt.Sprintf("%s binary %s", t.key, base64.StdEncoding.EncodeToString(t.value.([]byte)))
	}
	return fmt.Sprintf("%s %s %v", t.key, t.kind, t.value)
}

// lines returns what Clew answers for a trace, as known.lines has it, or nothing.
func lines(t *testing.T, url string) (out []string) {
	t.Helper()
	type keyValue struct {
		Key, Type string
		Value     any
	}
	var got struct {
		Data []struct {
			Spans []struct {
				TraceID, SpanID, OperationName, ProcessID string
				Flags                                     int
				StartTime, Duration                       int64
				References                                []struct{ RefType, TraceID, SpanID string }
				Tags                                      []keyValue
				Logs                                      []struct {
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
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&got); err != nil || len(got.Data) != 1 {
		return nil
	}
	for _, s := range got.Data[0].Spans {
		p := got.Data[0].Processes[s.ProcessID]
		add := func(format string, args ...any) { out = append(out, s.OperationName+": "+fmt.Sprintf(format, args...)) }
		add("%s in %s, flags %d, from %d for %d", s.SpanID, p.ServiceName, s.Flags, s.StartTime, s.Duration)
		for _, r := range s.References {
			add("%s %s %s", r.RefType, r.TraceID, r.SpanID)
		}
		for _, t := range s.Tags {
			add("tag %s %s %v", t.Key, t.Type, t.Value)
		}
		for _, t := range p.Tags {
			add("process %s %s %v", t.Key, t.Type, t.Value)
		}
		for i, l := range s.Logs {
			add("log %d at %d", i, l.Timestamp)
			for _, f := range l.Fields {
				add("log %d %s %s %v", i, f.Key, f.Type, f.Value)
			}
		}
	}
	slices.Sort(out)
	return out
}
