package tempo

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/clewtrace/clew/trace"
)

func protoName(s string) protoreflect.Name { return protoreflect.Name(s) }

// FuzzDecode holds the decoding of requests against protobuf's own: what both take means the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x0a\x08\x0a\x01a\x12\x03b c\x10\x01\x18\x02\x20\x03\x28\x04\x30\x05\x42\x02{}\x48\x06"))
	f.Add([]byte("\x0a\x04span\x12\x02{}\x20\x04\x28\x05\x30\x06\x38\x07"))
	f.Add([]byte("\x0a\x0b{} | rate()\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x18\x02\x20\x03\x80\x01\x10\x88\x01\x11"))
	f.Add([]byte("\x0a\x0a\x00"))
	all := messages(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		official := func(name string) (m *dynamicpb.Message, get func(field string) protoreflect.Value, ok bool) {
			m = dynamicpb.NewMessage(all.ByName(protoName(name)))
			err := proto.Unmarshal(in, m)
			return m, func(field string) protoreflect.Value { return m.Get(m.Descriptor().Fields().ByName(protoName(field))) }, err == nil
		}
		var s SearchRequest
		err := s.Decode(in)
		if err != nil && trace.KindOf(err) != trace.Invalid {
			t.Fatal(err)
		}
		if _, get, ok := official("SearchRequest"); ok && err == nil {
			if s.Query != get("Query").String() || uint64(s.Limit) != get("Limit").Uint() || uint64(s.End) != get("end").Uint() || uint64(s.MaxDuration/1e6) != get("MaxDurationMs").Uint() {
				t.Fatalf("%+v means something else", s)
			}
			for _, tag := range s.Tags { // the last of a key holds
				if !get("Tags").Map().Has(protoreflect.ValueOfString(tag.Key).MapKey()) {
					t.Fatalf("there is no tag %q", tag.Key)
				}
			}
		}
		var tags TagsRequest
		if err := tags.Decode(in); err == nil {
			if _, get, ok := official("SearchTagsRequest"); ok && (tags.Scope != get("scope").String() || uint64(tags.Limit) != get("maxTagsPerScope").Uint()) {
				t.Fatalf("%+v means something else", tags)
			}
		}
		var values ValuesRequest
		if err := values.Decode(in); err == nil {
			if _, get, ok := official("SearchTagValuesRequest"); ok && (values.Name != get("tagName").String() || uint64(values.Start) != get("start").Uint()) {
				t.Fatalf("%+v means something else", values)
			}
		}
		var metrics MetricsRequest
		if err := metrics.Decode(in); err == nil {
			if _, get, ok := official("QueryRangeRequest"); ok && (metrics.Query != get("query").String() || metrics.Start != get("start").Uint() || uint64(metrics.MaxSeries) != get("maxSeries").Uint()) {
				t.Fatalf("%+v means something else", metrics)
			}
		}
	})
}
