package tempo

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// schema is what Grafana knows of Tempo's messages: their fields, types and numbers. * stands for repeated.
const schema = `
SearchRequest: Tags *TagsEntry 1, MinDurationMs uint32 2, MaxDurationMs uint32 3, Limit uint32 4, start uint32 5, end uint32 6, Query string 8, SpansPerSpanSet uint32 9
TagsEntry: key string 1, value string 2
SearchTagsRequest: scope string 1, query string 2, start uint32 3, end uint32 4, maxTagsPerScope uint32 5, staleValuesThreshold uint32 6
SearchTagValuesRequest: tagName string 1, query string 2, start uint32 4, end uint32 5, maxTagValues uint32 6, staleValueThreshold uint32 7
QueryRangeRequest: query string 1, start uint64 2, end uint64 3, step uint64 4, exemplars uint32 16, maxSeries uint32 17
QueryInstantRequest: query string 1, start uint64 2, end uint64 3
SearchResponse: traces *TraceSearchMetadata 1, metrics SearchMetrics 2
TraceSearchMetadata: traceID string 1, rootServiceName string 2, rootTraceName string 3, startTimeUnixNano uint64 4, durationMs uint32 5, spanSet SpanSet 6, spanSets *SpanSet 7, serviceStats *ServiceStatsEntry 8
ServiceStatsEntry: key string 1, value ServiceStats 2
ServiceStats: spanCount uint32 1, errorCount uint32 2
SpanSet: spans *Span 1, matched uint32 2, attributes *KeyValue 3
Span: spanID string 1, name string 2, startTimeUnixNano uint64 3, durationNanos uint64 4, attributes *KeyValue 5
SearchMetrics: inspectedTraces uint32 1, inspectedBytes uint64 2, totalBlocks uint32 3, completedJobs uint32 4, totalJobs uint32 5, totalBlockBytes uint64 6
MetadataMetrics: inspectedBytes uint64 1, totalJobs uint32 2, completedJobs uint32 3, totalBlocks uint32 4, totalBlockBytes uint64 5
SearchTagsResponse: tagNames *string 1, metrics MetadataMetrics 2
SearchTagsV2Response: scopes *SearchTagsV2Scope 1, metrics MetadataMetrics 2
SearchTagsV2Scope: name string 1, tags *string 2
SearchTagValuesResponse: tagValues *string 1, metrics MetadataMetrics 2
SearchTagValuesV2Response: tagValues *TagValue 1, metrics MetadataMetrics 2
TagValue: type string 1, value string 2
TraceByIDResponse: trace Trace 1, metrics TraceByIDMetrics 2, status PartialStatus 3, message string 4
Trace: resourceSpans *ResourceSpans 1
TraceByIDMetrics: inspectedBytes uint64 1
QueryRangeResponse: series *TimeSeries 1, metrics SearchMetrics 2, status PartialStatus 3, message string 4
QueryInstantResponse: series *InstantSeries 1, metrics SearchMetrics 2, status PartialStatus 3, message string 4
TimeSeries: labels *KeyValue 1, samples *Sample 2, exemplars *Exemplar 4
InstantSeries: labels *KeyValue 1, value double 2
Sample: value double 1, timestampMs int64 2
Exemplar: labels *KeyValue 1, value double 2, timestampMs int64 3
`

// messages returns the schema's messages.
func messages(t testing.TB) protoreflect.MessageDescriptors {
	t.Helper()
	imported := func(m proto.Message) (name, file string) {
		d := m.ProtoReflect().Descriptor()
		return "." + string(d.FullName()), d.ParentFile().Path()
	}
	keyValue, commonFile := imported(&common.KeyValue{})
	resourceSpans, traceFile := imported(&otlptrace.ResourceSpans{})
	file := &descriptorpb.FileDescriptorProto{
		Name: new("tempo.proto"), Package: new("tempopb"), Syntax: new("proto3"), Dependency: []string{commonFile, traceFile},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("PartialStatus"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("COMPLETE"), Number: new(int32(0))}, {Name: new("PARTIAL"), Number: new(int32(1))},
		}}},
	}
	scalars := map[string]descriptorpb.FieldDescriptorProto_Type{
		"string": descriptorpb.FieldDescriptorProto_TYPE_STRING, "uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32, "uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
		"int64": descriptorpb.FieldDescriptorProto_TYPE_INT64, "double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	}
	owner := map[string]string{"TagsEntry": "SearchRequest", "ServiceStatsEntry": "TraceSearchMetadata"} // of maps, whose entries lie in it
	byName := map[string]*descriptorpb.DescriptorProto{}
	for line := range strings.Lines(strings.TrimSpace(schema)) {
		name, list, _ := strings.Cut(strings.TrimSpace(line), ": ")
		m := &descriptorpb.DescriptorProto{Name: new(name)}
		byName[name] = m
		if owner[name] != "" {
			m.Options = &descriptorpb.MessageOptions{MapEntry: new(true)}
			byName[owner[name]].NestedType = append(byName[owner[name]].NestedType, m)
		} else {
			file.MessageType = append(file.MessageType, m)
		}
		for f := range strings.SplitSeq(list, ", ") {
			parts := strings.Fields(f)
			num, err := strconv.Atoi(parts[2])
			if err != nil {
				t.Fatal(err)
			}
			kind, repeated := strings.CutPrefix(parts[1], "*")
			d := &descriptorpb.FieldDescriptorProto{Name: &parts[0], JsonName: &parts[0], Number: new(int32(num)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
			if repeated {
				d.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			}
			if scalar, ok := scalars[kind]; ok {
				d.Type = scalar.Enum()
			} else {
				in := ""
				if owner[kind] != "" {
					in = owner[kind] + "."
				}
				d.TypeName = new(".tempopb." + in + kind)
				d.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
				switch kind {
				case "KeyValue":
					d.TypeName = &keyValue
				case "ResourceSpans":
					d.TypeName = &resourceSpans
				case "PartialStatus":
					d.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
				}
			}
			m.Field = append(m.Field, d)
		}
	}
	d, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages()
}

// both decodes a message in both of its forms, of which neither may have a field that is not in the schema, and holds that they say the same.
func both(t testing.TB, name string, inProto, inJSON []byte) proto.Message {
	t.Helper()
	d := messages(t).ByName(protoreflect.Name(name))
	fromProto, fromJSON := dynamicpb.NewMessage(d), dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(inProto, fromProto); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := known(fromProto); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := protojson.Unmarshal(inJSON, fromJSON); err != nil { // it refuses fields that it does not know
		t.Fatalf("%s: %v\n%s", name, err, inJSON)
	}
	if !proto.Equal(fromProto, fromJSON) {
		t.Errorf("%s: protobuf says\n%v\nand JSON\n%v", name, fromProto, fromJSON)
	}
	return fromProto
}

// known returns an error if a message has a field that is not known.
func known(m protoreflect.Message) (err error) {
	if u := m.GetUnknown(); len(u) > 0 {
		return fmt.Errorf("%s has unknown fields: %x", m.Descriptor().Name(), u)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = known(v.Message())
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				if err = known(v.List().Get(i).Message()); err != nil {
					break
				}
			}
		case f.Message() != nil:
			err = known(v.Message())
		}
		return err == nil
	})
	return err
}
