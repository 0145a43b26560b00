package clients_test

import (
	"slices"

	"github.com/clewtrace/clew/test/clients/known"
)

// deviation is what a client cannot send, or sends in another way.
type deviation struct {
	why      string
	change   func(*known.Trace)
	protocol string // if not over all of them
	tried    bool   // the client is told to send it all the same, and what comes back shows what its SDK makes of it
}

// sdk holds for all SDKs; the client "otlp" sends what they cannot.
var sdk = []deviation{
	{why: "OpenTelemetry's API has no span without a kind, no key twice, no message with OK", change: func(t *known.Trace) {
		t.RemoveSpans(func(s known.Span) bool { return s.Kind == 0 })
	}},
	{why: "SDKs do not limit the attributes of resources and scopes", change: func(t *known.Trace) {
		for i := range t.ResourceSpans {
			r := &t.ResourceSpans[i]
			r.Resource.Dropped = 0
			for j := range r.ScopeSpans {
				r.ScopeSpans[j].Scope.Dropped = 0
			}
		}
	}},
}

var deviations = map[string][]deviation{
	"go": slices.Concat(sdk, []deviation{
		{why: "otlptrace 1.47 leaves out a link's trace state", change: withoutLinkStates, tried: true},
	}),
	"node": slices.Concat(sdk, []deviation{
		{why: "the API 1.9 has no attributes of scopes", change: withoutScopeAttributes, tried: true},
		{why: "the API has no bytes and no maps as attributes of spans", change: withoutAttributes("bytes", "bytes.empty", "map", "map.empty")},
		{why: "the API has arrays of one type only", change: withoutAttributes("array.mixed")},
		{why: "the SDK leaves out an attribute without a value", change: withoutAttributes("nothing")},
		{why: "a number has 53 bits, and a whole one beyond 64 is sent as a double", tried: true, change: func(t *known.Trace) {
			const beyond, double = 9007199254740992, known.Double(1 << 63)
			changeAttribute(t, "int.beyond", func(v *known.Value) { *v.Int = beyond })
			changeAttribute(t, "int.max", func(v *known.Value) { *v = known.Value{Double: new(double)} })
			changeAttribute(t, "ints.wide", func(v *known.Value) { v.Array.Values[0] = known.Value{Double: new(double)} })
		}},
		{why: "JSON has no such numbers: it writes null", protocol: "http/json", tried: true, change: func(t *known.Trace) {
			for _, key := range []string{"double.nan", "double.inf", "double.-inf"} {
				changeAttribute(t, key, func(v *known.Value) { *v = known.Value{} })
			}
		}},
		{why: "a whole number is sent as an integer", tried: true, change: func(t *known.Trace) {
			changeAttribute(t, "double.whole", func(v *known.Value) {
				whole := int64(*v.Double)
				*v = known.Value{Int: &whole}
			})
		}},
	}),
	"python": slices.Concat(sdk, []deviation{
		{why: "otlp-proto-common 1.45 leaves out a link's trace state", change: withoutLinkStates, tried: true},
		{why: "otlp-proto-common 1.45 leaves out the sampled flag", tried: true, change: func(t *known.Trace) {
			const sampled = 1
			t.EachSpan(func(s *known.Span) {
				s.Flags &^= sampled
				for i := range s.Links {
					s.Links[i].Flags &^= sampled
				}
			})
		}},
	}),
	"java": slices.Concat(sdk, []deviation{
		{why: "the API has no attributes of scopes", change: withoutScopeAttributes, tried: true},
	}),
}

// withoutAttributes removes attributes of spans by their keys.
func withoutAttributes(keys ...string) func(*known.Trace) {
	return func(t *known.Trace) {
		t.EachSpan(func(s *known.Span) {
			s.Attributes = slices.DeleteFunc(s.Attributes, func(a known.Attribute) bool { return slices.Contains(keys, a.Key) })
		})
	}
}

func changeAttribute(t *known.Trace, key string, change func(*known.Value)) {
	t.EachSpan(func(s *known.Span) {
		for i := range s.Attributes {
			if s.Attributes[i].Key == key {
				change(&s.Attributes[i].Value)
			}
		}
	})
}

func withoutLinkStates(t *known.Trace) {
	t.EachSpan(func(s *known.Span) {
		for i := range s.Links {
			s.Links[i].TraceState = ""
		}
	})
}

// withoutScopeAttributes removes the attributes of scopes.
func withoutScopeAttributes(t *known.Trace) {
	for i := range t.ResourceSpans {
		for j := range t.ResourceSpans[i].ScopeSpans {
			t.ResourceSpans[i].ScopeSpans[j].Scope.Attributes = nil
		}
	}
}
