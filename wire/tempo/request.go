package tempo

import (
	"time"

	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire"
)

// SearchRequest asks for traces: by Query or, in the older form, by what follows it.
type SearchRequest struct {
	Query                    string
	Tags                     []Tag
	MinDuration, MaxDuration time.Duration // of the trace; 0: any
	Limit                    uint32        // traces; 0: as many as usual
	Spans                    uint32        // of each set; 0: all
	Start, End               uint32        // Unix s; 0: not given
}

// Tag is an attribute that is looked for, and what is to be part of its value.
type Tag struct{ Key, Value string }

// TagsRequest asks for names of attributes.
type TagsRequest struct {
	Scope      string // empty or none: all
	Query      string
	Start, End uint32 // Unix s; 0: not given
	Limit      uint32 // names of each scope; 0: as many as there are
}

// ValuesRequest asks for values of an attribute.
type ValuesRequest struct {
	Name, Query string
	Start, End  uint32 // Unix s; 0: not given
	Limit       uint32 // 0: as many as there are
}

// MetricsRequest is a QueryRangeRequest or a QueryInstantRequest: it asks for series.
type MetricsRequest struct {
	Query      string
	Start, End uint64 // Unix ns
	Step       uint64 // ns; 0: one that suits the time asked for
	Exemplars  uint32 // of each series; 0: as many as usual
	MaxSeries  uint32 // 0: as many as usual
}

var errBroken = trace.Errorf(trace.Invalid, "the message is broken protobuf")

// fields calls fn with each field of a message. The error is of kind Invalid.
func fields(b []byte, fn func(f *field) error) error {
	f := field{wire.NewFields(b)}
	for f.Next() {
		if err := fn(&f); err != nil {
			return err
		}
	}
	if f.Broken {
		return errBroken
	}
	return nil
}

type field struct{ wire.Fields }

// uint32 sets *to if this is the field with a number.
func (f *field) uint32(num uint64, to *uint32) {
	if f.ID == num<<3|wire.Varint {
		*to = uint32(f.Num)
	}
}

func (f *field) uint64(num uint64, to *uint64) {
	if f.ID == num<<3|wire.Varint {
		*to = f.Num
	}
}

func (f *field) ms(num uint64, to *time.Duration) {
	if f.ID == num<<3|wire.Varint {
		*to = time.Duration(uint32(f.Num)) * time.Millisecond
	}
}

func (f *field) text(num uint64, to *string) {
	if f.ID == num<<3|wire.Length {
		*to = string(f.Body)
	}
}

// MaxTags is how many tags a search may have: each is a condition.
const MaxTags = 100

// Decode reads the message. Errors, here and below, are of kind Invalid.
func (r *SearchRequest) Decode(b []byte) error {
	return fields(b, func(f *field) error {
		if f.ID == 1<<3|wire.Length {
			if len(r.Tags) == MaxTags {
				return trace.Errorf(trace.Invalid, "there are more than %d tags", MaxTags)
			}
			var t Tag
			err := fields(f.Body, func(f *field) error {
				f.text(1, &t.Key)
				f.text(2, &t.Value)
				return nil
			})
			r.Tags = append(r.Tags, t)
			return err
		}
		f.ms(2, &r.MinDuration)
		f.ms(3, &r.MaxDuration)
		f.uint32(4, &r.Limit)
		f.uint32(5, &r.Start)
		f.uint32(6, &r.End)
		f.text(8, &r.Query)
		f.uint32(9, &r.Spans)
		return nil
	})
}

// Decode reads the message.
func (r *TagsRequest) Decode(b []byte) error {
	return fields(b, func(f *field) error {
		f.text(1, &r.Scope)
		f.text(2, &r.Query)
		f.uint32(3, &r.Start)
		f.uint32(4, &r.End)
		f.uint32(5, &r.Limit)
		return nil
	})
}

// Decode reads the message.
func (r *ValuesRequest) Decode(b []byte) error {
	return fields(b, func(f *field) error {
		f.text(1, &r.Name)
		f.text(2, &r.Query)
		f.uint32(4, &r.Start)
		f.uint32(5, &r.End)
		f.uint32(6, &r.Limit)
		return nil
	})
}

// Decode reads the message, of a range or of an instant.
func (r *MetricsRequest) Decode(b []byte) error {
	return fields(b, func(f *field) error {
		f.text(1, &r.Query)
		f.uint64(2, &r.Start)
		f.uint64(3, &r.End)
		f.uint64(4, &r.Step)
		f.uint32(16, &r.Exemplars)
		f.uint32(17, &r.MaxSeries)
		return nil
	})
}
