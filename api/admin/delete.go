package admin

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/clew"
	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/trace"
)

// Store is where traces are deleted.
type Store interface {
	// Delete deletes whole traces and returns how many were not deleted before. When it returns nil no answer has them any more.
	Delete(ctx context.Context, ids []trace.ID) (int, error)
}

// deletions answers the calls that delete.
type deletions struct {
	engine *query.Engine
	store  Store
}

type authorizedKey struct{}

// Authorized has h take for allowed to delete, from wherever it comes, each request for which may is true: somebody has made sure who asks.
func Authorized(h http.Handler, may func(r *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if may(r) {
			r = r.WithContext(context.WithValue(r.Context(), authorizedKey{}, true))
		}
		h.ServeHTTP(w, r)
	})
}

// RegisterDelete adds the calls that delete traces to the admin port's handler: they are not on the query port, which many may reach,
// and answered to this machine alone, or who is Authorized.
func RegisterDelete(mux *http.ServeMux, gate *api.Gate, engine *query.Engine, store Store) {
	d := &deletions{engine, store}
	handlers, wrapped := map[string]openapi.Handler{"delete_trace": d.trace, "delete": d.search}, map[string]http.Handler{}
	calls := deleteCalls()
	for i := range calls {
		name := calls[i].Name
		wrapped[name] = local(gate.Wrap("admin", name, clew.Refuse, calls[i].Handler(handlers[name])))
	}
	register(mux, calls, wrapped)
}

// local lets those through who are on this machine, but no web page that a person on it looks at: neither one of another origin, nor
// one whose name was made to stand for this machine.
func local(h http.Handler) http.Handler {
	h = sameOrigin(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(authorizedKey{}) != nil {
			h.ServeHTTP(w, r)
			return
		}
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		here := from.Addr().Unmap().IsLoopback()
		if to, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok { // who has the address that is called is here, too
			here = here || from.Addr().Unmap() == to.AddrPort().Addr().Unmap()
		}
		if err != nil || !here {
			refuse(w, http.StatusForbidden, "forbidden", "traces are deleted from the machine, or the container, on which clew runs, or with a credential that may (docs/security.md): use clew delete there, or forward the port")
			return
		}
		name := (&url.URL{Host: r.Host}).Hostname()
		if _, err := netip.ParseAddr(name); err != nil && name != "localhost" {
			refuse(w, http.StatusForbidden, "forbidden", "traces are deleted under an address or the name localhost")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// deleted is the answer of both calls.
type deleted struct {
	Matched  int    `json:"matched" doc:"traces"`
	Deleted  int    `json:"deleted" doc:"traces; less than matched if others deleted some meanwhile"`
	DryRun   bool   `json:"dryRun"`
	Cursor   string `json:"cursor" doc:"not empty: the limit was reached and there is more"`
	Complete bool   `json:"complete" doc:"false: a part of the store could not be searched"`
	Reason   string `json:"reason" doc:"why it is not complete"`
}

func (d *deletions) trace(r *http.Request, v *openapi.Values) (api.Answer, error) {
	id := v.ID("id")
	if _, err := d.engine.Trace(r.Context(), id, trace.Range{}); err != nil {
		return api.Answer{}, err
	}
	n, err := d.store.Delete(r.Context(), []trace.ID{id})
	return api.Answer{Value: deleted{Matched: 1, Deleted: n, Complete: true}}, err
}

// roundTraces is how many traces are found before they are deleted: the memory that this takes is small, and one sync serves many.
const roundTraces = 1000

// search deletes what one scan finds, as it finds it: a scan that begins anew would look at everything newer again.
func (d *deletions) search(r *http.Request, v *openapi.Values) (api.Answer, error) {
	r = api.Patient(r)
	q, err := deleteOf(v)
	if err != nil {
		return api.Answer{}, err
	}
	out := deleted{DryRun: q.dryRun}
	var ids []trace.ID
	flush := func() error {
		n, err := d.store.Delete(r.Context(), ids)
		out.Deleted, ids = out.Deleted+n, ids[:0]
		return err
	}
	cursor, rep, err := d.engine.Each(r.Context(), query.Request{Scan: q.scan, Limit: q.limit, Cursor: q.cursor}, func(t *trace.Trace) error {
		out.Matched++
		if q.dryRun {
			return nil
		}
		if ids = append(ids, t.ID); len(ids) < roundTraces {
			return nil
		}
		return flush()
	})
	if err == nil && len(ids) > 0 {
		err = flush()
	}
	out.Cursor, out.Complete, out.Reason = cursor, rep.Incomplete == "", rep.Incomplete
	return api.Answer{Value: out}, err
}

// deleteQuery is what a deletion by search asks for.
type deleteQuery struct {
	scan   trace.Scan
	dryRun bool
	limit  int
	cursor string
}

// deleteOf reads the parameters. What is empty was refused: a variable of a script that was not set must not widen a deletion.
func deleteOf(v *openapi.Values) (q deleteQuery, err error) {
	if q.scan, err = clew.ScanOf(v); err != nil {
		return q, err
	}
	q.limit, q.dryRun, q.cursor = v.Number("limit"), v.Is("dryRun"), v.Text("cursor")
	if q.limit == 0 {
		q.limit = math.MaxInt
	}
	conditions := len(q.scan.Spans) > 0 || q.scan.Range != trace.Range{}
	switch all := v.Is("all"); {
	case !conditions && !all:
		return q, trace.Errorf(trace.Invalid, "there is no condition, so that every trace would be deleted; give one (service, operation, tag, minDuration, maxDuration, from, to), or all=true")
	case conditions && all:
		return q, trace.Errorf(trace.Invalid, "all=true and a condition contradict each other; give one of them")
	}
	return q, nil
}
