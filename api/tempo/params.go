package tempo

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/tempo"
)

// params reads the parameters of a request, and keeps the first error. Those that it is not asked for are left alone: Grafana passes its own on.
type params struct {
	form url.Values
	err  error
}

func paramsOf(r *http.Request) *params {
	p := &params{}
	if p.form, p.err = url.ParseQuery(r.URL.RawQuery); p.err != nil {
		p.err = trace.Errorf(trace.Invalid, "the query string is broken: %v", p.err)
	}
	return p
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = trace.Errorf(trace.Invalid, format, args...)
	}
}

// number reads a whole number; 0 if it is not given.
func (p *params) number(name, what string) uint32 {
	v := p.form.Get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		p.fail("invalid %s: %.40q is not %s", name, v, what)
	}
	return uint32(n)
}

func (p *params) seconds(name string) uint32 { return p.number(name, "a time in whole Unix seconds") }
func (p *params) count(name string) uint32   { return p.number(name, "a number from 0 on") }

// duration reads a duration in Go's form; 0 if it is not given.
func (p *params) duration(name string) time.Duration {
	v := p.form.Get(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		p.fail("invalid %s: %.60q is not a duration such as 1.2s or 100ms", name, v)
	}
	return d
}

// rangeOf returns the range of two Unix times in seconds, of which 0 is none.
func rangeOf(start, end uint32) (trace.Range, error) {
	if end != 0 && end <= start {
		return trace.Range{}, trace.Errorf(trace.Invalid, "http parameter start must be before end. received start=%d end=%d", start, end)
	}
	const s = 1_000_000_000
	r := trace.Range{From: uint64(start) * s}
	if end != 0 {
		r.To = uint64(end)*s + s - 1 // the whole second
	}
	return r, nil
}

func tagsRequest(r *http.Request) (q wire.TagsRequest, err error) {
	p := paramsOf(r)
	q = wire.TagsRequest{Scope: p.form.Get("scope"), Query: p.form.Get("q"), Start: p.seconds("start"), End: p.seconds("end"), Limit: p.count("limit")}
	return q, p.err
}

// valuesRequest reads tag/{name}/values. The name may have slashes, escaped or not.
func valuesRequest(r *http.Request) (q wire.ValuesRequest, err error) {
	name, ok := strings.CutSuffix(r.PathValue("path"), "/values")
	if !ok || name == "" {
		_, err := unknown(r)
		return q, err
	}
	p := paramsOf(r)
	q = wire.ValuesRequest{Name: name, Query: p.form.Get("q"), Start: p.seconds("start"), End: p.seconds("end"), Limit: p.count("limit")}
	return q, p.err
}
