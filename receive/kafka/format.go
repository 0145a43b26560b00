package kafka

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/jaeger"
	"github.com/clewtrace/clew/wire/otlp"
	"github.com/clewtrace/clew/wire/zipkin"
)

// input is a record's value, and what its format may need to know beside it.
type input struct {
	value  []byte
	now    time.Time // when the record was written: the same each time it is read, so that a span without a start is the same, too
	limits trace.Limits
}

// format appends the spans of a record as an OTLP TracesData message. Errors are of kind Invalid or TooLarge, and leave what was in
// dst as it was.
type format struct {
	name   string
	append func(dst []byte, in input) ([]byte, error)
}

// formats are the names by which OpenTelemetry's Collector calls them, too, so that its configuration can be copied. zipkin alone is of
// whichever encoding the value looks like, as for Zipkin's own collector.
var formats = []format{
	{"otlp_proto", appendOTLP},
	{"otlp_json", func(dst []byte, in input) ([]byte, error) { return otlp.AppendBinary(dst, in.value) }},
	{"jaeger_proto", jaegerSpan((*jaeger.Decoder).AppendSpan)},
	{"jaeger_json", jaegerSpan((*jaeger.Decoder).AppendSpanJSON)},
	{"zipkin", appendZipkin},
	{"zipkin_json", zipkinList(zipkin.JSONV2)},
	{"zipkin_proto", zipkinList(zipkin.Proto3)},
	{"zipkin_thrift", zipkinList(zipkin.Thrift)},
}

// Formats returns the names of the formats that a topic can have.
func Formats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

func formatNamed(name string) *format {
	for i := range formats {
		if formats[i].name == name {
			return &formats[i]
		}
	}
	return nil
}

// appendOTLP takes TracesData or an ExportTraceServiceRequest, which are the same on the wire. Many of them, one behind the other, are
// one again, but only if each is whole: what is cut off must not take in the next. What is inside is for trace.Batch to check.
func appendOTLP(dst []byte, in input) ([]byte, error) {
	for rest := in.value; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return nil, trace.Errorf(trace.Invalid, "not an OTLP traces message: broken field in TracesData at byte %d of %d", len(in.value)-len(rest), len(in.value))
		}
		rest = rest[n:]
	}
	return append(dst, in.value...), nil
}

// growth is how many times as large as it came an honest span of Jaeger's may become, and then some.
const growth = 3

// jaegerSpan takes one Span of model.proto, with its process in it, as Jaeger's collector writes.
func jaegerSpan(read func(d *jaeger.Decoder, dst, b []byte) ([]byte, error)) func(dst []byte, in input) ([]byte, error) {
	return func(dst []byte, in input) ([]byte, error) {
		return read(&jaeger.Decoder{Limit: len(dst) + growth*len(in.value) + 1<<10}, dst, in.value)
	}
}

// zipkinList takes lists of spans in one of Zipkin's encodings.
func zipkinList(f zipkin.Format) func(dst []byte, in input) ([]byte, error) {
	return func(dst []byte, in input) ([]byte, error) {
		d := zipkin.NewDecoder(in.now, in.limits)
		if err := d.List(f, in.value); err != nil {
			return nil, err
		}
		return d.Append(dst), nil
	}
}

// The first byte of what Zipkin's collector takes from Kafka. A span of v1 alone, from before there were lists, begins as a list of
// proto3 does; but there the second byte is a length, here half of a field's number: 0.
const (
	thriftList = 0x0c // the type of the elements: a struct
	protoList  = 0x0a // spans, field 1, of a known length; or the type of a span's first field: a 64-bit number
)

// appendZipkin takes what Zipkin's collector takes, whichever of its encodings it is.
func appendZipkin(dst []byte, in input) ([]byte, error) {
	v := in.value
	switch {
	case len(v) > 1 && v[0] == protoList && v[1] != 0:
		return zipkinList(zipkin.Proto3)(dst, in)
	case v[0] == thriftList:
		return zipkinList(zipkin.Thrift)(dst, in)
	case v[0] > 16: // no type of Thrift's
		return zipkinList(jsonVersion(v))(dst, in)
	}
	d := zipkin.NewDecoder(in.now, in.limits)
	if err := d.ThriftSpan(v); err != nil {
		return nil, err
	}
	return d.Append(dst), nil
}

// jsonVersion tells v1 from v2 by the keys that only one of them has.
func jsonVersion(v []byte) zipkin.Format {
	has := func(text string) bool { return bytes.Contains(v, []byte(text)) }
	if !has(`Endpoint"`) && !has(`"tags"`) && (has(`"endpoint"`) || has(`"binaryAnnotations"`)) {
		return zipkin.JSONV1
	}
	return zipkin.JSONV2
}
