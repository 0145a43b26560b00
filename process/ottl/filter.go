package ottl

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// Filter leaves out what meets a condition, as the Collector's filter processor: spans, all spans of a resource or scope, or events.
type Filter struct{ groups []*group }

// NewFilter returns a step that leaves out what meets a condition of one of the groups.
func NewFilter(groups []Group) (*Filter, error) {
	p, err := newParser()
	if err != nil {
		return nil, err
	}
	f := &Filter{}
	for _, from := range groups {
		g, err := p.conditions(from)
		if err != nil {
			return nil, err
		}
		f.groups = append(f.groups, g)
	}
	return f, nil
}

// Weight is how many times its bytes a batch takes.
func (f *Filter) Weight() int { return weight }

// sieve is one batch's way through the groups.
type sieve struct {
	problems
	group  *group
	span   int
	left   []bool         // spans that are left out
	events map[int][]bool // of some spans: events that are left out, by their first positions
	any    bool
	broken bool // an error that ends it
}

// Process leaves out what the conditions say. Whether a higher level is left out is asked first: a condition is not asked about what is gone.
func (f *Filter) Process(ctx context.Context, b *trace.Batch) error {
	td, err := decode(b)
	if err != nil {
		return err
	}
	s := &sieve{left: make([]bool, len(b.Spans)), events: map[int][]bool{}}
	for _, g := range f.groups {
		s.group, s.span = g, 0
		for _, rs := range td.ResourceSpans().All() {
			s.resource(ctx, rs)
		}
		if s.broken {
			return s.error()
		}
	}
	if s.any {
		if err := b.Edit(&trace.Edit{Span: s.edit}); err != nil {
			return err
		}
	}
	return s.error()
}

// meets reports whether one of the conditions is met. One that errs is not.
func meets[K any](ctx context.Context, s *sieve, conditions []*ottl.Condition[K], t K) bool {
	for _, c := range conditions {
		ok, err := c.Eval(ctx, t)
		if err != nil {
			s.add(c.String(), err)
			s.broken = s.broken || s.group.errors == process.Propagate
			continue
		}
		if ok {
			return true
		}
	}
	return false
}

func (s *sieve) resource(ctx context.Context, rs ptrace.ResourceSpans) {
	out := false
	if r := s.group.resource; r != nil {
		t := ottlresource.NewTransformContext(rs.Resource(), rs)
		out = meets(ctx, s, r.conditions, t)
		t.Close()
	}
	for _, ss := range rs.ScopeSpans().All() {
		s.scope(ctx, rs, ss, out)
	}
}

func (s *sieve) scope(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, out bool) {
	if r := s.group.scope; r != nil && !out {
		t := ottlscope.NewTransformContext(ss.Scope(), rs.Resource(), ss, rs)
		out = meets(ctx, s, r.conditions, t)
		t.Close()
	}
	for _, span := range ss.Spans().All() {
		switch {
		case s.left[s.span]:
		case out || s.meetsSpan(ctx, rs, ss, span):
			s.left[s.span], s.any = true, true
		case s.group.event != nil:
			s.sieveEvents(ctx, rs, ss, span)
		}
		s.span++
	}
}

func (s *sieve) meetsSpan(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) bool {
	if s.group.span == nil {
		return false
	}
	t := ottlspan.NewTransformContext(rs, ss, span)
	defer t.Close()
	return meets(ctx, s, s.group.span.conditions, t)
}

// sieveEvents leaves out events of a span: of the objects, so that later conditions do not see them, and it notes which they were at first.
func (s *sieve) sieveEvents(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
	out := s.events[s.span]
	if out == nil {
		out = make([]bool, span.Events().Len())
	}
	at := 0
	span.Events().RemoveIf(func(e ptrace.SpanEvent) bool {
		for out[at] {
			at++
		}
		t := ottlspanevent.NewTransformContext(rs, ss, span, e)
		defer t.Close()
		out[at] = meets(ctx, s, s.group.event.conditions, t)
		if out[at] {
			s.any, s.events[s.span] = true, out
		}
		at++
		return out[at-1]
	})
}

// edit copies a span without the events that are left out.
func (s *sieve) edit(dst []byte, i int, body []byte) ([]byte, trace.Change) {
	out := s.events[i]
	switch {
	case s.left[i]:
		return dst, trace.Left
	case out == nil:
		return dst, trace.Same
	}
	event := -1
	for len(body) > 0 {
		num, _, n := protowire.ConsumeField(body)
		if n < 0 {
			panic("ottl: broken span")
		}
		if num == 11 {
			event++
		}
		if num != 11 || !out[event] {
			dst = append(dst, body[:n]...)
		}
		body = body[n:]
	}
	return dst, trace.Changed
}
