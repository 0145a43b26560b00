package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// loaded loads settings from a file's text, environment and flags.
func loaded(t testing.TB, file string, environ []string, args ...string) (*config, settings, error) {
	t.Helper()
	c := defaultConfig()
	ss := c.settings()
	if file != "" {
		path := filepath.Join(t.TempDir(), "clew.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	_, err := ss.load(invocation{"serve", "", map[string]string{"data": "store.dir"}, args, environ})
	return c, ss, err
}

func TestDefaults(t *testing.T) {
	c, ss, err := loaded(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.validate(); err != nil {
		t.Errorf("defaults are not valid: %v", err)
	}
	for _, s := range ss {
		if s.from != "default" {
			t.Errorf("%s comes from %q", s.key, s.from)
		}
		if err := s.value.Set(s.value.String()); err != nil {
			t.Errorf("%s: its own default is refused: %v", s.key, err)
		}
	}
}

// TestPrecedence checks that flags beat the environment, and that the file.
func TestPrecedence(t *testing.T) {
	file := "store:\n  dir: from-file\n  retention: 1d\nquery:\n  concurrency: 3\notlp:\n  cors_origins: [https://a, \"*\"]\nlisten.zipkin: \"\"\n"
	c, ss, err := loaded(t, file, []string{"HOME=/", "CLEW_STORE_RETENTION=2d", "CLEW_QUERY_CONCURRENCY=4", "CLEW_LISTEN_OTLP_GRPC=[::1]:0"}, "--query.concurrency", "5", "--admin.pprof")
	if err != nil {
		t.Fatal(err)
	}
	if c.store.Dir != "from-file" || c.store.Retention != 48*time.Hour || c.queries != 5 || c.otlpGRPC != "[::1]:0" || c.zipkin != "" || !c.pprof ||
		strings.Join(c.origins, " ") != "https://a *" || c.page != ":16686" {
		t.Errorf("loaded %+v", c)
	}
	for key, want := range map[string]string{
		"store.dir": "clew.yaml:2", "store.retention": "environment CLEW_STORE_RETENTION", "query.concurrency": "flag --query.concurrency", "store.head_age": "default",
	} {
		if got := ss.find(key).from; !strings.HasSuffix(got, want) {
			t.Errorf("%s comes from %q; want %q", key, got, want)
		}
	}
	if c, _, err = loaded(t, file, nil, "--data", "from-flag"); err != nil || c.store.Dir != "from-flag" {
		t.Errorf("--data: %q, %v", c.store.Dir, err)
	}
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("store: {dir: from-env-file}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err = loaded(t, "", []string{"CLEW_CONFIG=" + path}); err != nil || c.store.Dir != "from-env-file" {
		t.Errorf("CLEW_CONFIG: %q, %v", c.store.Dir, err)
	}
}

// TestFilesTaken checks that harmless forms of a file are taken.
func TestFilesTaken(t *testing.T) {
	for _, file := range []string{"", "# nothing\n", "---\n", "store:\n  # dir: x\n", "store: {retention: 0}\n", "otlp:\n  cors_origins:\n", "process: {memory: 1GiB}\nlog: {level: \"debug\"}\n"} {
		if _, _, err := loaded(t, file+"\n", nil); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// TestFileErrors checks that each mistake is told in one line: file, line, key, and what would be right.
func TestFileErrors(t *testing.T) {
	for file, want := range map[string]string{
		"store:\n  retentoin: 1d\n":                                             `clew.yaml:2: there is no key store.retentoin; is it store.retention?`,
		"storage:\n  dir: x\n":                                                  `clew.yaml:1: there is no key storage; clew serve --help lists the keys`,
		"store:\n  retention: 7\n":                                              `clew.yaml:2: store.retention: "7" is not a duration; want one such as 30s, 12h or 7d`,
		"store:\n  retention:\n":                                                `clew.yaml:2: store.retention: "" is not a duration; want one such as 30s, 12h or 7d`,
		"store:\n  retention: -1h\n":                                            `clew.yaml:2: store.retention: "-1h" is not a duration; want one such as 30s, 12h or 7d`,
		"store:\n  retention: [1d]\n":                                           `clew.yaml:2: store.retention: is a list; want one value`,
		"store:\n  head_bytes: lots\n":                                          `clew.yaml:2: store.head_bytes: "lots" is not a size; want one such as 512MiB or 20GB`,
		"store:\n  head_bytes: {a: 1}\n":                                        `clew.yaml:2: store.head_bytes: is a section; want a value`,
		"store:\n  block_spans: 8MiB\n":                                         `clew.yaml:2: store.block_spans: "8MiB" is not a whole number`,
		"store:\n  dir: a\n\n  dir: b\n":                                        `clew.yaml:4: store.dir is set twice, first in line 2`,
		"store.dir: a\nstore:\n  dir: b\n":                                      `clew.yaml:3: store.dir is set twice, first in line 1`,
		"store:\n  dir: a\nstore:\n  head_age: 1m\n":                            `clew.yaml:3: store is set twice, first in line 1`,
		"store: somewhere\n":                                                    `clew.yaml:1: store is not a section of keys and values`,
		"- store\n":                                                             `clew.yaml:1: the file is not a section of keys and values`,
		"listen:\n  query: 16686\n":                                             `clew.yaml:2: listen.query: "16686" is not an address; want host:port, :port, or nothing to switch it off`,
		"listen:\n  query: :99999\n":                                            `clew.yaml:2: listen.query: ":99999" is not an address; want host:port, :port, or nothing to switch it off`,
		"query:\n  concurrency: 0\n":                                            `clew.yaml:2: query.concurrency: "0" is not a number from 1 to 1024`,
		"admin:\n  pprof: perhaps\n":                                            `clew.yaml:2: admin.pprof: "perhaps" is neither true nor false`,
		"log:\n  level: loud\n":                                                 `clew.yaml:2: log.level: "loud" is not one of debug, info, warn, error`,
		"otlp:\n  cors_origins: [{a: b}]\n":                                     `clew.yaml:2: otlp.cors_origins: is not a list of plain values; want one such as [first, second]`,
		"a: &x 1\nstore:\n  dir: *x\n":                                          `clew.yaml:1: there is no key a`,
		"store:\n  dir: &x a\nquery:\n  prefix: *x\n":                           `clew.yaml:4: query.prefix: is an alias; want a value`,
		"store:\n  dir: a\n---\nstore:\n  dir: b\n":                             `clew.yaml:3: a second document begins; want one`,
		"store:\n\tdir: a\n":                                                    `clew.yaml:2: found character that cannot start any token`,
		"store: {dir: [\n":                                                      `clew.yaml:`,
		"tenants:\n  list:\n    a: {}\n    b:\n      retentoin: 1d\n":           `clew.yaml:5: there is no key tenants.list.b.retentoin; is it tenants.list.b.retention?`,
		"tenants:\n  list:\n    a:\n      retention: 1w\n":                      `clew.yaml:4: tenants.list.a.retention: "1w" is not a duration; want one such as 30s, 12h or 7d`,
		"tenants:\n  list:\n    a:\n      retention: 1d\n      retention: 2d\n": `clew.yaml:5: tenants.list.a.retention is set twice, first in line 4`,
		"tenants:\n  list:\n    a:\n    ../b: {retention: 1d}\n":                `clew.yaml:4: tenants.list: "../b" is no tenant's name; want 1 to 64 letters, digits, and -_. without others`,
		"tenants:\n  list:\n    ..: {}\n":                                       `clew.yaml:3: tenants.list: ".." is no tenant's name`,
		"tenants:\n  list:\n    default: {retention: 1d}\n":                     `clew.yaml:3: tenants.list: there is always a tenant default, whose retention is that of store; want another name`,
		"tenants:\n  list:\n    a:\n    A:\n":                                   `clew.yaml:4: tenants.list: tenant A is there already, as a; want names that differ in more than case`,
		"tenants:\n  list:\n    a: 30d\n":                                       `clew.yaml:3: tenants.list.a is not a section of keys and values`,
		"tenants:\n  list: a retention=soon\n":                                  `clew.yaml:2: tenants.list: tenant a: retention: "soon" is not a duration; want one such as 30s, 12h or 7d`,
		"tenants:\n  list: [a, b size=3]\n":                                     `clew.yaml:2: tenants.list: "size=3" of tenant b is none of retention=…, retention_bytes=…, spans_per_second=…`,
		"tenants:\n  lists: {}\n":                                               `clew.yaml:2: there is no key tenants.lists; is it tenants.list?`,
	} {
		_, _, err := loaded(t, file, nil)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n got %v\nwant %s", file, err, want)
		}
	}
}

// TestLocate: an error about a setting that nobody set says where its section was begun.
func TestLocate(t *testing.T) {
	for file, want := range map[string]string{
		"kafka:\n  brokers: a:9092\n": "clew.yaml:2: kafka.topics: is empty; want a list",
		"kafka:\n  brokers: a:9092\n  topics: [{name: a, format: otlp_proto}]\n  sasl_user: x\n":       `clew.yaml:4: kafka.sasl_mechanism: is ""; want one of`,
		"kafka:\n  brokers: a:9092\n  topics: [{name: a, format: otlp_proto}]\n  tls: {ca_file: /x}\n": "clew.yaml:4: kafka.tls.enabled: is false",
	} {
		cfg, ss, err := loaded(t, file, nil)
		if err == nil {
			err = ss.locate(cfg.validate())
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", file, err, want)
		}
	}
}

// TestErrors checks mistakes in the environment and flags.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		environ, args []string
		want          string
	}{
		{[]string{"CLEW_STORE_RETENTION=soon"}, nil, `environment CLEW_STORE_RETENTION: "soon" is not a duration; want one such as 30s, 12h or 7d`},
		{[]string{"CLEW_STORE_RETENTOIN=1d"}, nil, `environment CLEW_STORE_RETENTOIN: there is no such setting; is it CLEW_STORE_RETENTION?`},
		{[]string{"CLEW_CONFIG=/nowhere/clew.yaml"}, nil, "read configuration: open /nowhere/clew.yaml"},
		{nil, []string{"--store.retention", "1w"}, `flag --store.retention: "1w" is not a duration; want one such as 30s, 12h or 7d`},
		{nil, []string{"--store.retentoin", "1d"}, `flag provided but not defined: -store.retentoin; clew help serve lists the flags`},
		{nil, []string{"--store.dir"}, `flag needs an argument: -store.dir; clew help serve lists the flags`},
		{nil, []string{"here"}, `unexpected argument "here"; clew help serve lists the flags`},
	} {
		_, _, err := loaded(t, "", c.environ, c.args...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v:\n got %v\nwant %s", c.environ, c.args, err, c.want)
		}
	}
	// What Kubernetes sets for a service named clew, or clew-store, is none of ours.
	if _, _, err := loaded(t, "", []string{"CLEW_SERVICE_HOST=10.0.0.1", "CLEW_PORT=tcp://10.0.0.1:4317", "CLEW_STORE_SERVICE_HOST=x", "CLEW_STORE_PORT_80_TCP=y", "CLEW_BIN=z"}); err != nil {
		t.Error(err)
	}
}

// TestValidate checks values that are wrong in themselves or together: the message says where they came from.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		file    string
		environ []string
		args    []string
		want    string
	}{
		{"store:\n  head_bytes: 1KiB\n", nil, nil, "clew.yaml:2: store.head_bytes: is 1024; want 64 KiB to 2 GiB"},
		{"", []string{"CLEW_STORE_HEAD_AGE=1ms"}, nil, "environment CLEW_STORE_HEAD_AGE: store.head_age: is 1ms; want 1s or more"},
		{"", nil, []string{"--receive.held_bytes", "1MiB"}, "flag --receive.held_bytes: receive.held_bytes: is 1048576; want at least 4 times receive.body_bytes, 268435456"},
		{"", nil, []string{"--query.memory", "1MiB"}, "flag --query.memory: query.memory: is 1048576; want 16MiB or more, or 0"},
		{"", nil, []string{"--process.memory", "512MiB", "--query.memory", "1GiB"}, "flag --query.memory: query.memory: is 1073741824; want no more than process.memory, 536870912"},
		{"query:\n  memory: 64MiB\n  memory_each: 65MiB\n", nil, nil, "clew.yaml:3: query.memory_each: is 68157440; want 1MiB to query.memory, 67108864, or 0"},
		{"", nil, []string{"--receive.span_bytes", "1GiB"}, "receive.span_bytes: is 1073741824; want 1KiB to receive.body_bytes, 67108864"},
		{"", nil, []string{"--receive.timeout", "1ms"}, "receive.timeout: is 1ms; want 1s or more"},
		{"", nil, []string{"--receive.body_bytes", "1"}, "receive.body_bytes: is 1; want 64KiB to 1GiB"},
		{"", nil, []string{"--query.prefix", "clew"}, `query.prefix: is "clew"; want a path that begins with /`},
		{"", nil, []string{"--data", ""}, "store.dir: is empty; want a folder"},
		{"tenants:\n  header: \"X Team\"\n", nil, nil, `clew.yaml:2: tenants.header: "X Team" is no header's name; want one such as X-Scope-OrgID`},
		{"tenants:\n  list: [a, b]\nstore:\n  head_bytes: 2MiB\n", nil, nil, "clew.yaml:4: store.head_bytes: is 2097152, of which each of 3 tenants has an equal share; want 3 MiB or more"},
	} {
		cfg, ss, err := loaded(t, c.file, c.environ, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.validate(); err == nil || !strings.HasSuffix(ss.locate(err).Error(), c.want) {
			t.Errorf("%q %v %v:\n got %v\nwant %s", c.file, c.environ, c.args, err, c.want)
		}
	}
}

// TestPrint checks that what --print-config prints is read back as the same.
func TestPrint(t *testing.T) {
	for _, args := range [][]string{nil, {
		"--listen.host", "0.0.0.0", "--listen.query", "[::1]:80", "--listen.zipkin", "", "--data", "a \"b\" \\ #c: ü\n", "--store.retention", "90m", "--store.retention_bytes", "1500000",
		"--store.head_bytes", "3MiB", "--otlp.cors_origins", "*,https://a.example:8080", "--query.prefix", "/x", "--admin.pprof", "--log.format", "json", "--process.stop_timeout", "1m30s",
		"--tenants.header", "X-Team", "--tenants.list", "a, b retention=0 retention_bytes=0,c.d retention=30d , E_-9 retention_bytes=50GiB",
	}} {
		_, ss, err := loaded(t, "", nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		want := ss.print()
		_, again, err := loaded(t, want, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, want)
		}
		for i, s := range again {
			if s.value.String() != ss[i].value.String() {
				t.Errorf("%s: printed %q, read back %q", s.key, ss[i].value, s.value)
			}
		}
	}
}

func TestValues(t *testing.T) {
	var n int64
	for in, want := range map[string]int64{"0": 0, "10": 10, "10B": 10, "2KiB": 2048, "3 MiB": 3 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40, "5KB": 5000, "1TB": 1e12} {
		if err := (&size{&n}).Set(in); err != nil || n != want {
			t.Errorf("size %s is %d, %v; want %d", in, n, err, want)
		}
	}
	for _, in := range []string{"", "B", "-1", "1.5GiB", "1PB", "9999999999TiB", "1e3"} {
		if err := (&size{&n}).Set(in); err == nil {
			t.Errorf("size %q is taken as %d", in, n)
		}
	}
	var d time.Duration
	for in, want := range map[string]string{"7d": "7d", "24h": "1d", "36h": "36h", "90m": "1h30m", "1h": "1h", "1500ms": "1.5s", "0": "0s", "60s": "1m"} {
		v := &duration{&d}
		if err := v.Set(in); err != nil || v.String() != want {
			t.Errorf("duration %s is %s, %v; want %s", in, v, err, want)
		}
	}
}

// TestDocument checks that docs/configuration.md names every setting with its default.
func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings: written by go test ./cmd/clew -update -->\n", "<!-- end of settings -->\n"
	before, rest, ok1 := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %s … %s", path, begin, end)
	}
	var b strings.Builder
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	for _, s := range defaultConfig().settings() {
		v := s.value.String()
		if v == "" {
			v = "(nothing)"
		}
		b.WriteString("| `" + s.key + "` | `" + v + "` | " + s.help + " |\n")
	}
	testkit.Golden(t, path, []byte(before+begin+b.String()+end+after))
}

func TestHelp(t *testing.T) {
	c := defaultConfig()
	text := c.settings().help(invocation{name: "serve", example: serveExample})
	for _, s := range c.settings() {
		if !strings.Contains(text, "--"+s.key) || !strings.Contains(text, s.help) {
			t.Errorf("the help says nothing of %s", s.key)
		}
	}
	if _, _, err := loaded(t, "", nil, "--help"); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	for _, c := range commands {
		if !strings.Contains(help(), c.name) {
			t.Errorf("clew help says nothing of %s", c.name)
		}
	}
	for _, c := range commands {
		if text := printed(t, "help", c.name); !strings.Contains(text, "Usage:") && c.name != "version" || strings.Contains(text, "panic") {
			t.Errorf("clew help %s:\n%s", c.name, text)
		}
	}
	var usage usageError
	if err := run(t.Context(), []string{"sevre"}); !errors.As(err, &usage) || !strings.Contains(err.Error(), `there is no command "sevre"; clew help lists them`) {
		t.Errorf("unknown command: %v", err)
	}
}

// printed runs a command that prints what it has to say, and returns it.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer func(before *os.File) { os.Stdout = before }(os.Stdout)
	os.Stdout = f
	if err := run(t.Context(), args); err != nil && !errors.Is(err, flag.ErrHelp) {
		t.Errorf("clew %s: %v", strings.Join(args, " "), err)
	}
	text, err := os.ReadFile(f.Name())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
