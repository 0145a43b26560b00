package spool

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// formatFile is where a file as a version of the format has it lies. Those of older versions stay: every later clew must read them.
func formatFile(kind string, version int) string {
	return filepath.Join("testdata", "format", fmt.Sprintf("%s-%d", kind, version))
}

// sampleSegment returns the log segment of the sample, in two batches.
func sampleSegment() []byte {
	spans := testkit.Sample()
	raw := wal.FileHeader(wal.SegmentMagic, wal.SegmentVersion)
	raw = wal.AppendRecord(raw, trace.AppendTraces(nil, spans[:3]))
	return wal.AppendRecord(raw, trace.AppendTraces(nil, spans[3:]))
}

// sampleBlock returns the block of the sample.
func sampleBlock(t testing.TB) []byte {
	t.Helper()
	path := blockPath(t.TempDir(), 1)
	writeBlock(t, path, [][]trace.Span{testkit.Sample()})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestFormat holds what is written against docs/format: the same spans must make the same bytes for as long as the version is the same.
func TestFormat(t *testing.T) {
	for _, f := range []struct {
		kind    string
		version int
		got     []byte
	}{{"log", wal.SegmentVersion, sampleSegment()}, {"block", blockVersion, sampleBlock(t)}} {
		path := formatFile(f.kind, f.version)
		want, err := os.ReadFile(path)
		update := flag.Lookup("update").Value.String() == "true"
		if err == nil && bytes.Equal(want, f.got) {
			continue
		}
		if !update {
			t.Errorf("a %s is no longer the bytes in %s (%v). If older versions of clew cannot read it, raise its version, write down the change in docs/format/%s.md and go test -update.\n"+
				"If they can (another release of zstd, another choice of encoding), go test -update is enough.", f.kind, path, err, f.kind)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldFormats reads the files of all versions.
func TestOldFormats(t *testing.T) {
	want := wholes(testkit.Sample())
	logs, _ := filepath.Glob(filepath.Join("testdata", "format", "log-*"))
	blocks, _ := filepath.Glob(filepath.Join("testdata", "format", "block-*"))
	if len(logs) != wal.SegmentVersion || len(blocks) != blockVersion {
		t.Errorf("%v %v; want a file for each version", logs, blocks)
	}
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []trace.Span
		bad, err := wal.ReadSegment(bytes.NewReader(raw), int64(len(raw)), func(_ int64, payload []byte) error {
			var b trace.Batch
			if err := b.Index(payload, trace.DefaultLimits()); err != nil {
				return err
			}
			spans, err := b.Decode()
			got = append(got, spans...)
			return err
		})
		if err != nil || len(bad) > 0 || !slices.Equal(want, wholes(got)) {
			t.Errorf("%s: damage %v, %v, %d spans", path, bad, err, len(got))
		}
	}
	for _, path := range blocks {
		b, err := openBlock(&wal.Disk{}, path, 1, func(_ string, offset int64, err error) { t.Errorf("%s, offset %d: %v", path, offset, err) })
		if err != nil {
			t.Fatal(err)
		}
		got := spansOf(b, testkit.Sample()[0].TraceID, newReader(newCodec(), nil))
		if !slices.Equal(want, wholes(got)) {
			t.Errorf("%s: %d spans of %d, or not the same", path, len(got), len(want))
		}
		_ = b.file.Close()
	}
}
