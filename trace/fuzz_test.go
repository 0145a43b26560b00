package trace_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/clewtrace/clew/trace"
)

var compareValues = gocmp.Comparer(func(a, b trace.Value) bool { return a.Equal(b) })

// FuzzIndex holds the index against the official protobuf code.
func FuzzIndex(f *testing.F) {
	f.Add(seed(1))
	f.Add(seed(2))
	f.Add([]byte{0x0a, 0})
	var batch trace.Batch
	f.Fuzz(func(t *testing.T, in []byte) {
		var official tracepb.TracesData
		officialErr := proto.Unmarshal(in, &official)
		odd := oddity(in, official.ProtoReflect().Descriptor(), 0)
		if err := batch.Index(bytes.Clone(in), trace.DefaultLimits()); err != nil {
			known := odd != "" || strings.Contains(err.Error(), "has the wrong type") || strings.Contains(err.Error(), "is not a message") ||
				strings.Contains(err.Error(), "nested deeper")
			if officialErr == nil && !known {
				t.Fatalf("protobuf takes it, the index does not: %v", err)
			}
			return
		}
		got, err := batch.Decode()
		if err != nil {
			t.Fatalf("indexed, but: %v", err)
		}
		again := trace.Batch{}
		if err := trace.Pack(&again, got, trace.DefaultLimits()); err != nil || again.Refused.Total() > 0 {
			t.Fatalf("own encoding is refused: %v %+v", err, again.Refused)
		}
		same, err := again.Decode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(got, same, compareValues); diff != "" {
			t.Fatalf("encoded and decoded again (-before +after):\n%s", diff)
		}
		limited := batch.Refused.Count[trace.TooDeep] + batch.Refused.Count[trace.SpanTooLarge] + batch.Refused.Count[trace.TooManyItems]
		if officialErr != nil || odd != "" || limited > 0 {
			return
		}
		if diff := gocmp.Diff(convert(&official), got, compareValues); diff != "" {
			t.Fatalf("means something else to protobuf (-protobuf +index):\n%s", diff)
		}
	})
}

func seed(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, n))
	str := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	list := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{
		str("x"), {Value: &commonpb.AnyValue_IntValue{IntValue: -1}}, {Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 1.5}}, {},
	}}}}
	kv := &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{
		{Key: "b", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}}, {Key: "l", Value: list},
	}}}}
	attrs := []*commonpb.KeyValue{{Key: "s", Value: str("v")}, {Key: "m", Value: kv}, {Key: "y", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{0, 255}}}}}
	var spans []*tracepb.Span
	for i := range 2 {
		spans = append(spans, &tracepb.Span{
			TraceId: bytes.Repeat([]byte{byte(r.Uint32() | 1)}, 16), SpanId: bytes.Repeat([]byte{byte(i + 1)}, 8), ParentSpanId: []byte("parentid"),
			TraceState: "a=b", Name: "op", Kind: tracepb.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 5, EndTimeUnixNano: 9, Flags: 257,
			Attributes: attrs, DroppedAttributesCount: 1, DroppedEventsCount: 2, DroppedLinksCount: 3,
			Events: []*tracepb.Span_Event{{TimeUnixNano: 6, Name: "e", Attributes: attrs[:1], DroppedAttributesCount: 1}},
			Links:  []*tracepb.Span_Link{{TraceId: make([]byte, 16), SpanId: []byte("linkedid"), TraceState: "c", Attributes: attrs[:1], Flags: 1}},
			Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "bad"},
		})
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: attrs, DroppedAttributesCount: 7}, SchemaUrl: "r",
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "n", Version: "v", Attributes: attrs[:1]}, Spans: spans, SchemaUrl: "s"}},
	}}})
	if err != nil {
		panic(err)
	}
	return b
}

// oddity says what in a message is one of the things that Index documents to take differently, or "" if nothing is: a group, and a
// message in several pieces. The text that may stand for a string by number, which traces must not use, is a third.
func oddity(b []byte, d protoreflect.MessageDescriptor, depth int) string {
	if depth > 300 {
		return "too deep to tell"
	}
	seen := map[protoreflect.FieldNumber]bool{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ""
		}
		if typ == protowire.StartGroupType || typ == protowire.EndGroupType {
			return "group"
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return ""
		}
		fd := d.Fields().ByNumber(num)
		value := b[n : n+size]
		b = b[n+size:]
		if fd == nil {
			continue
		}
		if strings.HasSuffix(string(fd.Name()), "strindex") {
			return "string by number"
		}
		if fd.Kind() != protoreflect.MessageKind || typ != protowire.BytesType {
			continue
		}
		if fd.Cardinality() != protoreflect.Repeated && seen[num] {
			return "message in pieces"
		}
		seen[num] = true
		body, _ := protowire.ConsumeBytes(value)
		if what := oddity(body, fd.Message(), depth+1); what != "" {
			return what
		}
	}
	return ""
}

// convert turns the official form into spans, without those that must be refused.
func convert(data *tracepb.TracesData) []trace.Span {
	out := []trace.Span{}
	for _, rs := range data.ResourceSpans {
		res := &trace.Resource{Attrs: convertAttrs(rs.Resource.GetAttributes()), Dropped: rs.Resource.GetDroppedAttributesCount(), SchemaURL: rs.SchemaUrl}
		for _, ss := range rs.ScopeSpans {
			scope := &trace.Scope{
				Name: ss.Scope.GetName(), Version: ss.Scope.GetVersion(), Attrs: convertAttrs(ss.Scope.GetAttributes()),
				Dropped: ss.Scope.GetDroppedAttributesCount(), SchemaURL: ss.SchemaUrl,
			}
			for _, s := range ss.Spans {
				if span, ok := convertSpan(s); ok {
					span.Resource, span.Scope = res, scope
					out = append(out, span)
				}
			}
		}
	}
	return out
}

func convertSpan(s *tracepb.Span) (trace.Span, bool) {
	out := trace.Span{
		State: s.TraceState, Flags: s.Flags, Name: s.Name, Start: s.StartTimeUnixNano, End: s.EndTimeUnixNano, Attrs: convertAttrs(s.Attributes),
		Dropped: s.DroppedAttributesCount, DroppedEvents: s.DroppedEventsCount, DroppedLinks: s.DroppedLinksCount, StatusMessage: s.Status.GetMessage(),
	}
	if s.Kind >= 0 && s.Kind <= 5 {
		out.Kind = trace.Kind(s.Kind)
	}
	if c := s.Status.GetCode(); c >= 0 && c <= 2 {
		out.Status = trace.StatusCode(c)
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, trace.Event{Time: e.TimeUnixNano, Name: e.Name, Attrs: convertAttrs(e.Attributes), Dropped: e.DroppedAttributesCount})
	}
	for _, l := range s.Links {
		link := trace.Link{State: l.TraceState, Flags: l.Flags, Attrs: convertAttrs(l.Attributes), Dropped: l.DroppedAttributesCount}
		if len(l.TraceId) == 16 {
			link.TraceID = trace.ID(l.TraceId)
		}
		if len(l.SpanId) == 8 {
			link.SpanID = trace.SpanID(l.SpanId)
		}
		out.Links = append(out.Links, link)
	}
	if len(s.TraceId) != 16 || len(s.SpanId) != 8 || len(s.ParentSpanId) != 0 && len(s.ParentSpanId) != 8 || out.Start == 0 {
		return out, false
	}
	out.TraceID, out.ID = trace.ID(s.TraceId), trace.SpanID(s.SpanId)
	copy(out.Parent[:], s.ParentSpanId)
	return out, !out.TraceID.IsZero() && !out.ID.IsZero()
}

func convertAttrs(kvs []*commonpb.KeyValue) []trace.Attr {
	var out []trace.Attr
	for _, kv := range kvs {
		out = append(out, trace.Attr{Key: kv.Key, Value: convertValue(kv.Value)})
	}
	return out
}

func convertValue(v *commonpb.AnyValue) trace.Value {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return trace.String(v.StringValue)
	case *commonpb.AnyValue_BoolValue:
		return trace.Bool(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return trace.Int(v.IntValue)
	case *commonpb.AnyValue_DoubleValue:
		return trace.Double(v.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		return trace.Bytes(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		var vs []trace.Value
		for _, e := range v.ArrayValue.GetValues() {
			vs = append(vs, convertValue(e))
		}
		return trace.Array(vs...)
	case *commonpb.AnyValue_KvlistValue:
		return trace.Map(convertAttrs(v.KvlistValue.GetValues())...)
	}
	return trace.Value{}
}
