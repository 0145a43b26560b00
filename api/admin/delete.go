package admin

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/api/clew"
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
	mux.Handle("DELETE /api/v1/traces/{id}", local(gate.Wrap("admin", "delete_trace", clew.Refuse, d.trace)))
	mux.Handle("POST /api/v1/delete", local(gate.Wrap("admin", "delete", clew.Refuse, d.search)))
}

// local lets those through who are on this machine, but no web page that a person on it looks at: neither one of another origin, nor
// one whose name was made to stand for this machine.
func local(h http.Handler) http.Handler {
	h = http.NewCrossOriginProtection().Handler(h)
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
			http.Error(w, "traces are deleted from the machine, or the container, on which clew runs, or with a credential that may (docs/security.md): use clew delete there, or forward the port", http.StatusForbidden)
			return
		}
		name := (&url.URL{Host: r.Host}).Hostname()
		if _, err := netip.ParseAddr(name); err != nil && name != "localhost" {
			http.Error(w, "traces are deleted under an address or the name localhost", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// deleted is the answer of both calls.
type deleted struct {
	Matched  int    `json:"matched"` // traces
	Deleted  int    `json:"deleted"`
	DryRun   bool   `json:"dryRun"`
	Cursor   string `json:"cursor"` // not empty: the limit was reached and there is more
	Complete bool   `json:"complete"`
	Reason   string `json:"reason"` // why it is not complete
}

func (d *deletions) trace(r *http.Request) (api.Answer, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err != nil {
		return api.Answer{}, err
	}
	if _, err := d.engine.Trace(r.Context(), id, trace.Range{}); err != nil {
		return api.Answer{}, err
	}
	n, err := d.store.Delete(r.Context(), []trace.ID{id})
	return api.Answer{Value: deleted{Matched: 1, Deleted: n, Complete: true}}, err
}

// roundTraces is how many traces are found before they are deleted: the memory that this takes is small, and one sync serves many.
const roundTraces = 1000

// search deletes what one scan finds, as it finds it: a scan that begins anew would look at everything newer again.
func (d *deletions) search(r *http.Request) (api.Answer, error) {
	r = api.Patient(r)
	q, err := parseDelete(r)
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

// parseDelete reads the parameters. What is empty is refused: a variable of a script that was not set must not widen a deletion.
func parseDelete(r *http.Request) (q deleteQuery, err error) {
	if q.scan, err = clew.ParseScan(r, "dryRun", "all", "limit", "cursor"); err != nil {
		return q, err
	}
	for k, values := range r.Form {
		for _, v := range values {
			if v == "" && k != "cursor" {
				return q, trace.Errorf(trace.Invalid, "%s is empty; leave it out if it is no condition", k)
			}
		}
	}
	flags := map[string]bool{}
	for _, k := range []string{"dryRun", "all"} {
		if v := r.Form.Get(k); v != "" {
			if flags[k], err = strconv.ParseBool(v); err != nil {
				return q, trace.Errorf(trace.Invalid, "%s is %.40q; want true or false", k, v)
			}
		}
	}
	q.limit = math.MaxInt
	if v := r.Form.Get("limit"); v != "" {
		if q.limit, err = strconv.Atoi(v); err != nil || q.limit < 1 {
			return q, trace.Errorf(trace.Invalid, "limit is %.40q; want 1 or more, or no limit", v)
		}
	}
	conditions := len(q.scan.Spans) > 0 || q.scan.Range != trace.Range{}
	switch {
	case !conditions && !flags["all"]:
		return q, trace.Errorf(trace.Invalid, "there is no condition, so that every trace would be deleted; give one (service, operation, tag, minDuration, maxDuration, from, to), or all=true")
	case conditions && flags["all"]:
		return q, trace.Errorf(trace.Invalid, "all=true and a condition contradict each other; give one of them")
	}
	q.dryRun, q.cursor = flags["dryRun"], r.Form.Get("cursor")
	return q, nil
}
