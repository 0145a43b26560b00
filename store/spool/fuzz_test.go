package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// FuzzReadSegment reads any bytes as a log segment: what is reported as damage and what is read must be the whole file, in order.
func FuzzReadSegment(f *testing.F) {
	raw := sampleSegment()
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(append(bytes.Clone(raw[:200]), raw...))
	f.Add(raw[wal.SegmentHeader:])
	f.Add([]byte(wal.SegmentMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= wal.SegmentHeader {
			if v, ok := wal.HeaderVersion(wal.SegmentMagic, raw); ok && v > wal.SegmentVersion {
				return
			}
		}
		type stretch struct{ lo, hi int64 }
		var all []stretch
		bad, err := wal.ReadSegment(bytes.NewReader(raw), int64(len(raw)), func(offset int64, payload []byte) error {
			hi := offset + wal.RecordHeader + int64(len(payload))
			if !bytes.Equal(payload, raw[offset+wal.RecordHeader:hi]) {
				t.Fatal("a payload that is not in the file")
			}
			all = append(all, stretch{offset, hi})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range bad {
			all = append(all, stretch{d.Offset, d.Offset + d.Bytes})
		}
		slices.SortFunc(all, func(a, b stretch) int { return int(a.lo - b.lo) })
		at := int64(0)
		if len(all) > 0 && all[0].lo == wal.SegmentHeader {
			at = wal.SegmentHeader
		}
		for _, s := range all {
			if s.lo != at {
				t.Fatalf("nothing is said of bytes %d to %d", at, s.lo)
			}
			at = s.hi
		}
		if at != int64(len(raw)) && len(raw) > wal.SegmentHeader {
			t.Fatalf("nothing is said of bytes %d to %d", at, len(raw))
		}
	})
}

// readAll reads all that a block has.
func readAll(b *block, z *codec) {
	r := newReader(z, pack.NewCache[groupAt, *groupHeader](headerBytes))
	for i := range b.footer.Groups {
		b.mayHave(i, []sought{{needles: [][]uint64{{1, 1 << 63}}}})
		g, err := b.groupHeader(i, z)
		if err != nil {
			continue
		}
		for k := range g.traces {
			spansOf(b, g.traces[k].id, r)
		}
	}
}

// FuzzOpenBlock opens and reads any bytes as a block file.
func FuzzOpenBlock(f *testing.F) {
	raw := sampleBlock(f)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add(raw[:len(raw)-1])
	f.Add(raw[:blockHeader+trailerBytes])
	z := newCodec()
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "b")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := openBlock(&wal.Disk{}, path, 1, func(string, int64, error) {})
		if err != nil {
			return
		}
		readAll(b, z)
		_ = b.file.Close()
	})
}

// FuzzReadGroup reads any bytes as a group's header and a shape's section, as if their checksums were right: no panic, and no memory
// without end.
func FuzzReadGroup(f *testing.F) {
	h := headOf(f, [][]trace.Span{testkit.Sample(), smallTraces(1, 1, 9)[0]})
	build := newGroupWriter()
	for i := range h.chains {
		if err := build.add(h.chains[i].id, h.ats(&h.chains[i], nil)); err != nil {
			f.Fatal(err)
		}
	}
	z := newCodec()
	info := &groupInfo{Spans: build.spans, Traces: len(build.traces)}
	raw, err := build.encode(z, nil, info)
	if err != nil {
		f.Fatal(err)
	}
	header := info.Header
	var whole groupHeader
	if err := whole.decode(&cursor{b: raw[header.Offset:]}, z, info); err != nil {
		f.Fatal(err)
	}
	for i, s := range whole.sections {
		f.Add(raw[header.Offset:], raw[s.Offset:s.Offset+s.Length], uint8(i))
	}
	f.Fuzz(func(t *testing.T, header, section []byte, shape uint8) {
		var h groupHeader
		if h.decode(&cursor{b: header}, z, info) != nil || len(h.shapes) == 0 {
			return
		}
		g := newGroup(groupAt{&block{footer: Footer{Groups: []groupInfo{*info}}}, 0}, &h, newReader(z, nil))
		k := uint32(shape) % uint32(len(g.rows.shapes))
		s := g.rowsOf(k)
		if s.attach(section, g.counts[k]) != nil {
			return
		}
		for row := range s.n {
			var span trace.Span
			a := at{src: g.rows, shape: k, row: uint32(row)}
			_ = a.span(trace.ID{1}, nil, &span)
		}
	})
}

// FuzzStore takes any bytes as a batch through a head and a block: what was accepted must be written and read back as it was.
func FuzzStore(f *testing.F) {
	f.Add(trace.AppendTraces(nil, testkit.Sample()))
	for _, spans := range smallTraces(2, 5, 5) {
		f.Add(trace.AppendTraces(nil, spans))
	}
	z := newCodec()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b trace.Batch
		if b.Index(raw, trace.DefaultLimits()) != nil || len(b.Spans) == 0 {
			return
		}
		h := newHead(nil)
		if err := h.append(&b); err != nil {
			t.Fatalf("accepted, but not stored: %v", err)
		}
		path := blockPath(t.TempDir(), 1)
		w, err := createBlock(&wal.Disk{}, path, z)
		if err != nil {
			t.Fatal(err)
		}
		defer w.abort()
		for i := range h.chains {
			if err := w.add(h.chains[i].id, h.ats(&h.chains[i], nil)); err != nil {
				t.Fatalf("accepted, but cannot be cut: %v", err)
			}
		}
		if err := w.finish(); err != nil {
			t.Fatal(err)
		}
		blk, err := openBlock(&wal.Disk{}, path, 1, func(_ string, offset int64, err error) { t.Fatalf("offset %d: %v", offset, err) })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = blk.file.Close() }()
		for i := range h.chains {
			id := h.chains[i].id
			fromHead, err := h.trace(id, &reader{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []trace.Span
			for _, k := range trace.Distinct(fromHead) {
				want = append(want, fromHead[k])
			}
			if got := spansOf(blk, id, newReader(z, pack.NewCache[groupAt, *groupHeader](headerBytes))); !slices.Equal(wholes(want), wholes(got)) {
				t.Fatalf("a block reads otherwise than a head:\n%+v\n%+v", want, got)
			}
		}
	})
}
