package crash

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
)

// fill sends batches to a server, each of which it must acknowledge.
func fill(t *testing.T, s *testkit.Server, b *book, n int) {
	t.Helper()
	to, err := newTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	for range n {
		k := b.next()
		if err := to.post(batch(k, time.Now())); err != nil {
			t.Fatal(err)
		}
		b.ack(k, false)
	}
}

// flip changes a bit of a file and returns where.
func flip(t *testing.T, path string, find []byte) int {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := len(raw) / 3
	if find != nil {
		at = bytes.Index(raw, find)
	}
	if at < 0 {
		t.Fatalf("%s does not hold %q", path, find)
	}
	raw[at] ^= 0x10
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// metric returns a metric's value as /metrics writes it.
func metric(t *testing.T, s *testkit.Server, name string) string {
	t.Helper()
	resp, err := http.Get(s.URL("admin") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return v
		}
	}
	return ""
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s, %v", pattern, dir, err)
	}
	return files // in order
}

func size(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// TestFlippedBits flips a bit in a block and in the log of a server that was killed. The next start must tell of both with file and offset, count
// them, and have all that is whole.
func TestFlippedBits(t *testing.T) {
	dir, b := t.TempDir(), &book{}
	const part = 10 // traces in each of two blocks, and in the log
	for range 2 {
		s := testkit.StartIn(t, dir)
		fill(t, s, b, part*traceBatches)
		if err := s.Stop(); err != nil { // makes a block
			t.Fatal(err)
		}
	}
	s := testkit.StartIn(t, dir)
	fill(t, s, b, part*traceBatches)
	s.Kill() // leaves a log
	blocks, logs := glob(t, dir, "blocks/*.blk"), glob(t, dir, "wal/*.log")
	if len(blocks) != 2 {
		t.Fatalf("blocks: %v", blocks)
	}
	block, log := blocks[0], logs[len(logs)-1]
	flip(t, block, nil)
	const lost = (2*part + 5) * traceBatches // the batch whose record is damaged
	flip(t, log, []byte(text(lost, 7)))

	s = testkit.StartIn(t, dir)
	if got := s.Logged(`"level":"ERROR"`, "damaged data is left out", `"file":"`+log+`"`, `"offset":`, "is damaged"); len(got) != 1 {
		t.Errorf("said of the log: %q", got)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	missing := make([][]int, 3) // traces that are not whole, of each part
	for n := range b.traces() {
		if _, err := b.check(client, s.URL("query"), n); err != nil {
			missing[n/part] = append(missing[n/part], n)
		}
	}
	if len(missing[0]) == 0 {
		t.Error("damage to the block costs nothing: it was not where it should be")
	}
	if len(missing[1]) > 0 {
		t.Errorf("damage to a block costs traces %v of another", missing[1])
	}
	if want := []int{lost / traceBatches}; !slices.Equal(missing[2], want) {
		t.Errorf("damage to the log costs traces %v; want %v", missing[2], want)
	}
	if got := s.Logged(`"level":"ERROR"`, "damaged data is left out", `"file":"`+block+`"`, `"offset":`, "checksum"); len(got) != 1 {
		t.Errorf("said of the block: %q", got)
	}
	if v := metric(t, s, "clew_store_damage_total"); v != "2" {
		t.Errorf("clew_store_damage_total is %q; want 2", v)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
