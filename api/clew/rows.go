package clew

import (
	"net/http"
	"strconv"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

// maxRows is how many rows one call may ask for.
const maxRows = 200

func (a *API) rows(r *http.Request) (api.Answer, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	version := r.FormValue("version")
	x := a.traces.get(r, id, a.process.Deletions())
	if x == nil {
		if x, err = a.arrange(r); err != nil {
			return api.Answer{}, err
		}
		if version != "" && x.version() != version {
			return api.Answer{}, trace.Errorf(trace.NotFound, "the trace has grown to %s spans since; load its columns again", x.version())
		}
	}
	from, err1 := strconv.Atoi(r.FormValue("from"))
	to, err2 := strconv.Atoi(r.FormValue("to"))
	if err1 != nil || err2 != nil || from < 0 || to < from || to-from > maxRows || to > len(x.tree.Rows) {
		return api.Answer{}, trace.Errorf(trace.Invalid, "from=%.20q and to=%.20q; want 0 <= from <= to <= %d, at most %d rows",
			r.FormValue("from"), r.FormValue("to"), len(x.tree.Rows), maxRows)
	}
	out := make([]any, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, x.row(i))
	}
	return api.Answer{Value: map[string]any{"rows": out}}, nil
}

type attr struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type event struct {
	Time    string `json:"time"`
	Name    string `json:"name"`
	Attrs   []attr `json:"attributes"`
	Dropped uint32 `json:"droppedAttributes"`
}

type link struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
	State   string `json:"traceState"`
	Attrs   []attr `json:"attributes"`
	Dropped uint32 `json:"droppedAttributes"`
}

type status struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type resource struct {
	Attrs     []attr `json:"attributes"`
	Dropped   uint32 `json:"droppedAttributes"`
	SchemaURL string `json:"schemaUrl"`
}

type scope struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	resource
}

type row struct {
	Row           int      `json:"row"`
	SpanID        string   `json:"spanId"`
	Parent        string   `json:"parentSpanId"`
	Name          string   `json:"name"`
	Kind          string   `json:"kind"`
	Service       string   `json:"service"`
	Start         string   `json:"start"`
	DurationNs    uint64   `json:"durationNs"`
	Status        status   `json:"status"`
	State         string   `json:"traceState"`
	Flags         uint32   `json:"flags"`
	Attrs         []attr   `json:"attributes"`
	Dropped       uint32   `json:"droppedAttributes"`
	Events        []event  `json:"events"`
	DroppedEvents uint32   `json:"droppedEvents"`
	Links         []link   `json:"links"`
	DroppedLinks  uint32   `json:"droppedLinks"`
	Resource      resource `json:"resource"`
	Scope         scope    `json:"scope"`
}

type ghost struct {
	Row        int    `json:"row"`
	SpanID     string `json:"spanId"`
	Start      string `json:"start"`
	DurationNs uint64 `json:"durationNs"`
	Ghost      bool   `json:"ghost"`
}

func (x *arranged) row(i int) any {
	duration := x.times.End[i] - x.times.Start[i]
	s := x.span(i)
	if s == nil {
		return ghost{i, x.tree.Rows[i].ID.String(), decimal(x.times.Start[i]), duration, true}
	}
	out := row{
		Row: i, SpanID: s.ID.String(), Name: s.Name, Kind: s.Kind.String(), Service: s.Service(), Start: decimal(s.Start), DurationNs: duration,
		Status: status{s.Status.String(), s.StatusMessage}, State: s.State, Flags: s.Flags,
		Attrs: attrs(s.Attrs), Dropped: s.Dropped, DroppedEvents: s.DroppedEvents, DroppedLinks: s.DroppedLinks,
		Events: make([]event, len(s.Events)), Links: make([]link, len(s.Links)),
		Resource: resource{attrs(s.Resource.Attrs), s.Resource.Dropped, s.Resource.SchemaURL},
		Scope:    scope{s.Scope.Name, s.Scope.Version, resource{attrs(s.Scope.Attrs), s.Scope.Dropped, s.Scope.SchemaURL}},
	}
	if !s.Parent.IsZero() {
		out.Parent = s.Parent.String()
	}
	for k, e := range s.Events {
		out.Events[k] = event{decimal(e.Time), e.Name, attrs(e.Attrs), e.Dropped}
	}
	for k, l := range s.Links {
		out.Links[k] = link{l.TraceID.String(), l.SpanID.String(), l.State, attrs(l.Attrs), l.Dropped}
	}
	return out
}

func attrs(in []trace.Attr) []attr {
	out := make([]attr, len(in))
	for i, a := range in {
		out[i] = attr{a.Key, a.Value.Type().String(), a.Value.Text()}
	}
	return out
}
