package jaeger

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// Jaeger's page draws, around a service in focus, the ways that requests take through it. Jaeger itself has them computed by a job of its own, or
// shows made-up ones; here they are those of the newest traces.

const (
	maxPaths     = 1000 // different ones
	maxHops      = 64   // of one
	maxExemplars = 20   // traces that are named for one
)

// deepPath is one way of requests, from where they came in to where they ended.
type deepPath struct {
	Path       []hop       `json:"path"`
	Attributes []attribute `json:"attributes"`

	last trace.ID // that was noted
}

// hop is a service on the way, and the span with which it began to work.
type hop struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
}

type attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// focus is the service, and maybe the operation, that a path must go through.
type focus struct{ service, operation string }

func (f *focus) on(path []hop) bool {
	return slices.ContainsFunc(path, func(h hop) bool {
		return h.Service == f.service && (f.operation == "" || h.Operation == f.operation)
	})
}

// deepDependencies answers /api/deep-dependencies and /analytics/v1/dependencies.
func (a *API) deepDependencies(r *http.Request) (api.Answer, error) {
	form := r.URL.Query()
	f := focus{form.Get("service"), form.Get("operation")}
	if f.service == "" {
		return api.Answer{}, trace.Errorf(trace.Invalid, "parameter 'service' is required")
	}
	when, err := deepRange(form, time.Now())
	if err != nil {
		return api.Answer{}, err
	}
	is := trace.Cond{Field: trace.FieldService, Op: trace.OpEqual, Value: trace.String(f.service)}
	p := paths{focus: f, byName: map[string]*deepPath{}}
	why, err := a.engine.Newest(r.Context(), trace.Scan{Range: when, Spans: [][]trace.Cond{{is}}, Outline: true}, p.add)
	if err != nil {
		return api.Answer{}, err
	}
	out := struct {
		Dependencies []*deepPath `json:"dependencies"`
	}{append([]*deepPath{}, p.list...)}
	if why == "" && p.more {
		why = fmt.Sprintf("these are %d of more paths", maxPaths)
	}
	return api.Answer{Value: out}.Incomplete(why), nil
}

// deepRange reads start and end (µs), for both of which Jaeger's page sends 0: then it is as long as for other dependencies.
func deepRange(form url.Values, now time.Time) (r trace.Range, err error) {
	for name, dst := range map[string]*uint64{"start": &r.From, "end": &r.To} {
		us, _, err := number(form, name, "microseconds")
		if err != nil {
			return r, err
		}
		*dst = us * 1000
	}
	if r.To == 0 {
		r.To = uint64(now.UnixNano())
	}
	if r.From == 0 {
		r.From = r.To - min(r.To, uint64(defaultDependencyLookback))
	}
	return r, nil
}

// paths collects the different ones.
type paths struct {
	focus  focus
	byName map[string]*deepPath
	list   []*deepPath
	more   bool // there are more than maxPaths
}

// add adds the paths of a trace: those from its beginning to each service that calls no other.
func (p *paths) add(t *trace.Trace) {
	tree := trace.Arrange(t.Spans)
	hops := make([]int32, len(tree.Rows)) // by row: the row with which its service began to work
	calls := make([]bool, len(tree.Rows)) // by such a row: its service calls another
	for i, row := range tree.Rows {
		hops[i] = int32(i)
		if row.Parent < 0 {
			continue
		}
		up := hops[row.Parent]
		if row.Span < 0 || tree.Rows[up].Span >= 0 && t.Spans[tree.Rows[up].Span].Service() == t.Spans[row.Span].Service() {
			hops[i] = up
		} else {
			calls[up] = true
		}
	}
	for i, row := range tree.Rows {
		if hops[i] != int32(i) || calls[i] || row.Span < 0 {
			continue
		}
		var path []hop
		for at := int32(i); ; at = hops[tree.Rows[at].Parent] {
			if s := tree.Rows[at].Span; s >= 0 {
				path = append(path, hop{t.Spans[s].Service(), t.Spans[s].Name})
			}
			if tree.Rows[at].Parent < 0 || len(path) == maxHops {
				break
			}
		}
		slices.Reverse(path)
		if p.focus.on(path) {
			p.note(path, t.ID)
		}
	}
}

// note notes a path of a trace.
func (p *paths) note(path []hop, id trace.ID) {
	var name strings.Builder
	for _, h := range path {
		name.WriteString(h.Service + "\x00" + h.Operation + "\x00")
	}
	key := name.String()
	d := p.byName[key]
	if d == nil {
		if len(p.list) == maxPaths {
			p.more = true
			return
		}
		d = &deepPath{Path: path}
		p.byName[key] = d
		p.list = append(p.list, d)
	}
	if d.last != id && len(d.Attributes) < maxExemplars {
		d.Attributes, d.last = append(d.Attributes, attribute{"exemplar_trace_id", id.String()}), id
	}
}
