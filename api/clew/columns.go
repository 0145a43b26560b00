package clew

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/insight"
	"github.com/clewtrace/clew/trace"
)

// arranged is a trace as the page shows it.
type arranged struct {
	tenant string
	trace  *trace.Trace
	tree   trace.Tree
	times  insight.Times

	bytes     int64  // of memory, about
	deletions uint64 // how many there had been when it was read
}

// version tells one state of a growing trace from another, so that rows are of the columns that the page has.
func (x *arranged) version() string { return strconv.Itoa(len(x.trace.Spans)) }

func (a *API) arrange(ctx context.Context, id trace.ID) (*arranged, error) {
	deletions := a.process.Deletions() // before it is read
	t, err := a.engine.Trace(ctx, id, trace.Range{})
	if err != nil {
		return nil, err
	}
	// The times, and the columns twice while they are put together; the tree is in what the store takes for a span.
	if err := trace.BudgetOf(ctx).Take(int64(len(t.Spans)) * (timesBytes + 2*rowBytes)); err != nil {
		return nil, err
	}
	x := &arranged{tenant: trace.TenantOf(ctx), trace: t, tree: trace.Arrange(t.Spans), deletions: deletions}
	x.times = insight.Measure(t.Spans, x.tree)
	x.bytes = t.Memory() + int64(len(x.tree.Rows))*rowMemory
	a.traces.put(x)
	return x, nil
}

// rowMemory is what a row of the tree and its times take, about.
const rowMemory = 128

// timesBytes is what the times take of it.
const timesBytes = 40

const columnsType = "application/vnd.clew.columns"

func (a *API) columns(r *http.Request, v *openapi.Values) (api.Answer, error) {
	x, err := a.arrange(r.Context(), v.ID("id"))
	if err != nil {
		return api.Answer{}, err
	}
	return api.Answer{Raw: x.encode(), ContentType: columnsType}, nil
}

// The bits of the flags column.
const (
	flagError = 1 << iota
	flagCritical
	flagGhost
	flagEvents
	flagLinks
	flagSkewed
)

type columnInfo struct {
	Name   string `json:"name" enum:"start,duration,self,spanId,parent,size,service,name,depth,kind,flags"`
	Type   string `json:"type" enum:"f64,i32,u32,u16,u8" doc:"little-endian"`
	Offset int    `json:"offset" doc:"from the first byte behind the header, a multiple of 8"`
	Bytes  int    `json:"bytes"`
}

type columnsHeader struct {
	TraceID    string       `json:"traceId" form:"trace"`
	Version    string       `json:"version" doc:"of the trace's state, for its rows"`
	Start      string       `json:"start" form:"time"`
	DurationNs uint64       `json:"durationNs"`
	Rows       int          `json:"rows" doc:"spans, and parents that never arrived"`
	Spans      int          `json:"spans"`
	Errors     int          `json:"errors"`
	Gaps       int          `json:"gaps" doc:"distinct parents that spans name and that never arrived"`
	Services   []string     `json:"services"`
	Names      []string     `json:"names"`
	Columns    []columnInfo `json:"columns"`
}

// rowBytes is what a row takes in all columns.
const rowBytes = 3*8 + 8 + 4*4 + 2 + 2

// encode writes the wire form that docs/http-api.md describes.
func (x *arranged) encode() []byte {
	header := columnsHeader{
		TraceID: x.trace.ID.String(), Version: x.version(), Start: decimal(x.times.First), DurationNs: x.times.Last - x.times.First,
		Rows: len(x.tree.Rows), Spans: len(x.trace.Spans), Gaps: x.tree.Gaps,
	}
	data := make([]byte, 0, len(x.tree.Rows)*rowBytes+11*8)
	column := func(name, typ string, add func(b []byte, row int) []byte) {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		at := len(data)
		for i := range x.tree.Rows {
			data = add(data, i)
		}
		header.Columns = append(header.Columns, columnInfo{name, typ, at, len(data) - at})
	}
	le := binary.LittleEndian
	f64 := func(b []byte, v uint64) []byte { return le.AppendUint64(b, math.Float64bits(float64(v))) }
	column("start", "f64", func(b []byte, i int) []byte { return f64(b, x.times.Start[i]-x.times.First) })
	column("duration", "f64", func(b []byte, i int) []byte { return f64(b, x.times.End[i]-x.times.Start[i]) })
	column("self", "f64", func(b []byte, i int) []byte { return f64(b, x.times.Self[i]) })
	column("spanId", "u8", func(b []byte, i int) []byte { return append(b, x.tree.Rows[i].ID[:]...) })
	column("parent", "i32", func(b []byte, i int) []byte { return le.AppendUint32(b, uint32(x.tree.Rows[i].Parent)) })
	column("size", "u32", func(b []byte, i int) []byte { return le.AppendUint32(b, uint32(x.tree.Rows[i].Size)) })
	services, names := dictionary{}, dictionary{}
	column("service", "u32", func(b []byte, i int) []byte { return le.AppendUint32(b, services.index(x.service(i))) })
	column("name", "u32", func(b []byte, i int) []byte { return le.AppendUint32(b, names.index(x.name(i))) })
	column("depth", "u16", func(b []byte, i int) []byte {
		return le.AppendUint16(b, uint16(min(x.tree.Rows[i].Depth, math.MaxUint16)))
	})
	column("kind", "u8", func(b []byte, i int) []byte {
		if s := x.span(i); s != nil {
			return append(b, byte(s.Kind))
		}
		return append(b, 0)
	})
	column("flags", "u8", func(b []byte, i int) []byte {
		f := x.flags(i)
		if f&flagError != 0 {
			header.Errors++
		}
		return append(b, f)
	})
	header.Services, header.Names = services.list, names.list
	head, err := json.Marshal(header)
	if err != nil { // strings and numbers alone
		panic(err)
	}
	for (8+len(head))%8 != 0 {
		head = append(head, ' ')
	}
	out := append(make([]byte, 0, 8+len(head)+len(data)), "CLC1"...)
	out = le.AppendUint32(out, uint32(len(head)))
	return append(append(out, head...), data...)
}

// dictionary numbers strings in the order in which they come.
type dictionary struct {
	list  []string
	known map[string]uint32
}

func (d *dictionary) index(s string) uint32 {
	if i, ok := d.known[s]; ok {
		return i
	}
	if d.known == nil {
		d.known = map[string]uint32{}
	}
	i := uint32(len(d.list))
	d.known[s] = i
	d.list = append(d.list, s)
	return i
}

func (x *arranged) span(row int) *trace.Span {
	if i := x.tree.Rows[row].Span; i >= 0 {
		return &x.trace.Spans[i]
	}
	return nil
}

func (x *arranged) service(row int) string {
	if s := x.span(row); s != nil {
		return s.Service()
	}
	return ""
}

func (x *arranged) name(row int) string {
	if s := x.span(row); s != nil {
		return s.Name
	}
	return ""
}

func (x *arranged) flags(row int) (f byte) {
	if x.times.Critical[row] {
		f |= flagCritical
	}
	s := x.span(row)
	if s == nil {
		return f | flagGhost
	}
	if s.Status == trace.StatusError {
		f |= flagError
	}
	if len(s.Events) > 0 {
		f |= flagEvents
	}
	if len(s.Links) > 0 {
		f |= flagLinks
	}
	if p := x.tree.Rows[row].Parent; p >= 0 && x.tree.Rows[p].Span >= 0 &&
		(x.times.Start[row] < x.times.Start[p] || x.times.End[row] > x.times.End[p]) {
		f |= flagSkewed
	}
	return f
}
