package jaeger

import (
	"slices"
	"strings"
	"testing"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
)

// TestThereAndBack writes spans in the forms that Jaeger's collector takes, reads them again, and holds that what Jaeger's JSON says of them is the
// same before and after.
func TestThereAndBack(t *testing.T) {
	spans := testkit.Sample()
	text := func(s string) trace.Value { return trace.String(s) }
	spans[0].Attrs = slices.DeleteFunc(spans[0].Attrs, func(a trace.Attr) bool { return a.Key == "broken" }) // see TestEncodeInvalidText
	spans[0].Links = spans[0].Links[:1]                                                                      // the other says that it is a child of a span of its trace: there, that one is its parent
	slices.Reverse(spans[2].Attrs)                                                                           // an error comes back as the last
	spans[3].Attrs = append(spans[3].Attrs, trace.Attr{Key: attrFlags, Value: trace.Int(3)}, trace.Attr{Key: attrWarnings, Value: trace.Array(text("w1"), text("w2"))})
	for name, form := range map[string]struct {
		write    func(b []byte, spans []trace.Span) []byte
		read     func(d *Decoder, dst, b []byte) ([]byte, error)
		warnings bool
	}{
		"proto":  {AppendPostSpans, (*Decoder).AppendPost, true},
		"thrift": {AppendThriftBatch, (*Decoder).AppendBatch, false},
		"packet": {AppendEmitBatch, func(d *Decoder, dst, b []byte) ([]byte, error) { return d.AppendMessage(dst, b, true) }, false},
	} {
		var got []trace.Span
		for from := 0; from < len(spans); {
			to := from + 1
			for to < len(spans) && spans[to].Resource == spans[from].Resource {
				to++
			}
			d := Decoder{Limit: 1 << 20}
			otlp, err := form.read(&d, nil, form.write(nil, spans[from:to]))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var b trace.Batch
			if err := b.Index(otlp, trace.DefaultLimits()); err != nil || b.Refused.Total() > 0 {
				t.Fatalf("%s: %v %v", name, err, b.Refused)
			}
			part, err := b.Decode()
			if err != nil {
				t.Fatal(err)
			}
			got, from = append(got, part...), to
		}
		want := string(encoded(spans, true))
		if !form.warnings { // Thrift has no place for them
			want = strings.Replace(want, `"warnings":["w1","w2"]`, `"warnings":null`, 1)
		}
		if back := string(encoded(got, true)); back != want {
			t.Errorf("%s: %s\nwant %s", name, back, want)
		}
	}
	d := Decoder{Limit: 1 << 20}
	otlp, err := d.AppendPost(nil, AppendPostSpans(nil, spans)) // all at once: a span may have a process of its own
	if err != nil {
		t.Fatal(err)
	}
	var b trace.Batch
	if err := b.Index(otlp, trace.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Decode(); err != nil || string(encoded(got, true)) != string(encoded(spans, true)) {
		t.Errorf("together: %s, %v\nwant %s", encoded(got, true), err, encoded(spans, true))
	}
	if AppendPostSpans(nil, nil) != nil || AppendThriftBatch(nil, nil) != nil {
		t.Error("no spans are something")
	}
}

// TestEncodeInvalidText: a text that is not UTF-8 is made so, for one would have all its message refused.
func TestEncodeInvalidText(t *testing.T) {
	s := testkit.Sample()[3]
	s.Name, s.Attrs = "caf\xe9", []trace.Attr{{Key: "k\xff", Value: trace.String("v\xff")}}
	for _, b := range [][]byte{AppendPostSpans(nil, []trace.Span{s}), AppendThriftBatch(nil, []trace.Span{s})} {
		for _, want := range []string{"caf\uFFFD", "k\uFFFD", "v\uFFFD"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("no %q in %q", want, b)
			}
		}
	}
}

func BenchmarkPostSpans(b *testing.B)   { benchmarkEncode(b, AppendPostSpans) }
func BenchmarkThriftBatch(b *testing.B) { benchmarkEncode(b, AppendThriftBatch) }

func benchmarkEncode(b *testing.B, encode func([]byte, []trace.Span) []byte) {
	spans := testkit.Sample()[:2]
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = encode(out[:0], spans)
	}
	b.ReportMetric(float64(len(spans)*b.N)/b.Elapsed().Seconds(), "spans/s")
}
