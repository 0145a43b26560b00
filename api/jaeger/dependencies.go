package jaeger

import (
	"net/http"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
)

const defaultDependencyLookback = 24 * time.Hour

type dependency struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Calls  uint64 `json:"callCount"`
}

// dependencies counts the calls between services in the traces of a stretch of time. Jaeger has them counted beforehand; here
// all of the time's traces are read, and a header says so when that took too long.
func (a *API) dependencies(r *http.Request) (api.Answer, error) {
	end, ok, err := number(r.URL.Query(), "endTs", "milliseconds")
	if err != nil {
		return api.Answer{}, err
	}
	if !ok {
		end = uint64(time.Now().UnixMilli())
	}
	lookback, ok, err := number(r.URL.Query(), "lookback", "milliseconds")
	if err != nil {
		return api.Answer{}, err
	}
	if !ok {
		lookback = uint64(defaultDependencyLookback.Milliseconds())
	}
	end = min(end, 1<<44) // ns have to fit
	calls, why, err := a.engine.Calls(r.Context(), trace.Range{From: (end - min(end, lookback)) * 1e6, To: end*1e6 + 999_999})
	if err != nil {
		return api.Answer{}, err
	}
	out := []dependency{}
	service := r.FormValue("service")
	for _, c := range calls {
		if service == "" || service == c.Parent || service == c.Child {
			out = append(out, dependency{c.Parent, c.Child, c.Count})
		}
	}
	return api.Answer{Value: body{Data: out}}.Incomplete(why), nil
}
