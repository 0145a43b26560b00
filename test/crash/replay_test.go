package crash

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

var logBytesFlag = flag.Int64("crash.log", 0, "bytes of log in the test of replay; 0: 256 MiB, with -short 64 MiB")

// TestReplay kills a server that has a long log and no block, and tells how long the next start takes: with heads so large that all is one segment,
// which is the worst case, and with heads as they are by default, which leaves as much of a log as cutting has not caught up with.
func TestReplay(t *testing.T) {
	bytes := *logBytesFlag
	if bytes == 0 {
		bytes = 256 << 20
		if testing.Short() {
			bytes = 64 << 20
		}
	}
	t.Run("one segment", func(t *testing.T) {
		testReplay(t, bytes, "--store.head_bytes", "2GiB", "--store.head_age", "1h")
	})
	t.Run("default heads", func(t *testing.T) { testReplay(t, bytes/2) })
}

func testReplay(t *testing.T, bytes int64, flags ...string) {
	dir := t.TempDir()
	s := testkit.StartIn(t, dir, flags...)
	to, err := newTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	deadline := time.Now().Add(5 * time.Minute)
	var work errgroup.Group
	per := bytes / 4
	spans := make([]int, 4)
	for i := range spans {
		work.Go(func() error {
			g := load.New(1, i)
			for sent := int64(0); sent < per; {
				raw, made := g.Request(nil, 5000, time.Now())
				for to.post(raw) != nil { // faster than blocks can be written
					if time.Now().After(deadline) {
						return errors.New("the server takes no spans")
					}
					time.Sleep(50 * time.Millisecond)
				}
				spans[i] += made.Spans
				sent += int64(len(raw))
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, n := range spans {
		want += n
	}
	s.Kill()
	var log int64
	segments, _ := filepath.Glob(filepath.Join(dir, "wal", "*.log"))
	for _, path := range segments {
		log += size(path)
	}
	begin := time.Now()
	s = testkit.StartIn(t, dir, flags...)
	took, used := time.Since(begin), cpu(s.PID())
	var e struct {
		Spans int    `json:"spans_from_log"`
		Old   int    `json:"spans_in_blocks"`
		Took  uint64 `json:"took"`
	}
	lines := s.Logged(`"msg":"store is open"`)
	if len(lines) != 1 || json.Unmarshal([]byte(lines[0]), &e) != nil || e.Spans+e.Old != want {
		t.Errorf("%d spans were acknowledged; the server says %v", want, lines)
	}
	t.Logf("%d MiB of log in %d segments, %d spans, %d of them in blocks already: ready after %v, of which the store took %v; CPU time %v; memory %s",
		log>>20, len(segments), want, e.Old, ms(took), ms(time.Duration(e.Took)), used, peak(s.PID()))
	resp, err := http.Get(s.URL("query") + "/api/services")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.Kill()
}

// cpu returns the CPU time that a process has used, where the system tells.
func cpu(pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(raw))
	if err != nil || len(fields) < 15 {
		return 0
	}
	user, _ := strconv.Atoi(fields[13])
	system, _ := strconv.Atoi(fields[14])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel tells hundredths of a second
}

// peak returns the most memory that a process had, where the system tells.
func peak(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
