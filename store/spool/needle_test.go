package spool

import (
	"fmt"
	"os"
	"testing"

	"github.com/clewtrace/clew/store/spool/pack"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// conditions returns those that a value of a key meets, in all ways to ask for it that needles answer.
func conditions(fields []trace.Field, key string, v trace.Value) (out []trace.Cond) {
	for _, f := range fields {
		out = append(out, trace.Cond{Field: f, Key: key, Op: trace.OpEqual, Value: v},
			trace.Cond{Field: f, Key: key, Op: trace.OpText, Value: trace.String(v.Text())})
	}
	return out
}

// TestNeedlesMissNothing asks the needles for every value in a group, in all shapes: they must know it. Of what is not there they
// must know nearly all to be absent.
func TestNeedlesMissNothing(t *testing.T) {
	path := blockPath(t.TempDir(), 1)
	m := newMaker(7)
	var traces [][]trace.Span
	for range 400 {
		traces = append(traces, m.trace(20))
	}
	for i := range traces[0] { // what is numbers as text, and text as numbers
		traces[0][i].Attrs = append(traces[0][i].Attrs, trace.Attr{Key: "n", Value: []trace.Value{
			trace.String("12"), trace.Int(13), trace.Double(14), trace.Double(1e300), trace.Bool(true), trace.Bytes([]byte{21}), trace.String("true"), trace.String("007"),
		}[i%8]})
	}
	writeBlock(t, path, traces)
	b, err := openBlock(&wal.Disk{}, path, 1, func(_ string, offset int64, err error) { t.Errorf("offset %d: %v", offset, err) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.file.Close() }()
	has := func(c trace.Cond) bool {
		ok, _ := b.mayHave(0, soughtBy(&trace.Scan{Spans: [][]trace.Cond{{c}}}))
		return ok
	}
	expect := func(attrs []trace.Attr, fields ...trace.Field) {
		for _, a := range attrs {
			for _, c := range conditions(fields, a.Key, a.Value) {
				if !has(c) {
					t.Fatalf("%+v is said to be nowhere", c)
				}
			}
		}
	}
	for _, spans := range traces {
		for _, s := range spans {
			expect(s.Attrs, trace.FieldAttr, trace.FieldTag, trace.FieldMark)
			expect(s.Resource.Attrs, trace.FieldAttr, trace.FieldTag, trace.FieldMark)
			for _, e := range s.Events {
				expect(e.Attrs, trace.FieldTag, trace.FieldEvent)
				expect([]trace.Attr{{Value: trace.String(e.Name)}}, trace.FieldEvent)
				if !has(trace.Cond{Field: trace.FieldMark, Key: e.Name, Op: trace.OpText}) {
					t.Fatalf("event %s is said to be nowhere", e.Name)
				}
			}
		}
	}
	wrong := 0
	for i := range 10_000 {
		if has(trace.Cond{Field: trace.FieldTag, Key: "color", Op: trace.OpText, Value: trace.String(fmt.Sprint("absent", i))}) {
			wrong++
		}
	}
	if wrong > 100 {
		t.Errorf("of 10,000 values that are nowhere, %d are said to be there", wrong)
	}
}

// TestDamagedNeedles changes each line of a group's needles: a search costs more, and finds the same.
func TestDamagedNeedles(t *testing.T) {
	path := blockPath(t.TempDir(), 1)
	traces := smallTraces(1, 3, 4)
	traces[1][2].Attrs = []trace.Attr{{Key: "order", Value: trace.String("4711")}}
	writeBlock(t, path, traces)
	sought := soughtBy(&trace.Scan{Spans: [][]trace.Cond{{{Field: trace.FieldAttr, Key: "order", Op: trace.OpText, Value: trace.String("4711")}}}})
	var reported []int64
	open := func() *block {
		b, err := openBlock(&wal.Disk{}, path, 1, func(_ string, offset int64, _ error) { reported = append(reported, offset) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.file.Close() })
		return b
	}
	b := open()
	at := b.footer.Groups[0].Offset + b.footer.Groups[0].Needles.Offset
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := at; i < at+b.footer.Groups[0].Needles.Length; i += pack.LineBytes {
		for k := range int64(pack.LineBytes - 4) { // all bits of the line are lost
			raw[i+k] = 0
		}
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	b = open()
	if ok, _ := b.mayHave(0, sought); !ok {
		t.Error("what is in the group is said to be nowhere")
	}
	if len(reported) != 1 || reported[0] != at || b.hurt.Load() {
		t.Errorf("reported %v, hurt %v; want offset %d once, and a block that may be merged", reported, b.hurt.Load(), at)
	}
}

// TestScanReadsLittle asks a store of many groups: what is found in the newest must not make the others be read.
func TestScanReadsLittle(t *testing.T) {
	cfg := testConfig(t)
	cfg.groupSpans = 100
	s := open(t, cfg)
	m := newMaker(3)
	res := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("shop")}}}
	for block := range 8 {
		for n := range 50 {
			spans := m.trace(10)
			for i := range spans {
				spans[i].Resource = res
			}
			spans[0].Attrs = []trace.Attr{{Key: "order", Value: trace.String(fmt.Sprint(block, "-", n))}}
			appendSpans(t, s, spans)
		}
		s.cutNow(t)
	}
	groups := 0
	for _, b := range s.state.Load().blocks {
		groups += len(b.footer.Groups)
	}
	if groups < 30 {
		t.Fatalf("there are %d groups; want many", groups)
	}
	ask := func(limit int, cond trace.Cond) (found int, rep trace.ScanReport) {
		sc := trace.Scan{Spans: [][]trace.Cond{{cond}}, Outline: true}
		for tr, err := range s.Scan(t.Context(), sc, &rep) {
			if err != nil {
				t.Fatal(err)
			}
			if !sc.Match(tr) {
				continue
			}
			if found++; found == limit {
				break
			}
		}
		return found, rep
	}
	for range 4 * stretchChains { // in memory
		spans := m.trace(1)
		spans[0].Resource = res
		appendSpans(t, s, spans)
	}
	shop := trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String("shop")}
	if n, rep := ask(20, shop); n != 20 || rep.Groups > 2 {
		t.Errorf("newest 20 of a service: %d found in %d of %d groups", n, rep.Groups, groups)
	}
	order := trace.Cond{Field: trace.FieldAttr, Key: "order", Op: trace.OpText, Value: trace.String("2-17")}
	old := trace.Cond{Field: trace.FieldAttr, Key: "order", Op: trace.OpExists}
	if n, rep := ask(20, old); n != 20 || rep.Groups > 10 { // 4 or 5 stretches; 20 of 10 spans each are in 2 or 3 groups of 100
		t.Errorf("newest 20 with an attribute that the head lacks: %d found in %d of %d groups", n, rep.Groups, groups)
	}
	if n, rep := ask(20, order); n != 1 || rep.Groups > 8 {
		t.Errorf("needle: %d found in %d of %d groups", n, rep.Groups, groups)
	}
	if n, rep := ask(20, trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String("other")}); n != 0 || rep.Groups > 5 || rep.Blocks > 1 {
		t.Errorf("a service that is nowhere: %d found in %d groups of %d blocks", n, rep.Groups, rep.Blocks)
	}
}
