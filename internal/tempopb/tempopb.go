// Package tempopb has the messages of Tempo's API as Grafana knows them, for tests that decode answers as strictly as Grafana does.
package tempopb

import (
	"fmt"
	"strconv"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
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

// file collects messages as they are read from the schema.
type file struct {
	*descriptorpb.FileDescriptorProto
	byName map[string]*descriptorpb.DescriptorProto
}

// Messages returns the descriptors of all messages, by the names that they have in package tempopb.
func Messages() (protoreflect.MessageDescriptors, error) {
	f := file{&descriptorpb.FileDescriptorProto{
		Name: new("tempo.proto"), Package: new("tempopb"), Syntax: new("proto3"),
		Dependency: []string{(&common.KeyValue{}).ProtoReflect().Descriptor().ParentFile().Path(), (&otlptrace.ResourceSpans{}).ProtoReflect().Descriptor().ParentFile().Path()},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: new("PartialStatus"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: new("COMPLETE"), Number: new(int32(0))}, {Name: new("PARTIAL"), Number: new(int32(1))},
		}}},
	}, map[string]*descriptorpb.DescriptorProto{}}
	for line := range strings.Lines(strings.TrimSpace(schema)) {
		if err := f.add(strings.TrimSpace(line)); err != nil {
			return nil, err
		}
	}
	d, err := protodesc.NewFile(f.FileDescriptorProto, protoregistry.GlobalFiles)
	if err != nil {
		return nil, err
	}
	return d.Messages(), nil
}

// owners are the messages that have a map, by the name of its entries, which lie in them.
var owners = map[string]string{"TagsEntry": "SearchRequest", "ServiceStatsEntry": "TraceSearchMetadata"}

// add adds the message of a line.
func (f *file) add(line string) error {
	name, list, _ := strings.Cut(line, ": ")
	m := &descriptorpb.DescriptorProto{Name: new(name)}
	f.byName[name] = m
	if owner := owners[name]; owner != "" {
		m.Options = &descriptorpb.MessageOptions{MapEntry: new(true)}
		f.byName[owner].NestedType = append(f.byName[owner].NestedType, m)
	} else {
		f.MessageType = append(f.MessageType, m)
	}
	for text := range strings.SplitSeq(list, ", ") {
		parts := strings.Fields(text)
		num, err := strconv.Atoi(parts[2])
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		kind, repeated := strings.CutPrefix(parts[1], "*")
		d := &descriptorpb.FieldDescriptorProto{Name: &parts[0], JsonName: &parts[0], Number: new(int32(num)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if repeated {
			d.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		setType(d, kind)
		m.Field = append(m.Field, d)
	}
	return nil
}

// scalars are the types that are no messages.
var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING, "uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32, "uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
	"int64": descriptorpb.FieldDescriptorProto_TYPE_INT64, "double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
}

func setType(d *descriptorpb.FieldDescriptorProto, kind string) {
	if scalar, ok := scalars[kind]; ok {
		d.Type = scalar.Enum()
		return
	}
	d.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	in := ""
	if owner := owners[kind]; owner != "" {
		in = owner + "."
	}
	d.TypeName = new(".tempopb." + in + kind)
	switch kind {
	case "KeyValue":
		d.TypeName = new("." + string((&common.KeyValue{}).ProtoReflect().Descriptor().FullName()))
	case "ResourceSpans":
		d.TypeName = new("." + string((&otlptrace.ResourceSpans{}).ProtoReflect().Descriptor().FullName()))
	case "PartialStatus":
		d.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
	}
}

// Known returns an error if a message has a field that is not known.
func Known(m protoreflect.Message) (err error) {
	if u := m.GetUnknown(); len(u) > 0 {
		return fmt.Errorf("%s has unknown fields: %x", m.Descriptor().Name(), u)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = Known(v.Message())
				return err == nil
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				if err = Known(v.List().Get(i).Message()); err != nil {
					break
				}
			}
		case f.Message() != nil:
			err = Known(v.Message())
		}
		return err == nil
	})
	return err
}
