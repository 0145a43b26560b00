package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/clewtrace/clew/store/spool/wal"
)

// numbered is a record whose OTLP bytes are its length and its number, and whose spans are as its number says.
func numbered(n uint64, size int) (raw []byte, spans int) {
	otlp := binary.LittleEndian.AppendUint32(nil, uint32(size))
	otlp = binary.LittleEndian.AppendUint64(otlp, n)
	otlp = append(otlp, make([]byte, size-len(otlp))...)
	r := record{origin: origin{tenant: "t"}, spans: spansOf(n), at: time.Now(), otlp: otlp}
	return r.append(nil), r.spans
}

func spansOf(n uint64) int { return int(n%5) + 1 }

// numbersIn returns the numbers of the records in a job.
func numbersIn(otlp []byte) (out []uint64) {
	for len(otlp) > 0 {
		out = append(out, binary.LittleEndian.Uint64(otlp[4:]))
		otlp = otlp[binary.LittleEndian.Uint32(otlp):]
	}
	return out
}

// book is a queue in a folder, and what has become of its spans.
type book struct {
	*queue
	mu      sync.Mutex
	dropped map[string]int
}

func openBook(t testing.TB, dir string, limit int64, disk *wal.Disk) (*book, error) {
	t.Helper()
	b := &book{dropped: map[string]int{}}
	b.queue = &queue{disk: disk, dir: dir, limit: limit, log: slog.New(slog.DiscardHandler), drop: func(reason string, spans int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.dropped[reason] += spans
	}}
	return b, openQueue(b.queue)
}

func mustOpen(t testing.TB, dir string, limit int64) *book {
	t.Helper()
	b, err := openBook(t, dir, limit, &wal.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// crash leaves a queue as kill -9 does: nothing is saved, and what was added is where it is.
func (b *book) crash() {
	b.reading.close()
	_ = b.wal.Close()
}

func (b *book) addOne(t testing.TB, n uint64, size int) error {
	t.Helper()
	raw, spans := numbered(n, size)
	return b.add([][]byte{raw}, []int{spans})
}

// takeAll takes and finishes everything that there is.
func (b *book) takeAll(t testing.TB) (got []uint64) {
	t.Helper()
	for {
		j, err := b.tryTake(10_000)
		if err != nil {
			t.Fatal(err)
		}
		if j == nil {
			return got
		}
		got = append(got, numbersIn(j.otlp)...)
		b.finish(j)
	}
}

// TestQueueModel does what it likes to a queue, and holds it against a slice: what was added comes out, in order, once unless there was a
// crash, and what is dropped is counted, span by span.
func TestQueueModel(t *testing.T) {
	rounds := 24
	if testing.Short() {
		rounds = 6
	}
	for seed := range uint64(rounds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { (&queueModel{T: t, r: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}).run() })
	}
}

type queueModel struct {
	*testing.T
	r   *rand.Rand
	dir string
	b   *book

	next     uint64
	waiting  []uint64 // added, and not taken; in order
	taken    []*job   // not finished
	finished map[uint64]bool
	droppedN int // spans that the model knows to be dropped
}

const modelLimit = 1 << 20 // segments of 64 KiB

func (m *queueModel) run() {
	m.finished = map[uint64]bool{}
	m.b = mustOpen(m, m.dir, modelLimit)
	for range 150 {
		switch m.r.IntN(20) {
		case 0:
			m.reopen(true)
		case 1:
			m.reopen(false)
		case 2:
			if err := m.b.save(); err != nil {
				m.Fatal(err)
			}
		case 3, 4, 5, 6, 7, 8, 9:
			m.add()
		case 10, 11, 12, 13, 14:
			m.take()
		default:
			if len(m.taken) > 0 {
				i := m.r.IntN(len(m.taken))
				m.b.finish(m.taken[i])
				for _, n := range numbersIn(m.taken[i].otlp) {
					m.finished[n] = true
				}
				m.taken = slices.Delete(m.taken, i, i+1)
			}
		}
	}
	m.reopen(true)
	for m.take() {
	}
	if len(m.waiting) > 0 {
		m.Errorf("%v never came", m.waiting)
	}
	if err := m.b.close(); err != nil {
		m.Error(err)
	}
}

func (m *queueModel) add() {
	for range 1 + m.r.IntN(5) {
		m.next++
		if err := m.b.addOne(m, m.next, 20+m.r.IntN(40_000)); err != nil {
			m.Fatal(err)
		}
		m.waiting = append(m.waiting, m.next)
	}
	m.reconcile()
}

// reconcile takes out of the model what the queue says it has dropped: the oldest that were not taken, whole segments of them.
func (m *queueModel) reconcile() {
	for m.b.dropped[droppedFull] > m.droppedN {
		if len(m.waiting) == 0 {
			m.Fatalf("%d spans are dropped that nobody added", m.b.dropped[droppedFull]-m.droppedN)
		}
		m.droppedN += spansOf(m.waiting[0])
		m.waiting = m.waiting[1:]
	}
	if m.b.dropped[droppedFull] != m.droppedN || m.b.dropped[droppedDisk]+m.b.dropped[droppedDamaged] > 0 {
		m.Fatalf("dropped %v; want %d, all for want of room", m.b.dropped, m.droppedN)
	}
	want := int64(0)
	for _, n := range m.waiting {
		want += int64(spansOf(n))
	}
	for _, j := range m.taken {
		want += int64(j.spans)
	}
	s := m.b.state(time.Now())
	if held := m.heldByFinishOrder(); s.spans != want+held {
		m.Fatalf("the queue says %d spans wait; want %d", s.spans, want+held)
	}
	if s.bytes > modelLimit+wal.SegmentHeader {
		m.Fatalf("%d bytes on disk; at most %d", s.bytes, modelLimit)
	}
}

// heldByFinishOrder is the spans of jobs that are finished, but whose turn has not come because one before them is not.
func (m *queueModel) heldByFinishOrder() (spans int64) {
	m.b.queue.mu.Lock()
	defer m.b.queue.mu.Unlock()
	for _, j := range m.b.jobs {
		if j.done {
			spans += int64(j.spans)
		}
	}
	return spans
}

func (m *queueModel) take() bool {
	j, err := m.b.tryTake(int64(1 + m.r.IntN(100_000)))
	if err != nil {
		m.Fatal(err)
	}
	if j == nil {
		if len(m.waiting) > 0 {
			m.Fatalf("nothing to take, but %d wait", len(m.waiting))
		}
		return false
	}
	got, spans := numbersIn(j.otlp), 0
	for i, n := range got {
		spans += spansOf(n)
		if i >= len(m.waiting) || m.waiting[i] != n {
			m.Fatalf("took %v; want the first of %v", got, m.waiting[:min(len(m.waiting), 10)])
		}
	}
	if spans != j.spans {
		m.Fatalf("a job of %d spans; want %d", j.spans, spans)
	}
	m.waiting, m.taken = m.waiting[len(got):], append(m.taken, j)
	m.reconcile()
	return true
}

// reopen ends the queue and opens it again. What was taken and not finished comes again; after a crash also what was finished since the position
// was saved.
func (m *queueModel) reopen(clean bool) {
	before := m.b.dropped[droppedFull]
	if clean {
		if err := m.b.close(); err != nil {
			m.Fatal(err)
		}
	} else {
		m.b.crash()
	}
	lost := m.b.dropped[droppedFull] - before // of those taken: their segment was dropped
	var again []uint64
	unfinished := 0
	for _, j := range m.taken {
		again = append(again, numbersIn(j.otlp)...)
		unfinished += j.spans
	}
	m.taken = nil
	m.b, m.droppedN = mustOpen(m, m.dir, modelLimit), 0
	reader := mustOpenCopy(m, m.dir)
	first := reader.takeAll(m)
	reader.crash()
	here := map[uint64]bool{}
	for _, n := range first {
		here[n] = true
		if clean && m.finished[n] && !m.among(again, n) && !m.behind(again, n) {
			m.Fatalf("%d comes again after a clean end", n)
		}
	}
	for _, n := range m.waiting {
		if !here[n] {
			m.Fatalf("%d was added, and is not there after the start", n)
		}
	}
	missing := 0
	for _, n := range again {
		if !here[n] {
			missing += spansOf(n)
		}
	}
	if clean && missing != lost {
		m.Fatalf("%d spans that were being sent are gone, and %d counted", missing, lost)
	}
	if !slices.IsSorted(first) {
		m.Fatalf("out of order: %v", first)
	}
	m.waiting, m.finished = first, map[uint64]bool{}
}

func (m *queueModel) among(list []uint64, n uint64) bool { return slices.Contains(list, n) }

// behind reports whether one that was not finished is before n: the position cannot pass it.
func (m *queueModel) behind(unfinished []uint64, n uint64) bool {
	return len(unfinished) > 0 && slices.Min(unfinished) < n
}

// mustOpenCopy opens a copy of a queue.
func mustOpenCopy(t testing.TB, dir string) *book {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, to, modelLimit)
}

// TestQueueFaults makes each call to the disk fail in turn. Whatever add said was on disk must come out, now or after a restart, and what it
// said was not is counted as dropped.
func TestQueueFaults(t *testing.T) {
	broken := errors.New("injected")
	for n := 1; ; n++ {
		dir, calls, at := t.TempDir(), 0, n
		var mu sync.Mutex
		disk := &wal.Disk{Fault: func(string, string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls == at || calls == at+1 { // what is tried again at once fails, too
				return broken
			}
			return nil
		}}
		want, got := map[uint64]bool{}, map[uint64]bool{}
		failed := 0
		b, err := openBook(t, dir, 4<<20, disk)
		if err == nil {
			for i := range uint64(12) {
				if err := b.addOne(t, i, 30_000); err == nil {
					want[i] = true
				} else {
					failed += spansOf(i)
				}
				if i%3 == 2 {
					if j, _ := b.tryTake(50_000); j != nil { // it is tried again
						for _, k := range numbersIn(j.otlp) {
							got[k] = true
						}
						b.finish(j)
					}
					_ = b.save() // the same
				}
			}
			if b.dropped[droppedDisk] != failed || b.dropped[droppedFull] > 0 {
				t.Fatalf("call %d fails: dropped %v; want %d for the disk", n, b.dropped, failed)
			}
			if n%2 == 0 {
				_ = b.close()
			} else {
				b.crash()
			}
		}
		mu.Lock()
		past := calls < at
		at = 0
		mu.Unlock()
		again := mustOpen(t, dir, 4<<20)
		for _, k := range again.takeAll(t) {
			got[k] = true
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
		for k := range want {
			if !got[k] {
				t.Fatalf("call %d fails: %d was added and never came", n, k)
			}
		}
		if past {
			t.Logf("%d calls failed, one after the other", n-1)
			return
		}
	}
}

// TestQueueTorn cuts and flips bytes at the end and in the middle of a segment: what is whole still comes.
func TestQueueTorn(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir, 4<<20)
	for i := range uint64(10) {
		if err := b.addOne(t, i, 1000); err != nil {
			t.Fatal(err)
		}
	}
	b.crash()
	segment := wal.SegmentPath(dir, 1)
	whole, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		at := wal.SegmentHeader + r.IntN(len(whole)-wal.SegmentHeader)
		damaged := slices.Clone(whole)
		torn := r.IntN(2) == 0
		if torn {
			damaged = damaged[:at]
		} else {
			damaged[at] ^= 1 << r.IntN(8)
		}
		to := t.TempDir()
		if err := os.WriteFile(wal.SegmentPath(to, 1), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		b := mustOpen(t, to, 4<<20)
		got := b.takeAll(t)
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
		record := (len(whole) - wal.SegmentHeader) / 10
		hit := uint64((at - wal.SegmentHeader) / record)
		for i := range uint64(10) {
			if there := slices.Contains(got, i); there != (i < hit || i > hit && !torn) {
				t.Fatalf("damage at %d, torn: %v: %v came", at, torn, got)
			}
		}
	}
}

// TestQueueDamagedPosition: without a position, or with a broken one, all is sent.
func TestQueueDamagedPosition(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir, 4<<20)
	for i := range uint64(4) {
		if err := b.addOne(t, i, 1000); err != nil {
			t.Fatal(err)
		}
	}
	j, err := b.tryTake(1500)
	if err != nil {
		t.Fatal(err)
	}
	b.finish(j)
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		position func(b []byte) []byte
		want     []uint64
	}{
		{func(b []byte) []byte { return b }, []uint64{1, 2, 3}},
		{func(b []byte) []byte { b[7] ^= 1; return b }, []uint64{0, 1, 2, 3}},
		{func(b []byte) []byte { return b[:11] }, []uint64{0, 1, 2, 3}},
		{func(b []byte) []byte { return nil }, []uint64{0, 1, 2, 3}},
	} {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, "position")
		raw, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, c.position(raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		b := mustOpen(t, to, 4<<20)
		if got := b.takeAll(t); !slices.Equal(got, c.want) {
			t.Errorf("%v came; want %v", got, c.want)
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestQueueConcurrent adds from many goroutines while others take and finish, with a limit that is met all the time.
func TestQueueConcurrent(t *testing.T) {
	b := mustOpen(t, t.TempDir(), 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	var adders, takers sync.WaitGroup
	var mu sync.Mutex
	got := map[uint64]int{}
	takers.Go(func() {
		for {
			j, ok := b.take(ctx, 60_000)
			if !ok {
				return
			}
			mu.Lock()
			for _, n := range numbersIn(j.otlp) {
				got[n]++
			}
			mu.Unlock()
			takers.Go(func() { b.finish(j) })
		}
	})
	const each, from = 300, 8
	total := 0
	for w := range uint64(from) {
		for i := range uint64(each) {
			total += spansOf(w*each + i)
		}
		adders.Go(func() {
			for i := range uint64(each) {
				if err := b.addOne(t, w*each+i, 20_000); err != nil {
					t.Error(err)
				}
			}
		})
	}
	adders.Wait()
	for b.state(time.Now()).spans > 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	takers.Wait()
	came := 0
	for n, times := range got {
		came += spansOf(n)
		if times > 1 {
			t.Errorf("%d came %d times", n, times)
		}
	}
	if came+b.dropped[droppedFull] != total || len(b.dropped) > 1 {
		t.Errorf("%d spans came, dropped %v; want %d together", came, b.dropped, total)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
}

// TestReserve: room that is reserved is nobody else's, and a queue that refuses drops nothing.
func TestReserve(t *testing.T) {
	b := mustOpen(t, t.TempDir(), 4<<20)
	b.keep = true
	free, ok := b.reserve(10 << 20)
	if !ok {
		t.Fatal("an empty queue has no room")
	}
	if _, ok := b.reserve(1); ok {
		t.Error("there is room that is reserved")
	}
	free()
	n := uint64(0)
	for ; ; n++ {
		free, ok := b.reserve(100_000)
		if !ok {
			break
		}
		if err := b.addOne(t, n, 100_000); err != nil {
			t.Fatal(err)
		}
		free()
	}
	if n < 30 || len(b.dropped) > 0 {
		t.Errorf("full after %d, dropped %v", n, b.dropped)
	}
	if got := b.takeAll(t); uint64(len(got)) != n {
		t.Errorf("%d came of %d", len(got), n)
	}
	if free, ok = b.reserve(100_000); !ok {
		t.Error("there is no room after all was taken")
	}
	free()
	if err := b.close(); err != nil {
		t.Error(err)
	}
}

// TestQueueFullDisk: when the disk takes nothing any more, all of many that add at the same time are told, and nothing is counted twice.
func TestQueueFullDisk(t *testing.T) {
	var full atomic.Bool
	b, err := openBook(t, t.TempDir(), 4<<20, &wal.Disk{Fault: func(string, string) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	var adders sync.WaitGroup
	var want atomic.Int64
	for i := range uint64(8) {
		adders.Go(func() {
			for n := range uint64(20) {
				if err := b.addOne(t, i*20+n, 1000); err == nil {
					t.Errorf("record %d is on a full disk", i*20+n)
				}
				want.Add(int64(spansOf(i*20 + n)))
			}
		})
	}
	adders.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dropped[droppedDisk] != int(want.Load()) || b.unsent() != 0 {
		t.Errorf("dropped %v, and %d wait; want %d dropped for the disk", b.dropped, b.unsent(), want.Load())
	}
}
