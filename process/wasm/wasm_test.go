package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// batchOf returns a batch of n spans.
func batchOf(t testing.TB, n int) *trace.Batch {
	t.Helper()
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}}}
	scope := &trace.Scope{Name: "http"}
	spans := make([]trace.Span, n)
	for i := range spans {
		spans[i] = trace.Span{
			TraceID: trace.ID{1, 2, 3, byte(i >> 8), byte(i)}, ID: trace.SpanID{byte(i >> 8), byte(i), 1}, Name: "GET /users/{id}", Kind: trace.KindServer,
			Start: 1e18, End: 1e18 + 5e6, Resource: res, Scope: scope,
			Attrs: []trace.Attr{
				{Key: "http.request.method", Value: trace.String("GET")},
				{Key: "http.response.status_code", Value: trace.Int(200)},
				{Key: "url.path", Value: trace.String(fmt.Sprintf("/users/%d", i))},
				{Key: "server.address", Value: trace.String("shop.example")},
				{Key: "db.statement", Value: trace.String(fmt.Sprintf("SELECT * FROM users WHERE id = %d AND name = 'ann'", i))},
				{Key: "user.email", Value: trace.String("ann@example.com")},
			},
		}
	}
	b := new(trace.Batch)
	if err := trace.Pack(b, spans, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens a module under the name m, and closes it with the test.
func open(t testing.TB, file string, change func(*Config)) (*Processor, *logged) {
	t.Helper()
	c, l := Default(), new(logged)
	c.Timeout = time.Minute // the machine may be busy
	c.File = file
	if change != nil {
		change(&c)
	}
	p, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.Attach("m", slog.New(slog.NewTextHandler(l, nil)), NewMeter(prometheus.NewRegistry()))
	return p, l
}

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (p *Processor) failures(r reason) float64 {
	return testutil.ToFloat64(p.meter.failures[r])
}

// TestGood: what a module returns takes the place of the batch.
func TestGood(t *testing.T) {
	want := batchOf(t, 3)
	for name, a := range map[string]assembly{"same": {}, "echo": {process: echo()}} {
		p, _ := open(t, a.file(t), nil)
		for range 3 {
			b := batchOf(t, 3)
			if err := p.Process(context.Background(), b); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want.Raw, b.Raw); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if n := testutil.ToFloat64(p.meter.instances); n != 1 {
			t.Errorf("%s: %v instances for one caller", name, n)
		}
	}
	p, _ := open(t, assembly{process: returns(opI64, int64(0))}.file(t), nil)
	b := batchOf(t, 3)
	if err := p.Process(context.Background(), b); err != nil || len(b.Spans) != 0 || len(b.Raw) != 0 {
		t.Errorf("all left out: %v, %d spans", err, len(b.Spans))
	}
}

// endless is a loop without an end.
func endless(body ...any) []byte {
	return code(opLoop, block, code(body...), opBr, 0, opEnd, opUnreachable)
}

// bad is modules that fail, each in its way, at each batch.
func bad(t testing.TB) map[string]struct {
	module assembly
	reason reason
	says   string
} {
	other := batchOf(t, 2)
	other.Raw[bytes.Index(other.Raw, []byte{0x0a, 16, 1, 2, 3})+2]++ // first byte of the first trace ID
	noStart := batchOf(t, 1)
	at := bytes.Index(noStart.Raw, []byte{7<<3 | 1, 0x00, 0x00, 0x64, 0xa7, 0xb3, 0xb6, 0xe0, 0x0d})
	clear(noStart.Raw[at+1 : at+9])
	// hydra calls itself twice with one less, down to 0: more calls than there are atoms, at no great depth.
	less := code(opLocalGet, 0, opI32, int64(1), opI32Sub)
	hydra := code(opLocalGet, 0, opIf, block, less, opCall, 3, opDrop, less, opCall, 3, opDrop, opEnd, same())
	// hungry takes page after page, fills each with ones, and crashes when there is no more.
	hungry := endless(opI32, int64(1), opGrow, 0, opLocalTee, 1, opI32, int64(-1), opI32Equal, opIf, block, opUnreachable, opEnd,
		opLocalGet, 1, opI32, int64(16), opI32Shl, opI32, int64(1), opI32, int64(pageBytes), prefixBulk, 11, 0)
	twice := append(bytes.Clone(batchOf(t, 1).Raw), batchOf(t, 1).Raw...)
	data := func(b []byte) assembly {
		a := assembly{data: string(b)}
		a.process = a.fromData()
		return a
	}
	return map[string]struct {
		module assembly
		reason reason
		says   string
	}{
		"crash":               {assembly{process: code(opUnreachable)}, crashed, "unreachable"},
		"reads out of bounds": {assembly{process: code(opI32, int64(-1), opLoad8, 0, 0, opDrop, opI64, int64(0))}, crashed, "out of bounds"},
		"recursion":           {assembly{process: code(opLocalGet, 0, opCall, 3)}, crashed, "stack overflow"},
		"recursion, no loop":  {assembly{process: hydra}, timedOut, "not done within"},
		"hang":                {assembly{process: endless()}, timedOut, "not done within"},
		"hang in alloc":       {assembly{alloc: code(opLocalGet, 0, opIf, block, endless(), opEnd, opI32, int64(bufferAt))}, timedOut, "not done within"},
		"hungry":              {assembly{process: hungry, locals: vector([]byte{1, typeI32})}, overMemory, "wanted more than"},
		"says so":             {assembly{process: code(opI64, int64(-1))}, refused, "cannot process"},
		"garbage":             {data([]byte("\xff\xff garbage")), badOutput, "not an OTLP traces message"},
		"other spans":         {data(other.Raw), badOutput, "spans that it was not given"},
		"a span twice":        {data(twice), badOutput, "spans that it was not given"},
		"a span without":      {data(noStart.Raw), badOutput, "no_start_time"},
		"too much":            {assembly{process: returns(opI64, int64(700_000))}, badOutput, "returned 700000 bytes for"},
		"beyond memory":       {assembly{process: code(opI64, int64(-(1 << 31)), opI64, int64(32), opI64Shl, opI64, int64(9), opI64Or)}, badOutput, "beyond its memory"},
		"alloc beyond":        {assembly{alloc: code(opI32, int64(-1), opI32, int64(bufferAt), opLocalGet, 0, opSelect)}, badOutput, "beyond its memory"},
	}
}

// TestBad: a module that fails is found out, its batch is as it was, and its sender is told to come again.
func TestBad(t *testing.T) {
	for name, c := range bad(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, log := open(t, c.module.file(t), func(config *Config) {
				config.Memory, config.Timeout = 4<<20, time.Minute
				if c.reason == timedOut {
					config.Timeout = 100 * time.Millisecond
				}
			})
			b, want := batchOf(t, 2), batchOf(t, 2)
			err := p.Process(context.Background(), b)
			if e := trace.ErrorOf(err); !errors.Is(err, process.ErrFailed) || e.Kind != trace.Busy || e.After == 0 {
				t.Errorf("error %v; want busy", err)
			}
			if diff := cmp.Diff(want.Raw, b.Raw); diff != "" || len(b.Spans) != 2 || b.Refused != want.Refused {
				t.Errorf("the batch is not as it was: %d spans, refused %v, %s", len(b.Spans), b.Refused, diff)
			}
			if n := p.failures(c.reason); n != 1 {
				t.Errorf("%v failures for %v; log: %s", n, c.reason, log)
			}
			if n := testutil.ToFloat64(p.meter.unprocessed); n != 2 {
				t.Errorf("%v spans count as unprocessed", n)
			}
			if !strings.Contains(log.String(), c.says) {
				t.Errorf("the log does not say %q: %s", c.says, log)
			}
			held := testutil.ToFloat64(p.meter.memory)
			if kept := c.reason.keeps(); kept != (held > 0) {
				t.Errorf("instances hold %v bytes", held)
			}
		})
	}
}

// TestBreaker: a module that fails in a row is not called for a while, and works again when it does.
func TestBreaker(t *testing.T) {
	p, log := open(t, assembly{process: code(opUnreachable)}.file(t), nil)
	for range failuresInRow {
		_ = p.Process(context.Background(), batchOf(t, 1))
	}
	for range 100 {
		if err := p.Process(context.Background(), batchOf(t, 1)); trace.ErrorOf(err).After == 0 {
			t.Fatalf("%v", err)
		}
	}
	if n := p.failures(crashed); n != failuresInRow || !strings.Contains(log.String(), "again and again") {
		t.Errorf("it was called %v times; log: %s", n, log)
	}
	if n := testutil.ToFloat64(p.meter.paused); n != 1 {
		t.Errorf("paused: %v", n)
	}

	var b breaker
	now := time.Unix(0, 0)
	for i := range failuresInRow {
		if b.allow(now) != 0 || (b.failed(now) > 0) != (i == failuresInRow-1) {
			t.Fatalf("failure %d", i)
		}
	}
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		pause *= time.Second
		if wait := b.allow(now.Add(pause - 1)); wait != 1 {
			t.Fatalf("just before %v: wait %v", pause, wait)
		}
		now = now.Add(pause)
		if b.allow(now) != 0 || b.allow(now) == 0 {
			t.Fatalf("after %v: not one caller may try", pause)
		}
		if next := b.failed(now); next != min(2*pause, time.Minute) {
			t.Fatalf("after %v: pause %v", pause, next)
		}
		if b.failed(now) != 0 {
			t.Fatal("a call of before the pause made it longer")
		}
	}
	if !b.succeeded() || b.allow(now) != 0 || b.succeeded() {
		t.Error("a success does not end the pause")
	}
}

// TestLeak: a module that keeps all memory that it ever took goes on in a new instance when it has reached its limit.
func TestLeak(t *testing.T) {
	// It takes 1 MiB more each time, and stops without.
	leak := code(opI32, int64(16), opGrow, 0, opI32, int64(-1), 0x46, 0x04, block, opUnreachable, opEnd, echo())
	p, log := open(t, assembly{process: leak}.file(t), func(c *Config) { c.Memory = 4 << 20 })
	for i := range 40 {
		if err := p.Process(context.Background(), batchOf(t, 2)); err != nil {
			t.Fatalf("batch %d: %v\n%s", i, err, log)
		}
	}
	if n := p.failures(overMemory); n < 2 {
		t.Errorf("%v failures; the module does not leak", n)
	}
}

// TestUnfit: what keeps a module from being loaded is said at the start.
func TestUnfit(t *testing.T) {
	f := func(name, want string, raw []byte) {
		t.Helper()
		c := Default()
		c.File, c.Config = writeModule(t, raw), "x"
		p, err := Open(context.Background(), c)
		if err == nil {
			_ = p.Close()
			t.Errorf("%s: was loaded", name)
		} else if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "file: "+c.File) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	good := assembly{}.bytes()
	f("empty", "is not a WebAssembly module", nil)
	f("text", "is not a WebAssembly module", []byte("(module)"))
	f("component", "components are not taken", []byte("\x00asm\x0d\x00\x01\x00"))
	f("cut off", "broken", good[:len(good)-3])
	f("broken code", "not a valid WebAssembly module", assembly{process: code(opI32, int64(1))}.bytes())
	f("unknown code", "an instruction that WebAssembly 2.0 does not know", assembly{process: code(0xff)}.bytes())
	f("sets the meter", "broken", assembly{process: code(opI32, int64(1), opGlobalSet, 0, same())}.bytes())
	f("other version", "version 9 of the interface", assembly{abi: "clew_abi_9"}.bytes())
	f("no version", "not made with an SDK", assembly{abi: "abi"}.bytes())
	f("program", "build Go with -buildmode=c-shared", assembly{abi: "_start"}.bytes())
	for _, export := range []string{allocName, runName} {
		f("no "+export, "does not export "+export, assembly{without: export}.bytes())
	}
	f("no clew_init", "takes no configuration", assembly{without: initName}.bytes())
	f("no memory", "does not export its memory", assembly{without: "memory"}.bytes())
	f("forbidden import", "imports the function abort of env, which it may not have", assembly{imports: [][2]string{{"env", "abort"}}}.bytes())
	f("unknown WASI", "imports the function sock_listen of "+wasiName, assembly{imports: [][2]string{{wasiName, "sock_listen"}}}.bytes())
	f("wrong type", "does not start", assembly{imports: [][2]string{{hostName, "log"}}}.bytes())
	f("much memory", "needs 134217728 bytes of memory to begin with", assembly{pages: 2048}.bytes())
	f("section twice", "has a section twice", appendVector(append(bytes.Clone(good), sectionGlobal), []byte{0}))
	f("unknown section", "that WebAssembly 2.0 does not know", appendVector(append(bytes.Clone(good), 13), []byte{0}))
	f("large table", "tables of more than", assembly{tables: vector(code(0x70, 0, uint64(maxTable+1)))}.bytes())
	f("many locals", "more than 50000 local variables", assembly{locals: vector(code(uint64(1<<31), typeI64))}.bytes())
	f("crash", "does not start", assembly{init: code(opUnreachable)}.bytes())
	f("refuses", "does not take its configuration", assembly{init: code(opI32, int64(1))}.bytes())
}

// TestConcurrent: instances are never shared, and a client that goes away costs none.
func TestConcurrent(t *testing.T) {
	p, log := open(t, assembly{process: echo()}.file(t), nil)
	want := batchOf(t, 20)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+j)%3 == 0 {
					cancel()
				}
				b := batchOf(t, 20)
				if err := p.Process(ctx, b); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
				if !bytes.Equal(b.Raw, want.Raw) {
					t.Error("another batch came out")
				}
			}
		})
	}
	wg.Wait()
	for r := range numReasons {
		if n := p.failures(r); n > 0 {
			t.Errorf("%v failures for %v: %s", n, r, log)
		}
	}
}

// TestTables: a table does not grow, since it would outside of the memory's limit.
func TestTables(t *testing.T) {
	// table.grow by 1 is to return -1, else it crashes.
	grow := code(0xd0, 0x70, opI32, int64(1), 0xfc, 15, 0, opI32, int64(-1), 0x47, 0x04, block, opUnreachable, opEnd, same())
	for name, table := range map[string][]byte{"no maximum": code(0x70, 0, 3), "a maximum": code(0x70, 1, 3, 100)} {
		p, log := open(t, assembly{tables: vector(table), process: grow}.file(t), nil)
		if err := p.Process(context.Background(), batchOf(t, 1)); err != nil {
			t.Errorf("%s: %v: %s", name, err, log)
		}
	}
}

// TestMemoryLimit: what an instance holds of Clew's memory stays within its limit.
func TestMemoryLimit(t *testing.T) {
	m, err := newMemory(10 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	for size := uint64(1 << 16); ; size += 1 << 16 {
		b := m.Reallocate(size)
		if b == nil {
			if size != m.limit+1<<16 || !m.refused {
				t.Errorf("refused at %d", size)
			}
			return
		}
		if uint64(len(b)) != size || uint64(cap(b)) > m.limit {
			t.Fatalf("%d bytes, room for %d at %d", len(b), cap(b), size)
		}
		if b[size-1] != 0 {
			t.Fatal("new memory is not zero")
		}
		b[size-1] = 1
	}
}

// TestKept holds the modules in testdata, which the tests of the whole server load, to the ones made here.
func TestKept(t *testing.T) {
	modules := bad(t)
	for _, name := range []string{"crash", "hang", "hungry", "garbage"} {
		testkit.Golden(t, "testdata/"+name+".wasm", modules[name].module.bytes())
	}
}
