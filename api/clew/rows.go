package clew

import (
	"net/http"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/trace"
)

// maxRows is how many rows one call may ask for.
const maxRows = 200

func (a *API) rows(r *http.Request, v *openapi.Values) (api.Answer, error) {
	id, version := v.ID("id"), v.Text("version")
	x := a.traces.get(trace.TenantOf(r.Context()), id, version, a.process.Deletions())
	if x == nil {
		var err error
		if x, err = a.arrange(r.Context(), id); err != nil {
			return api.Answer{}, err
		}
		if version != "" && x.version() != version {
			return api.Answer{}, trace.Errorf(trace.NotFound, "the trace has grown to %s spans since; load its columns again", x.version())
		}
	}
	from, to := v.Number("from"), v.Number("to")
	if to < from || to-from > maxRows || to > len(x.tree.Rows) {
		return api.Answer{}, trace.Errorf(trace.Invalid, "from=%d and to=%d; want 0 <= from <= to <= %d, at most %d rows", from, to, len(x.tree.Rows), maxRows)
	}
	out := make(rowList, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, x.row(i))
	}
	return api.Answer{Value: rowsAnswer{out}}, nil
}

type rowsAnswer struct {
	Rows rowList `json:"rows"`
}

// rowList has rows and ghosts.
type rowList []any

// OneOf says so to the document.
func (rowList) OneOf() []any { return []any{row{}, ghost{}} }

type attr struct {
	Key   string `json:"key"`
	Type  string `json:"type" enum:"string,int,double,bool,bytes,array,map,empty"`
	Value string `json:"value" doc:"as a person reads it: JSON for arrays and maps, hexadecimal for bytes"`
}

type event struct {
	Time    string `json:"time" form:"time"`
	Name    string `json:"name"`
	Attrs   []attr `json:"attributes"`
	Dropped uint32 `json:"droppedAttributes"`
}

type link struct {
	TraceID string `json:"traceId" form:"trace"`
	SpanID  string `json:"spanId" form:"span"`
	State   string `json:"traceState"`
	Attrs   []attr `json:"attributes"`
	Dropped uint32 `json:"droppedAttributes"`
}

type status struct {
	Code    string `json:"code" enum:"unset,ok,error"`
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
	SpanID        string   `json:"spanId" form:"span"`
	Parent        string   `json:"parentSpanId" form:"spanOrEmpty"`
	Name          string   `json:"name"`
	Kind          string   `json:"kind" enum:"unspecified,internal,server,client,producer,consumer"`
	Service       string   `json:"service"`
	Start         string   `json:"start" form:"time"`
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
	SpanID     string `json:"spanId" form:"span"`
	Start      string `json:"start" form:"time"`
	DurationNs uint64 `json:"durationNs"`
	Ghost      bool   `json:"ghost" doc:"true: a parent that never arrived"`
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
