package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// until returns what the book says now: what is acknowledged later may be missing.
func (b *book) until() *book {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &book{fates: append([]fate(nil), b.fates...)}
}

func (b *book) wait(t *testing.T, batches int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, acknowledged, _ := b.count(); acknowledged >= batches {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %d batches were acknowledged in a minute", batches)
		}
	}
}

// backUp runs clew backup, and returns how many files it copied and how many there are.
func backUp(t *testing.T, s *testkit.Server, dest string, flags ...string) (copied, all int, name string) {
	t.Helper()
	r := testkit.Run(t, nil, append([]string{"backup", dest, "--admin", s.URL("admin")}, flags...)...)
	m := regexp.MustCompile(`backup (\S+)  .* in (\d+) files?; copied (\d+) files?`).FindStringSubmatch(r.Stdout)
	if r.Status != 0 || m == nil {
		t.Fatalf("clew backup: %+v\nlog of clew:\n%s", r, strings.Join(s.Log(), "\n"))
	}
	all, _ = strconv.Atoi(m[2])
	copied, _ = strconv.Atoi(m[3])
	return copied, all, m[1]
}

// killedBackup kills clew backup after a while.
func killedBackup(t *testing.T, s *testkit.Server, dest string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), "backup", dest, "--admin", s.URL("admin"))
	cmd.SysProcAttr = testkit.Child()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
}

// restored starts a server on what a backup has, and checks it against the book of its time. It returns the number of spans.
func restored(t *testing.T, dest, at string, b *book) (spans int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if r := testkit.Run(t, nil, "restore", dest, "--data", dir, "--at", at); r.Status != 0 {
		t.Fatalf("clew restore: %+v", r)
	}
	s := testkit.StartIn(t, dir, small()...)
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for i := range b.traces() {
		n, err := b.check(client, s.URL("query"), i)
		if err != nil {
			t.Fatalf("backup %s: %v", at, err)
		}
		spans += n
	}
	if damage := s.Logged(`"level":"ERROR"`); len(damage) > 0 {
		t.Errorf("log of the restored: %v", damage)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	return spans
}

// crowd sends a server the spans of others, so that it has more to do, until the test ends.
func crowd(t *testing.T, s *testkit.Server) {
	t.Helper()
	cfg := load.Default()
	cfg.Endpoint, cfg.Rate, cfg.Batch, cfg.Patience = s.Address("otlp_grpc"), 5000, 200, time.Millisecond
	sender, err := load.NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sender.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Log("the sender ended with", err) // as it should, its server gone
		}
		t.Logf("of others, %d spans were acknowledged", sender.Report().Accepted)
	})
}

// TestBackup backs a server up again and again while it ingests, cuts and merges all the time, kills it, and restores elsewhere: in each backup is every span
// that was acknowledged before it began, none twice, and no batch in part. Later backups copy what is new. A backup that is killed can be repeated.
func TestBackup(t *testing.T) {
	b := &book{}
	s := testkit.Start(t, small()...)
	w := startWriters(t, b, 7, 4)
	to, err := newTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	w.target.Store(to)
	dest := filepath.Join(t.TempDir(), "backup")
	type taken struct {
		name string
		book *book
	}
	var backups []taken
	rounds := 10
	if testing.Short() {
		rounds = 5
	}
	crowd(t, s)
	reused := 0
	for i := range rounds {
		b.wait(t, 80*(i+1))
		if i == 1 || i == 3 {
			killedBackup(t, s, dest, time.Duration(i)*5*time.Millisecond)
		}
		before := b.until()
		copied, all, name := backUp(t, s, dest)
		backups = append(backups, taken{name, before})
		reused += all - copied
	}
	if reused == 0 {
		t.Error("each backup copied all files anew")
	}
	s.Kill()
	w.target.Store(nil)
	w.finish()
	if r := testkit.Run(t, nil, "backup", "--verify", dest); r.Status != 0 {
		t.Errorf("%+v", r)
	}
	for _, i := range []int{0, len(backups) / 2, len(backups) - 1} {
		_, acknowledged, _ := backups[i].book.count()
		n := restored(t, dest, backups[i].name, backups[i].book)
		t.Logf("backup %d: %d spans were acknowledged before it began, %d of these traces are in it", i, acknowledged*batchSpans, n)
	}
	t.Logf("%d backups; %d files were there already; merged %d times meanwhile", len(backups), reused, len(s.Logged("blocks merged")))
	// The killed server's folder, and a backup of it with what only its log had.
	s = testkit.StartIn(t, s.Dir, small()...)
	_, _, name := backUp(t, s, dest, "--keep", "1")
	s.Kill()
	restored(t, dest, name, b)
	manifests, _ := filepath.Glob(filepath.Join(dest, "*.json"))
	if len(manifests) != 1 {
		t.Errorf("--keep 1 keeps %v", manifests)
	}
}

// TestBackupOfDeleted deletes a trace and backs up: it is not in what is restored.
func TestBackupOfDeleted(t *testing.T) {
	b := &book{}
	s := testkit.Start(t, small()...)
	to, err := newTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	for range 2 * traceBatches {
		if err := to.post(batch(b.next(), time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	r := testkit.Run(t, nil, "delete", "--admin", s.URL("admin"), traceID(0).String())
	if r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	dest := filepath.Join(t.TempDir(), "backup")
	backUp(t, s, dest)
	s.Kill()
	dir := filepath.Join(t.TempDir(), "restored")
	if r := testkit.Run(t, nil, "restore", "--data", dir, dest); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	s = testkit.StartIn(t, dir, small()...)
	for i, want := range []int{0, traceBatches * batchSpans} {
		n := 0
		f, err := fetch(http.DefaultClient, s.URL("query"), traceID(i))
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			n = len(f.Spans)
		}
		if n != want {
			t.Errorf("trace %d has %d spans; want %d", i, n, want)
		}
	}
}

// TestBackupCommand makes the mistakes that users make: each is told in one line, with the status of its kind.
func TestBackupCommand(t *testing.T) {
	s := testkit.Start(t)
	dest := filepath.Join(t.TempDir(), "backup")
	backUp(t, s, dest)
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{2, "want one: clew backup DEST", []string{"backup"}},
		{2, "want one: clew backup DEST", []string{"backup", "a", "b"}},
		{2, "--keep is -1", []string{"backup", dest, "--keep", "-1"}},
		{2, "want two folders", []string{"restore", dest}},
		{1, "is clew serve running", []string{"backup", dest, "--admin", "127.0.0.1:1"}},
		{1, "is this the admin port", []string{"backup", dest, "--admin", s.URL("query")}},
		{1, "want a URL such as", []string{"backup", dest, "--admin", "ftp://x"}},
		{1, "is not empty: it has x", []string{"restore", dest, "--data", data}},
		{1, "0 backups are named 1999", []string{"restore", dest, "--data", data, "--at", "1999"}},
		{1, "has no backups", []string{"restore", data, "--data", filepath.Join(data, "new")}},
		{1, "has no backups", []string{"backup", "--verify", data}},
		{1, "no such file", []string{"backup", "--verify", filepath.Join(data, "none")}},
	} {
		if r := testkit.Run(t, nil, c.args...); r.Status != c.status || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("%v: %+v; want status %d and %q", c.args, r, c.status, c.want)
		}
	}
	if r := testkit.Run(t, nil, "backup", "--list", dest); r.Status != 0 || strings.Count(r.Stdout, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	var shot struct{ ID string }
	resp, err := http.Post(s.URL("admin")+"/api/v1/snapshots", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&shot); err != nil || shot.ID == "" {
		t.Fatal(shot, err)
	}
	for _, path := range []string{"LOCK", "wal/000000000000.log", "../LOCK"} {
		r, err := http.Get(fmt.Sprintf("%s/api/v1/snapshots/%s/files/%s", s.URL("admin"), shot.ID, path))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == http.StatusOK {
			t.Errorf("%s can be read", path)
		}
	}
}
