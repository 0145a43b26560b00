package spool

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// accounted returns how many bytes a report says the use of.
func (r *Report) accounted() (n int64) {
	for _, size := range r.Parts {
		n += size
	}
	for _, size := range r.Columns {
		n += size.Bytes
	}
	return n
}

// TestInspectAddsUp looks into blocks and a log segment: each byte is for something, and the spans are those that were written.
func TestInspectAddsUp(t *testing.T) {
	dir := t.TempDir()
	large := blockPath(dir, 2)
	spans := int64(0)
	var traces [][]trace.Span
	for _, tr := range smallTraces(1, 3000, 30) {
		traces = append(traces, tr)
		spans += int64(len(tr))
	}
	writeBlock(t, large, traces)
	for path, want := range map[string]Report{
		formatFile("block", blockVersion):     {Kind: "block", Format: blockVersion, Spans: 7, Traces: 1, Groups: 1},
		formatFile("log", wal.SegmentVersion): {Kind: "log", Format: wal.SegmentVersion, Spans: 7, Records: 2},
		large:                                 {Kind: "block", Format: blockVersion, Spans: spans, Traces: int64(len(traces)), Groups: spans/groupSpans + 1},
	} {
		r, err := Inspect(path)
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind != want.Kind || r.Format != want.Format || r.Spans != want.Spans || r.Traces != want.Traces || r.Groups != want.Groups || r.Records != want.Records {
			t.Errorf("%s: %+v; want %+v", path, r, want)
		}
		if r.accounted() != r.Bytes || r.Parts["not readable"] != 0 || r.Parts["damaged"] != 0 || len(r.Damage) > 0 {
			t.Errorf("%s: %d bytes are accounted for of %d; %v; damage %v", path, r.accounted(), r.Bytes, r.Parts, r.Damage)
		}
		var inShapes int64
		for _, s := range r.Shapes {
			inShapes += s.Spans
		}
		if want.Kind == "block" && inShapes != want.Spans {
			t.Errorf("%s: %d spans in shapes; want %d", path, inShapes, want.Spans)
		}
	}
}

// TestInspectDamaged looks into files of which any byte is another, and ones that are cut short: the use of every byte is said, and the
// damage, except in the bytes that nothing depends on.
func TestInspectDamaged(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	look := func(name string, raw []byte) *Report {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Inspect(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.accounted() != int64(len(raw)) {
			t.Fatalf("%s: %d bytes are accounted for of %d: %v", name, got.accounted(), len(raw), got.Parts)
		}
		return got
	}
	for name, raw := range map[string][]byte{"a.blk": sampleBlock(t), "a.log": sampleSegment()} {
		const reserved = 6 // and 7
		for i := 0; i < len(raw); i += stride() {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << r.IntN(8)
			if got := look(name, bad); len(got.Damage) == 0 && i != reserved && i != reserved+1 && (name == "a.blk" || i >= wal.SegmentHeader) {
				t.Errorf("%s: nothing is said of the damage at %d", name, i)
			}
		}
		for n := 0; n < len(raw); n += 5 * stride() {
			look(name, raw[:n])
		}
	}
}

// FuzzInspect looks into any bytes as a block and as a log segment.
func FuzzInspect(f *testing.F) {
	f.Add(sampleBlock(f), true)
	f.Add(sampleSegment(), false)
	f.Fuzz(func(t *testing.T, raw []byte, block bool) {
		path := filepath.Join(t.TempDir(), "a"+wal.SegmentSuffix)
		if block {
			path = blockPath(t.TempDir(), 1)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Inspect(path); err == nil && r.accounted() != int64(len(raw)) {
			t.Fatalf("%d bytes are accounted for of %d", r.accounted(), len(raw))
		}
	})
}

func TestInspectRefuses(t *testing.T) {
	later := sampleBlock(t)
	later[4], later[5] = blockVersion+1, ^byte(blockVersion+1)
	path := filepath.Join(t.TempDir(), "x")
	for want, raw := range map[string][]byte{
		"neither a block nor a log segment": []byte("hello, this is no block"),
		"this version of clew reads up to":  later,
	} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := Inspect(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Error(err)
	}
}
