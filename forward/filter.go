package forward

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clewtrace/clew/trace"
)

// Filter says which spans a destination gets: those that pass all of it. It looks at each span alone.
type Filter struct {
	Tenants    []string // empty: of all
	Services   []string // globs of * and ?; empty: all
	Errors     bool     // only spans whose status is error
	Ratio      float64  // of the traces, all spans or none of each; the same ones wherever trace IDs are random and the ratio is this or larger
	Attributes []string // key=glob; a span, or its resource, must have all of them
}

func (f *Filter) validate() error {
	if !(f.Ratio >= 0 && f.Ratio <= 1) {
		return fmt.Errorf("ratio: is %v; want 0 to 1", f.Ratio)
	}
	for _, a := range f.Attributes {
		if _, ok := parseCondition(a); !ok {
			return fmt.Errorf("attributes: %.80q is not key=value, where the value may have * and ?", a)
		}
	}
	return nil
}

// condition is one of Filter.Attributes.
type condition struct {
	key  string
	glob trace.Glob
}

func parseCondition(s string) (_ condition, ok bool) {
	key, glob, ok := strings.Cut(s, "=")
	return condition{key, trace.Glob(glob)}, ok && key != ""
}

// sieve is a filter made ready. It is of one goroutine.
type sieve struct {
	*Filter
	conditions []condition
	threshold  uint64 // of the low 56 bits of a trace ID

	resources []verdict // of the batch at hand
}

// verdict is what a resource says of its spans.
type verdict struct {
	service bool     // is one of those
	left    []uint16 // conditions that the resource does not meet
}

func newSieve(f *Filter) *sieve {
	s := &sieve{Filter: f}
	for _, a := range f.Attributes {
		c, _ := parseCondition(a) // checked by validate
		s.conditions = append(s.conditions, c)
	}
	const space = 1 << 56
	s.threshold = uint64(math.Round((1 - f.Ratio) * space))
	return s
}

// all reports whether every span passes, whatever it is.
func (s *sieve) all() bool {
	return len(s.Services) == 0 && !s.Errors && s.threshold == 0 && len(s.conditions) == 0
}

// tenant reports whether the filter lets spans of a tenant pass at all.
func (s *sieve) tenant(name string) bool {
	return len(s.Tenants) == 0 || slices.Contains(s.Tenants, name)
}

// begin looks at a batch's resources. An error says that one is broken.
func (s *sieve) begin(b *trace.Batch) error {
	s.resources = s.resources[:0]
	for _, ref := range b.Resources {
		v := verdict{service: true}
		if len(s.Services) > 0 || len(s.conditions) > 0 {
			r, err := trace.DecodeResource(b.Bytes(ref.Body))
			if err != nil {
				return err
			}
			v.service = len(s.Services) == 0 || slices.ContainsFunc(s.Services, func(glob string) bool { return trace.Glob(glob).MatchString(r.Service()) })
			for i, c := range s.conditions {
				if a, ok := trace.Get(r.Attrs, c.key); !ok || !c.glob.MatchString(a.Text()) {
					v.left = append(v.left, uint16(i))
				}
			}
		}
		s.resources = append(s.resources, v)
	}
	return nil
}

// passes reports whether the batch's nth span passes.
func (s *sieve) passes(b *trace.Batch, n int) bool {
	span := &b.Spans[n]
	v := &s.resources[span.Resource]
	if !v.service || s.Errors && span.Status != trace.StatusError || !s.sampled(span.TraceID) {
		return false
	}
	for _, i := range v.left {
		if !s.hasAttribute(b, span, s.conditions[i]) {
			return false
		}
	}
	return true
}

// count returns how many of the batch's spans pass. It costs less than to walk the batch for none.
func (s *sieve) count(b *trace.Batch) (n int) {
	for i := range b.Spans {
		if s.passes(b, i) {
			n++
		}
	}
	return n
}

// sampled decides as OpenTelemetry's consistent probability sampling does: by the last 56 bits of the trace ID, which W3C's Trace Context
// wants random, against the share of them that is to be rejected.
func (s *sieve) sampled(id trace.ID) bool {
	const mask = 1<<56 - 1
	return binary.BigEndian.Uint64(id[8:])&mask >= s.threshold
}

func (s *sieve) hasAttribute(b *trace.Batch, span *trace.SpanRef, c condition) bool {
	for _, a := range b.Attrs[span.AttrLo:span.AttrHi] {
		if string(b.Bytes(a.Key)) != c.key {
			continue
		}
		v, err := trace.DecodeAttr(a.Type, a.Num, b.Bytes(a.Val))
		return err == nil && c.glob.MatchString(v.Text())
	}
	return false
}
