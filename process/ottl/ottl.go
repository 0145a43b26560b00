// Package ottl has the steps transform and filter: statements and conditions in OpenTelemetry's transformation language (OTTL), as the
// Collector's processors of these names take them.
//
// The language is the Collector's own library. What it works on are its objects (pdata): a batch is decoded for it. Of what comes back, only
// the spans, resources and scopes that a statement worked on are encoded anew; all others stay the bytes they were.
package ottl

import (
	"fmt"
	"maps"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlresource"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlscope"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspanevent"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/clewtrace/clew/process"
	"github.com/clewtrace/clew/trace"
)

// Group is statements or conditions that belong together.
type Group struct {
	// Context is what a statement is run for: each resource, scope, span or spanevent. Empty: what the paths in it say. Paths need not
	// name the context that is given here.
	Context     string
	Conditions  []string // of Statements: they are run where one of these is met; none: everywhere
	Statements  []string
	Errors      process.ErrorMode
	SharedCache bool // the cache is one for all groups with this, instead of one for each resource, scope, span or event
}

// Contexts are the names of the contexts.
var Contexts = [...]string{ottlresource.ContextName, ottlscope.ContextName, ottlspan.ContextName, ottlspanevent.ContextName}

// rules are the statements and conditions of one context.
type rules[K any] struct {
	statements []*ottl.Statement[K]
	conditions []*ottl.Condition[K]
}

// group is a Group, parsed: one of the rules is there for statements, any of them for conditions.
type group struct {
	resource  *rules[*ottlresource.TransformContext]
	scope     *rules[*ottlscope.TransformContext]
	span      *rules[*ottlspan.TransformContext]
	event     *rules[*ottlspanevent.TransformContext]
	context   string
	errors    process.ErrorMode
	shared    bool
	resources bool // its statements may change resources, too
	scopes    bool
}

func (g *group) merge(other *group) {
	mergeRules(&g.resource, other.resource)
	mergeRules(&g.scope, other.scope)
	mergeRules(&g.span, other.span)
	mergeRules(&g.event, other.event)
	if g.context == "" {
		g.context = other.context
	}
}

func mergeRules[K any](to **rules[K], from *rules[K]) {
	if from == nil {
		return
	}
	if *to == nil {
		*to = &rules[K]{}
	}
	(*to).statements = append((*to).statements, from.statements...)
	(*to).conditions = append((*to).conditions, from.conditions...)
}

// parser parses statements and conditions of all contexts.
type parser struct {
	*ottl.ParserCollection[*group]
}

func newParser() (*parser, error) {
	spanFuncs := ottlfuncs.StandardFuncs[*ottlspan.TransformContext]()
	maps.Copy(spanFuncs, ottl.CreateFactoryMap(ottlfuncs.NewIsRootSpanFactory()))
	set := component.TelemetrySettings{Logger: zap.NewNop()} // errors are returned, not logged
	resource, err := ottlresource.NewParser(ottlfuncs.StandardFuncs[*ottlresource.TransformContext](), set, ottlresource.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	scope, err := ottlscope.NewParser(ottlfuncs.StandardFuncs[*ottlscope.TransformContext](), set, ottlscope.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	span, err := ottlspan.NewParser(spanFuncs, set, ottlspan.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	event, err := ottlspanevent.NewParser(ottlfuncs.StandardFuncs[*ottlspanevent.TransformContext](), set, ottlspanevent.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	all, err := ottl.NewParserCollection(set,
		in(ottlresource.ContextName, &resource, func(r *rules[*ottlresource.TransformContext]) *group { return &group{resource: r} }),
		in(ottlscope.ContextName, &scope, func(r *rules[*ottlscope.TransformContext]) *group { return &group{scope: r} }),
		in(ottlspan.ContextName, &span, func(r *rules[*ottlspan.TransformContext]) *group { return &group{span: r} }),
		in(ottlspanevent.ContextName, &event, func(r *rules[*ottlspanevent.TransformContext]) *group { return &group{event: r} }),
	)
	return &parser{all}, err
}

// in has statements and conditions of a context parsed by p, and made a group by of.
func in[K any](context string, p *ottl.Parser[K], of func(*rules[K]) *group) ottl.ParserCollectionOption[*group] {
	named := func(r *rules[K]) *group {
		g := of(r)
		g.context = context
		return g
	}
	return ottl.WithParserCollectionContext(context, p,
		ottl.WithStatementConverter(func(_ *ottl.ParserCollection[*group], _ ottl.StatementsGetter, s []*ottl.Statement[K]) (*group, error) {
			return named(&rules[K]{statements: s}), nil
		}),
		ottl.WithConditionConverter(func(_ *ottl.ParserCollection[*group], _ ottl.ConditionsGetter, c []*ottl.Condition[K]) (*group, error) {
			return named(&rules[K]{conditions: c}), nil
		}))
}

// statements parses a group with statements. All are run in one context.
func (p *parser) statements(from Group) (g *group, err error) {
	getter := ottl.NewStatementsGetter(from.Statements)
	if from.Context != "" {
		g, err = p.ParseStatementsWithContext(from.Context, getter, true)
	} else {
		g, err = p.ParseStatements(getter, ottl.WithContextInferenceConditions(from.Conditions))
	}
	if err != nil {
		return nil, oneLine(err)
	}
	if len(from.Conditions) > 0 {
		c, err := p.ParseConditionsWithContext(g.context, ottl.NewConditionsGetter(from.Conditions), from.Context != "")
		if err != nil {
			return nil, oneLine(err)
		}
		g.merge(c)
	}
	g.errors, g.shared = from.Errors, from.SharedCache
	for _, s := range from.Statements { // what a statement can change it has to name
		g.resources = g.resources || strings.Contains(s, "resource")
		g.scopes = g.scopes || strings.Contains(s, "scope")
	}
	return g, nil
}

// conditions parses a group of conditions, each of which is for a context of its own.
func (p *parser) conditions(from Group) (*group, error) {
	all := &group{errors: from.Errors}
	for _, text := range from.Conditions {
		var g *group
		var err error
		one := ottl.NewConditionsGetter([]string{text})
		if from.Context != "" {
			g, err = p.ParseConditionsWithContext(from.Context, one, true)
		} else {
			g, err = p.ParseConditions(one)
		}
		if err != nil {
			return nil, oneLine(err)
		}
		all.merge(g)
	}
	return all, nil
}

// Check says what is wrong with a group.
func Check(g Group) error {
	p, err := newParser()
	if err != nil {
		return err
	}
	if len(g.Statements) > 0 {
		_, err = p.statements(g)
	} else {
		_, err = p.conditions(g)
	}
	return err
}

// oneLine makes one line of an error that has several.
func oneLine(err error) error {
	return fmt.Errorf("%s", strings.Join(strings.Fields(err.Error()), " "))
}

// decode returns a batch as the library wants it.
func decode(b *trace.Batch) (ptrace.Traces, error) {
	if len(b.Raw) > maxBytes {
		return ptrace.Traces{}, trace.Errorf(trace.TooLarge, "batch of %d bytes; at most %d can be processed at once, send smaller batches", len(b.Raw), maxBytes)
	}
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(b.Raw)
	if err != nil {
		return td, err
	}
	scopes := 0
	for _, rs := range td.ResourceSpans().All() {
		scopes += rs.ScopeSpans().Len()
	}
	if td.ResourceSpans().Len() != len(b.Resources) || scopes != len(b.Scopes) || td.SpanCount() != len(b.Spans) {
		// What is touched is put in place by its number: the library must see the same, which it does unless somebody tries.
		return td, trace.Errorf(trace.Invalid, "the batch has %d spans in %d scopes, and %d in %d to OTTL's library", len(b.Spans), len(b.Scopes), td.SpanCount(), scopes)
	}
	return td, nil
}

const (
	// maxBytes is the largest batch that is decoded: objects take about weight times the bytes.
	maxBytes = 16 << 20
	weight   = 12
)

// problems collects the errors of a batch, of which one alone is told.
type problems struct {
	n     int
	first error
}

func (p *problems) add(text string, err error) {
	if p.n++; p.first == nil {
		p.first = fmt.Errorf("%s: %w", text, err)
	}
}

func (p *problems) error() error {
	if p.n > 1 {
		return fmt.Errorf("%w (and %d more)", p.first, p.n-1)
	}
	return p.first
}

// caches are those that groups share, by context.
type caches map[string]*pcommon.Map

func (c caches) of(g *group) *pcommon.Map {
	if !g.shared {
		return nil
	}
	if c[g.context] == nil {
		m := pcommon.NewMap()
		c[g.context] = &m
	}
	return c[g.context]
}
