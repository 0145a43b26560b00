package crash

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

var (
	killsFlag = flag.Int("crash.kills", 0, "how often the server is killed; 0: 50, with -short 8")
	seedFlag  = flag.Uint64("crash.seed", 0, "seed of the moments of the kills and of the load; 0: a new one")
)

// small makes the store cut heads, write and merge blocks and delete segments all the time.
func small() []string {
	return []string{"--store.head_bytes", "256KiB", "--store.head_age", "1s", "--store.block_spans", "65536"}
}

// killer starts and kills one server after the other on a folder.
type killer struct {
	t       *testing.T
	r       *rand.Rand
	bin     string
	dir     string
	book    *book
	writers *writers
	client  *http.Client

	doomed   int // the trace to be deleted next
	checked  int // traces from here on were not looked at since they were last written to
	starts   []time.Duration
	early    int            // kills while the server was starting
	said     map[string]int // by message: log lines of recovery
	replayed float64        // spans
}

// TestKill sends numbered batches to a server while it is killed again and again. Every acknowledged span must be there afterwards,
// none twice, and no batch in part.
func TestKill(t *testing.T) {
	kills, seed := *killsFlag, *seedFlag
	if kills == 0 {
		kills = 50
		if testing.Short() {
			kills = 8
		}
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -crash.seed %d", seed)
	k := &killer{
		t: t, r: rand.New(rand.NewPCG(seed, 0)), bin: testkit.Binary(t), dir: t.TempDir(), book: &book{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 30 * time.Second}, said: map[string]int{},
	}
	defer k.client.CloseIdleConnections()
	k.writers = startWriters(t, k.book, seed, 8)
	for i := range kills {
		if i > 0 && k.r.IntN(6) == 0 {
			k.killEarly()
		} else {
			k.round()
		}
	}
	s := k.start()
	k.writers.finish()
	k.purged(s)
	spans := k.all(s)
	if err := s.Stop(); err != nil {
		t.Errorf("graceful stop: %v", err)
	}
	k.heard(s)
	s = k.start() // what a graceful stop wrote must be as good
	if again := k.all(s); again != spans {
		t.Errorf("%d spans after a graceful stop; want %d", again, spans)
	}
	blocks, _ := filepath.Glob(filepath.Join(k.dir, "blocks", "*"))
	logs, _ := filepath.Glob(filepath.Join(k.dir, "wal", "*"))
	if err := s.Stop(); err != nil {
		t.Errorf("graceful stop: %v", err)
	}
	k.heard(s)
	k.report(kills, spans, len(blocks), len(logs))
}

// start starts the server and sends the writers to it.
func (k *killer) start() *testkit.Server {
	k.t.Helper()
	begin := time.Now()
	s, err := testkit.Launch(k.bin, k.dir, small()...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.starts = append(k.starts, time.Since(begin))
	k.t.Cleanup(s.Kill)
	to, err := newTarget(s)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(to.close)
	if old := k.writers.target.Swap(to); old != nil {
		old.close()
	}
	return s
}

// round starts the server, looks at what was written lately, and kills it at some moment.
func (k *killer) round() {
	k.t.Helper()
	s := k.start()
	if k.r.IntN(4) > 0 {
		k.recent(s)
	}
	deleted := make(chan struct{})
	go func() { defer close(deleted); k.delete(s) }()
	time.Sleep(time.Duration(k.r.IntN(900_000)) * time.Microsecond)
	s.Kill()
	<-deleted
	k.writers.target.Store(nil)
	k.heard(s)
}

// delete deletes some traces that are written, one after the other, until the server is killed.
func (k *killer) delete(s *testkit.Server) {
	for i := k.doomed; i < k.checked; i += 7 {
		k.doomed = i + 7
		k.book.doom(i, unknown)
		req, err := http.NewRequest(http.MethodDelete, s.URL("admin")+"/api/v1/traces/"+traceID(i).String(), nil)
		if err != nil {
			k.t.Error(err)
			return
		}
		resp, err := k.client.Do(req)
		if err != nil {
			return // it was killed
		}
		_ = resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK:
			k.book.doom(i, acked)
		case http.StatusNotFound: // no batch of it came
		default:
			k.t.Errorf("delete trace %d: %s", i, resp.Status)
		}
	}
}

// purged waits until no deleted trace is on disk.
func (k *killer) purged(s *testkit.Server) {
	k.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := k.client.Get(s.URL("admin") + "/metrics")
		if err != nil {
			k.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			k.t.Fatal(err)
		}
		if strings.Contains(string(body), "\nclew_store_deletions_pending 0\n") {
			return
		}
	}
	k.t.Error("deleted traces stay on disk")
}

// killEarly kills a server that is about to recover.
func (k *killer) killEarly() {
	k.t.Helper()
	cmd := exec.Command(k.bin, slices.Concat([]string{"serve", "--data", k.dir}, testkit.Listen("127.0.0.1:0"), small())...)
	cmd.SysProcAttr = testkit.Child()
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	longest := slices.Max(k.starts)
	time.Sleep(time.Duration(k.r.Int64N(int64(longest) + 1)))
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	k.early++
}

// recent checks the newest of the traces that were written since the last check, and some others.
func (k *killer) recent(s *testkit.Server) {
	k.t.Helper()
	n := k.book.traces()
	for i := max(k.checked, n-100); i < n; i++ { // the newest: they were being written when it was killed
		k.check(s, i)
	}
	for range min(20, n) {
		k.check(s, k.r.IntN(n))
	}
	k.checked = max(0, n-16) // the last ones may still be written to
}

// all checks every trace and returns how many spans there are.
func (k *killer) all(s *testkit.Server) (spans int) {
	k.t.Helper()
	for i := range k.book.traces() {
		spans += k.check(s, i)
	}
	return spans
}

func (k *killer) check(s *testkit.Server, trace int) int {
	k.t.Helper()
	n, err := k.book.check(k.client, s.URL("query"), trace)
	if err != nil {
		k.t.Fatalf("%v\nlog of clew:\n%s", err, strings.Join(s.Log(), "\n"))
	}
	return n
}

// heard collects what a server that has ended said, and fails on what it should not have had to say.
func (k *killer) heard(s *testkit.Server) {
	k.t.Helper()
	for _, line := range s.Log() {
		var e struct {
			Level, Msg   string
			SpansFromLog float64 `json:"spans_from_log"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Level == "ERROR" {
			k.t.Errorf("log of clew: %s", line)
		}
		k.said[e.Msg]++
		k.replayed += e.SpansFromLog
	}
}

func (k *killer) report(kills, spans, blocks, logs int) {
	all, acknowledged, resent := k.book.count()
	slices.Sort(k.starts)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n  "+format, args...) }
	line("kills             %d, %d of them while the server was starting", kills, k.early)
	line("batches           %d sent, %d acknowledged, %d of these after having been sent more than once, %d never acknowledged", all, acknowledged, resent, all-acknowledged)
	line("spans             %d acknowledged, none missing, none twice; %d there", acknowledged*batchSpans, spans)
	line("deleted           %d traces for sure, none there again", k.book.doomed())
	line("start-up          min %v, median %v, max %v (%d starts, the process's own start included)", ms(k.starts[0]), ms(k.starts[len(k.starts)/2]), ms(k.starts[len(k.starts)-1]), len(k.starts))
	line("recovery          %.0f spans replayed from the log; %d blocks left unfinished; %d records cut short", k.replayed,
		k.said["deleting a block that a crash left unfinished; its spans are in the log or in older blocks"],
		k.said["log ends in a record that is not whole, and is left out: a crash cut it short, or it is damaged"])
	line("meanwhile         %d merges seen, %d blocks rewritten without deleted traces; at the end %d blocks and %d log segments", k.said["blocks merged"], k.said["block rewritten without deleted traces"], blocks, logs)
	k.t.Log(b.String())
	if k.said["blocks merged"] == 0 || k.replayed == 0 || k.book.doomed() == 0 {
		k.t.Error("nothing was merged, nothing replayed, or nothing deleted: the test does not test what it should")
	}
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
