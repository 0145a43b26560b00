package tracecontext

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzExtract: whatever headers say, nothing panics, and what is read can be written and read again as the same.
func FuzzExtract(f *testing.F) {
	f.Add("00-"+hexID+"-"+hexSpan+"-01", "a=1,b=2", "k=v;p=1,x=%20", "")
	f.Add("cc-"+hexID+"-"+hexSpan+"-03-more", " a=1 ,,c=2", "k = v", "a=1,b=2")
	f.Add(hexID+"-"+hexSpan+"-d-"+hexAbove, "1", hexID, hexSpan)
	f.Add(hexID+"%3A"+hexSpan+":0:1", "%41+b", "a=1", "x")
	f.Add("Jj7cm2V3Owil9H6fztMUojRCmwS2u/R4AAAAAAAAAAZGOsNcn2QTrQ==", "", "", "")
	all, err := Parse(Names())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		h := HTTP(http.Header{
			parentHeader: {a}, stateHeader: {b, d}, baggageHeader: {c, d}, b3Header: {a}, b3TraceHeader: {c}, b3SpanHeader: {d}, b3ParentHeader: {b}, b3SampledHeader: {b},
			b3FlagsHeader: {b}, uberHeader: {a}, "Uberctx-K": {b}, jaegerDebugHeader: {d}, jaegerBaggageHeader: {c}, linkerdHeader: {a},
		})
		for _, format := range append(all, numFormats) {
			p := Propagator{format}
			switch format {
			case Baggage:
			case numFormats:
				p = all
			default:
				p = append(p, Baggage)
			}
			got := p.Extract(h)
			if len(got.State) > stateBytes || len(got.Baggage) > baggageBytes || strings.Count(got.State, ",") >= maxMembers || strings.Count(got.Baggage, ",") >= maxItems {
				t.Fatalf("beyond the limits: %+v", got)
			}
			written := HTTP{}
			p.Inject(&got, written)
			if format == Jaeger { // its baggage has lower-case keys, and comes a second time
				got.Baggage = ""
			}
			again := p.Extract(written)
			if format == Jaeger {
				again.Baggage = ""
			}
			if format != numFormats && !sameIn(format, got, again) {
				t.Fatalf("%s: %+v comes back as %+v", format, got, again)
			}
		}
	})
}

// sameIn compares what a format can tell.
func sameIn(f Format, a, b Context) bool {
	a.DebugID, b.DebugID = "", ""
	switch {
	case f == B3 || f == B3Multi:
		if f == B3 && a.Sampling == Deferred {
			a.Parent = b.Parent // there is no place for it
		}
	case !a.Valid():
		a.Sampling = b.Sampling
	}
	return a == b
}
