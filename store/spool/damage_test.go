package spool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// headOf returns a head with some traces.
func headOf(t testing.TB, traces [][]trace.Span) *head {
	t.Helper()
	h := newHead(nil)
	for _, spans := range traces {
		var b trace.Batch
		if err := trace.Pack(&b, spans, trace.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if err := h.append(&b); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// writeBlock writes a block with a group for each list of traces.
func writeBlock(t testing.TB, path string, groups ...[][]trace.Span) {
	t.Helper()
	w, err := createBlock(&wal.Disk{}, path, newCodec())
	if err != nil {
		t.Fatal(err)
	}
	defer w.abort()
	for _, traces := range groups {
		h := headOf(t, traces)
		for i := range h.chains {
			if err := w.add(h.chains[i].id, h.ats(&h.chains[i], nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.footer.Segment = 1
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
}

func smallTraces(seed uint64, traces, spans int) (out [][]trace.Span) {
	m := newMaker(seed)
	m.resources, m.scopes = m.resources[:2], m.scopes[:2]
	for range traces {
		out = append(out, m.trace(spans))
	}
	return out
}

// wholes is spans as text that can be compared fast, all of each in it.
func wholes(spans []trace.Span) []string {
	out := make([]string, len(spans))
	for i := range spans {
		out[i] = string(trace.AppendTraces(nil, spans[i:i+1]))
	}
	slices.Sort(out)
	return out
}

// missing compares what was read of a trace with the truth. It fails on what is not true, and returns how many spans are missing.
func missing(t *testing.T, what string, want []string, got []trace.Span) (n int) {
	t.Helper()
	left := wholes(got)
	for _, w := range want {
		if len(left) > 0 && w == left[0] {
			left = left[1:]
		} else {
			n++
		}
	}
	if len(left) > 0 {
		t.Fatalf("%s: a span that nobody sent: %q", what, left[0])
	}
	return n
}

// TestEveryFlippedByteOfABlock changes each byte of a block: nothing wrong may be read, nothing beyond the group of the byte may be missing, and
// what is missing must be reported with the file and an offset.
func TestEveryFlippedByteOfABlock(t *testing.T) {
	path := blockPath(t.TempDir(), 1)
	groups := [][][]trace.Span{smallTraces(1, 3, 4), smallTraces(2, 3, 4)}
	writeBlock(t, path, groups...)
	var want [][]string // by trace
	for _, traces := range groups {
		for _, spans := range traces {
			want = append(want, wholes(spans))
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := openBlock(&wal.Disk{}, path, 1, func(_ string, _ int64, err error) { t.Fatal(err) })
	if err != nil {
		t.Fatal(err)
	}
	z := newCodec()
	for at := len(raw) % stride(); at < len(raw); at += stride() {
		flipped := bytes.Clone(raw)
		flipped[at] ^= [...]byte{0x01, 0xff, 0x80, 0x10}[at%4]
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("byte %d of %d flipped", at, len(raw))
		reports := 0
		b, err := openBlock(&wal.Disk{}, path, 1, func(p string, offset int64, err error) {
			reports++
			if p != path || offset < 0 || offset > int64(len(raw)) || err == nil {
				t.Fatalf("%s: reported %s, offset %d, %v", what, p, offset, err)
			}
		})
		if err != nil {
			t.Fatalf("%s: the whole block is lost: %v", what, err)
		}
		r := newReader(z, pack.NewCache[groupAt, *groupHeader](headerBytes))
		for i, traces := range groups {
			info := whole.footer.Groups[i]
			inside := int64(at) >= info.Offset && int64(at) < info.Offset+info.Header.Offset+info.Header.Length
			n := 0
			for k, spans := range traces {
				n += missing(t, what, want[i*len(traces)+k], spansOf(b, spans[0].TraceID, r))
			}
			if n > 0 && (!inside || reports == 0 || !b.hurt.Load()) {
				t.Fatalf("%s: %d spans of group %d are missing; %d reports", what, n, i, reports)
			}
		}
		_ = b.file.Close()
	}
}

func TestEveryTornBlock(t *testing.T) {
	path := blockPath(t.TempDir(), 1)
	traces := smallTraces(1, 3, 5)
	writeBlock(t, path, traces)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z := newCodec()
	for n := len(raw) - 1; n >= 0; n -= 3 {
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		reports := 0
		b, err := openBlock(&wal.Disk{}, path, 1, func(string, int64, error) { reports++ })
		if err != nil {
			if trace.KindOf(err) != trace.Corrupt || reports == 0 {
				t.Fatalf("%d of %d bytes: %v, %d reports", n, len(raw), err, reports)
			}
			continue
		}
		for _, spans := range traces { // the first footer is whole
			if missing(t, fmt.Sprint(n, " bytes"), wholes(spans), spansOf(b, spans[0].TraceID, newReader(z, pack.NewCache[groupAt, *groupHeader](headerBytes)))) > 0 {
				t.Fatalf("%d of %d bytes: spans are missing", n, len(raw))
			}
		}
		_ = b.file.Close()
	}
}

// segmentOf returns a log segment of some batches and where each record begins.
func segmentOf(t testing.TB, traces [][]trace.Span) (raw []byte, at []int) {
	t.Helper()
	raw = wal.FileHeader(wal.SegmentMagic, wal.SegmentVersion)
	for _, spans := range traces {
		at = append(at, len(raw))
		raw = wal.AppendRecord(raw, trace.AppendTraces(nil, spans))
	}
	return raw, append(at, len(raw))
}

// TestEveryFlippedByteOfALog changes each byte of a log segment, and cuts it off at each: no record but that of the byte may be lost.
func TestEveryFlippedByteOfALog(t *testing.T) {
	traces := smallTraces(3, 6, 5)
	raw, at := segmentOf(t, traces)
	want := make([]string, len(traces))
	for i, spans := range traces {
		want[i] = string(trace.AppendTraces(nil, spans))
	}
	read := func(b []byte) (got []string, bad []wal.Damage) {
		bad, err := wal.ReadSegment(bytes.NewReader(b), int64(len(b)), func(offset int64, payload []byte) error {
			if string(b[offset+wal.RecordHeader:][:len(payload)]) != string(payload) {
				t.Fatalf("record at %d is not what lies there", offset)
			}
			got = append(got, string(payload))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got, bad
	}
	for i := 0; i < len(raw); i += stride() {
		flipped := bytes.Clone(raw)
		flipped[i] ^= [...]byte{0x01, 0xff, 0x80, 0x10}[i%4]
		var left []string
		for k, w := range want {
			if i < at[k] || i >= at[k+1] {
				left = append(left, w)
			}
		}
		got, bad := read(flipped)
		if !slices.Equal(left, got) {
			t.Fatalf("byte %d flipped: (-want +got)\n%s", i, gocmp.Diff(left, got))
		}
		if i != 6 && i != 7 && len(bad) != 1 { // nothing depends on the last two bytes of the header
			t.Fatalf("byte %d flipped: damage %+v", i, bad)
		}
		var whole []string
		for k, w := range want {
			if i >= at[k+1] {
				whole = append(whole, w)
			}
		}
		if got, _ := read(raw[:i]); !slices.Equal(whole, got) {
			t.Fatalf("cut off at byte %d: %d records; want %d", i, len(got), len(whole))
		}
	}
}

// TestLargeRecords reads records that are larger than the window, and damage that is.
func TestLargeRecords(t *testing.T) {
	raw := wal.FileHeader(wal.SegmentMagic, wal.SegmentVersion)
	sizes := []int{3, 5 << 20, 0, wal.WindowBytes - wal.RecordHeader, 100, 3 << 20}
	for i, n := range sizes {
		raw = wal.AppendRecord(raw, bytes.Repeat([]byte{byte('a' + i)}, n))
	}
	raw[8+wal.RecordHeader+3+1<<20] ^= 1 // within the second
	var got []int
	bad, err := wal.ReadSegment(bytes.NewReader(raw), int64(len(raw)), func(_ int64, payload []byte) error {
		got = append(got, len(payload))
		return nil
	})
	if err != nil || len(bad) != 1 || bad[0].Bytes != 5<<20+wal.RecordHeader {
		t.Fatalf("damage %+v, %v", bad, err)
	}
	if want := append(sizes[:1:1], sizes[2:]...); !gocmp.Equal(want, got) {
		t.Fatalf("records of %v bytes; want %v", got, want)
	}
}

// TestReplayOfADamagedLog starts a store on a damaged log: what is whole is there, and what is not is told with file and offset.
func TestReplayOfADamagedLog(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	s.crash()
	traces := smallTraces(3, 6, 5)
	raw, at := segmentOf(t, traces)
	raw[at[2]+40] ^= 4
	raw = raw[:len(raw)-3]
	path := wal.SegmentPath(s.walDir(), 7)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s, err := Open(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.crash)
	want := model{}
	for _, i := range []int{0, 1, 3, 4} {
		want.add(traces[i])
	}
	want.check(t, s)
	for _, offset := range []int{at[2], at[5]} {
		if text := fmt.Sprintf("file=%s offset=%d", path, offset); !strings.Contains(log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, log.String())
		}
	}
	if n := testutil.ToFloat64(s.metrics.damaged); n != 2 {
		t.Errorf("%v damages counted", n)
	}
}

// TestVersionToCome does not take what a later version wrote for damage.
func TestVersionToCome(t *testing.T) {
	for _, file := range []string{"wal/000000000003.log", "blocks/000000000003.blk"} {
		cfg := testConfig(t)
		open(t, cfg).crash()
		magic := wal.SegmentMagic
		if strings.HasSuffix(file, blockSuffix) {
			magic = blockMagic
		}
		raw := append(wal.FileHeader(magic, 9), make([]byte, 100)...)
		if err := os.WriteFile(filepath.Join(cfg.Dir, file), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), "format 9; this version of clew reads up to 1") || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestDamagedBlocksAreNotMerged holds that a merge gives up nothing: neither what is damaged nor what could not be read this time.
func TestDamagedBlocksAreNotMerged(t *testing.T) {
	s := open(t, testConfig(t))
	want := model{}
	add := func() {
		for _, spans := range smallTraces(uint64(len(want)), 3, 5) {
			appendSpans(t, s, spans)
			want.add(spans)
		}
		s.cutNow(t)
	}
	for range mergeBlocks - 1 {
		add()
	}
	first := s.state.Load().blocks[0]
	raw, err := os.ReadFile(first.path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(raw)
	flipped[first.footer.Groups[0].Offset+9] ^= 1
	if err := os.WriteFile(first.path, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	for range mergeBlocks {
		add()
	}
	s.settle(t)
	if b := s.state.Load().blocks; b[0] != first || len(b) > mergeBlocks {
		t.Fatalf("%d blocks, the first is %d", len(b), b[0].number)
	}
	if n := testutil.ToFloat64(s.metrics.damaged); n != 1 {
		t.Errorf("%v damages counted", n)
	}
	if err := os.WriteFile(first.path, raw, 0o600); err != nil { // the file is mended
		t.Fatal(err)
	}
	want.check(t, s)
}

// TestUnreadableBlockStopsTheStart holds that a block which cannot be read now is not taken for a damaged one, and left out.
func TestUnreadableBlockStopsTheStart(t *testing.T) {
	cfg := testConfig(t)
	s := open(t, cfg)
	spans := smallTraces(1, 1, 5)[0]
	appendSpans(t, s, spans)
	s.cutNow(t)
	s.crash()
	for n := range 3 { // reads: header, trailer, footer
		reads := 0
		d := &wal.Disk{Fault: func(op, path string) error {
			if op != "read" || !strings.HasSuffix(path, blockSuffix) {
				return nil
			}
			if reads++; reads > n {
				return syscall.EIO
			}
			return nil
		}}
		if _, err := openOn(d, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); !errors.Is(err, syscall.EIO) {
			t.Errorf("read %d fails: %v", n, err)
		}
	}
	want := model{}
	want.add(spans)
	want.check(t, open(t, cfg))
}

// spansOf returns the spans that a block has of a trace.
func spansOf(b *block, id trace.ID, r *reader) []trace.Span {
	spans, _ := b.trace(id, r, nil) // which fails for want of memory alone
	return spans
}
