package ottl

import (
	"context"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// Transform runs statements, as the Collector's transform processor.
type Transform struct {
	groups  []*group
	schemas bool // a statement may change a schema's URL, which is no part of what is put in place one by one
}

// NewTransform returns a step that runs the statements of groups, one after the other.
func NewTransform(groups []Group) (*Transform, error) {
	p, err := newParser()
	if err != nil {
		return nil, err
	}
	t := &Transform{}
	for _, from := range groups {
		g, err := p.statements(from)
		if err != nil {
			return nil, err
		}
		t.groups = append(t.groups, g)
		t.schemas = t.schemas || strings.Contains(strings.Join(from.Statements, " "), "schema_url")
	}
	return t, nil
}

// Weight is how many times its bytes a batch takes.
func (t *Transform) Weight() int { return weight }

// work is one batch's way through the groups: where it is, and what was touched.
type work struct {
	problems
	td                       ptrace.Traces
	group                    *group
	cacheOption              *pcommon.Map
	caches                   caches
	resource, scope, span    int
	resources, scopes, spans []bool
	touched                  bool // any of them
}

// touch notes that a statement worked on the span.
func (w *work) touch() {
	w.spans[w.span], w.touched = true, true
	w.resources[w.resource] = w.resources[w.resource] || w.group.resources
	w.scopes[w.scope] = w.scopes[w.scope] || w.group.scopes
}

// Process runs the statements. An error with which the batch goes on is of those statements alone that did not succeed.
func (t *Transform) Process(ctx context.Context, b *trace.Batch) error {
	td, err := decode(b)
	if err != nil {
		return err
	}
	w := &work{td: td, resources: make([]bool, len(b.Resources)), scopes: make([]bool, len(b.Scopes)), spans: make([]bool, len(b.Spans)), caches: caches{}}
	for _, g := range t.groups {
		w.group, w.cacheOption = g, w.caches.of(g)
		if !w.run(ctx) {
			return w.error()
		}
	}
	if !w.touched {
		return w.error()
	}
	if err := w.replace(b, t.schemas); err != nil {
		return err
	}
	return w.error()
}

// run runs a group's statements on all that there is. It returns false if an error ends that.
func (w *work) run(ctx context.Context) bool {
	scope, span := 0, 0
	for i, rs := range w.td.ResourceSpans().All() {
		w.resource = i
		if w.group.resource != nil && !w.onResource(ctx, rs) {
			return false
		}
		for _, ss := range rs.ScopeSpans().All() {
			w.scope = scope
			scope++
			if w.group.scope != nil && !w.onScope(ctx, rs, ss) {
				return false
			}
			if w.group.span == nil && w.group.event == nil {
				continue
			}
			for _, s := range ss.Spans().All() {
				w.span = span
				span++
				if w.group.span != nil && !w.onSpan(ctx, rs, ss, s) || w.group.event != nil && !w.onEvents(ctx, rs, ss, s) {
					return false
				}
			}
		}
	}
	return true
}

// apply runs rules in a context: what they did, and whether to go on.
func apply[K any](ctx context.Context, w *work, r *rules[K], t K) (did, goOn bool) {
	stop := w.group.errors == process.Propagate
	met := len(r.conditions) == 0
	for _, c := range r.conditions {
		ok, err := c.Eval(ctx, t)
		if err != nil {
			if w.add(c.String(), err); stop {
				return false, false
			}
		}
		if met = met || ok && err == nil; met {
			break
		}
	}
	if !met {
		return false, true
	}
	for _, s := range r.statements {
		_, ran, err := s.Execute(ctx, t)
		did = did || ran
		if err != nil {
			if w.add(s.String(), err); stop {
				return did, false
			}
		}
	}
	return did, true
}

func (w *work) onResource(ctx context.Context, rs ptrace.ResourceSpans) bool {
	t := ottlresource.NewTransformContext(rs.Resource(), rs, ottlresource.WithCache(w.cacheOption))
	defer t.Close()
	did, goOn := apply(ctx, w, w.group.resource, t)
	if did {
		w.resources[w.resource], w.touched = true, true
	}
	return goOn
}

func (w *work) onScope(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) bool {
	t := ottlscope.NewTransformContext(ss.Scope(), rs.Resource(), ss, rs, ottlscope.WithCache(w.cacheOption))
	defer t.Close()
	did, goOn := apply(ctx, w, w.group.scope, t)
	if did {
		w.scopes[w.scope], w.touched = true, true
		w.resources[w.resource] = w.resources[w.resource] || w.group.resources
	}
	return goOn
}

func (w *work) onSpan(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, s ptrace.Span) bool {
	t := ottlspan.NewTransformContext(rs, ss, s, ottlspan.WithCache(w.cacheOption))
	defer t.Close()
	did, goOn := apply(ctx, w, w.group.span, t)
	if did {
		w.touch()
	}
	return goOn
}

func (w *work) onEvents(ctx context.Context, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, s ptrace.Span) bool {
	for i := range s.Events().Len() {
		t := ottlspanevent.NewTransformContext(rs, ss, s, s.Events().At(i), ottlspanevent.WithCache(w.cacheOption))
		did, goOn := apply(ctx, w, w.group.event, t)
		t.Close()
		if did {
			w.touch()
		}
		if !goOn {
			return false
		}
	}
	return true
}

// replace puts what was worked on in the place of what it was made of.
func (w *work) replace(b *trace.Batch, whole bool) error {
	if !whole { // what is left as it was need not be encoded
		i := -1
		for _, rs := range w.td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				ss.Spans().RemoveIf(func(ptrace.Span) bool { i++; return !w.spans[i] })
			}
		}
	}
	var m ptrace.ProtoMarshaler
	raw, err := m.MarshalTraces(w.td)
	if err != nil {
		return err
	}
	if whole {
		return b.Rewrite(func(dst []byte) []byte { return append(dst, raw...) })
	}
	resources, scopes, spans := bodies(raw)
	place := func(touched []bool, from [][]byte) func([]byte, int, []byte) ([]byte, trace.Change) {
		return func(dst []byte, i int, _ []byte) ([]byte, trace.Change) {
			if !touched[i] {
				return dst, trace.Same
			}
			return append(dst, from[i]...), trace.Changed
		}
	}
	return b.Edit(&trace.Edit{
		Resource: place(w.resources, resources),
		Scope:    place(w.scopes, scopes),
		Span: func(dst []byte, i int, _ []byte) ([]byte, trace.Change) {
			if !w.spans[i] {
				return dst, trace.Same
			}
			dst = append(dst, spans[0]...)
			spans = spans[1:]
			return dst, trace.Changed
		},
	})
}

// bodies returns the messages of a TracesData that the library encoded: a resource for each ResourceSpans, a scope for each ScopeSpans.
func bodies(raw []byte) (resources, scopes, spans [][]byte) {
	each(raw, func(num protowire.Number, rs []byte) {
		if num != 1 {
			return
		}
		resources = append(resources, nil)
		each(rs, func(num protowire.Number, body []byte) {
			switch num {
			case 1:
				resources[len(resources)-1] = body
			case 2:
				scopes = append(scopes, nil)
				each(body, func(num protowire.Number, body []byte) {
					switch num {
					case 1:
						scopes[len(scopes)-1] = body
					case 2:
						spans = append(spans, body)
					}
				})
			}
		})
	})
	return resources, scopes, spans
}

// each calls fn with each field of a message that is a message or text.
func each(b []byte, fn func(num protowire.Number, body []byte)) {
	for len(b) > 0 {
		num, wire, tag := protowire.ConsumeTag(b)
		n := protowire.ConsumeFieldValue(num, wire, b[max(tag, 0):])
		if tag < 0 || n < 0 {
			panic("ottl: broken message")
		}
		if wire == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(b[tag:])
			fn(num, body)
		}
		b = b[tag+n:]
	}
}
