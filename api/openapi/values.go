package openapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query/traceql"
	"github.com/clewtrace/clew/trace"
)

// Values are the parameters of a request, each of them what its call's table says.
type Values struct {
	call *Call
	r    *http.Request
}

// Read reads a request's parameters. All that are there are checked, also those that the request makes no use of. An error is of kind Invalid and
// names the parameter and what would be right.
func (c *Call) Read(r *http.Request) (*Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	v := &Values{c, r}
	for _, name := range slices.Sorted(maps.Keys(r.Form)) {
		p := c.param(name)
		given := r.Form[name]
		switch {
		case p == nil || p.In != "":
			return nil, trace.Errorf(trace.Invalid, "there is no parameter %.40q%s", name, c.meant(name))
		case len(given) > 1 && !p.Many:
			return nil, trace.Errorf(trace.Invalid, "%s is given %d times; want one", name, len(given))
		}
		for _, text := range given {
			if text == "" && p.Filled {
				return nil, trace.Errorf(trace.Invalid, "%s is empty; leave it out if it is no condition", name)
			}
			if err := p.check(text); text != "" && err != nil {
				return nil, err
			}
		}
	}
	for i := range c.Params {
		p := &c.Params[i]
		if p.In == "path" {
			if err := p.check(r.PathValue(p.Name)); err != nil {
				return nil, err
			}
		} else if p.Required && r.Form.Get(p.Name) == "" {
			if want := p.want(); want != "" {
				return nil, trace.Errorf(trace.Invalid, "%s is missing; want %s", p.Name, want)
			}
			return nil, trace.Errorf(trace.Invalid, "%s is missing", p.Name)
		}
	}
	return v, nil
}

// meant returns what somebody may have meant who wrote a name that is none.
func (c *Call) meant(name string) string {
	if n := traceql.Nearest(name, c.names()); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// want says what would be right; empty: anything.
func (p *Param) want() string {
	switch p.Kind {
	case TraceID:
		return "1 to 32 hexadecimal digits"
	case Number:
		if p.Max == 0 {
			return fmt.Sprintf("%d or more", p.Min)
		}
		return fmt.Sprintf("%d to %d", p.Min, p.Max)
	case Duration:
		switch {
		case p.Max > 0:
			return fmt.Sprintf("a duration such as 15s, at most %v", time.Duration(p.Max))
		}
		return "a duration such as 200ms or 1.5s"
	case Time:
		return "nanoseconds since 1970"
	case Flag:
		return "true or false"
	}
	if n := len(p.OneOf); n > 0 {
		return strings.Join(p.OneOf[:n-1], ", ") + " or " + p.OneOf[n-1]
	}
	return ""
}

func (p *Param) check(text string) error {
	ok := true
	switch p.Kind {
	case TraceID:
		_, err := trace.ParseID(text)
		return err
	case Number:
		n, err := strconv.ParseInt(text, 10, 0)
		ok = err == nil && p.within(n)
	case Duration:
		d, err := time.ParseDuration(text)
		ok = err == nil && p.within(int64(d))
	case Time:
		_, err := strconv.ParseUint(text, 10, 63)
		ok = err == nil
	case Flag:
		ok = text == "true" || text == "false"
	case Text:
		ok = len(p.OneOf) == 0 || slices.Contains(p.OneOf, text)
	}
	if !ok {
		return trace.Errorf(trace.Invalid, "%s is %.40q; want %s", p.Name, text, p.want())
	}
	return nil
}

func (p *Param) within(n int64) bool { return n >= p.Min && (p.Max == 0 || n <= p.Max) }

// get returns a parameter's text, or what counts when it is missing.
func (v *Values) get(name string, kind Kind) string {
	p := v.call.param(name)
	if p == nil || p.Kind != kind {
		panic(fmt.Sprintf("%s has no parameter %s of kind %d", v.call.Name, name, kind))
	}
	text := ""
	if p.In == "path" {
		text = v.r.PathValue(name)
	} else {
		text = v.r.Form.Get(name)
	}
	if text == "" && p.Kind != Text { // what a text stands for when it is missing is its handler's
		return p.Missing
	}
	return text
}

// Given reports whether a parameter is there and not empty.
func (v *Values) Given(name string) bool { return v.r.Form.Get(name) != "" }

// Text returns a text, empty if it is missing.
func (v *Values) Text(name string) string { return v.get(name, Text) }

// All returns all texts of a parameter that may be given several times, but empty ones.
func (v *Values) All(name string) []string {
	v.get(name, Text)
	return slices.DeleteFunc(slices.Clone(v.r.Form[name]), func(text string) bool { return text == "" })
}

// ID returns a trace ID, zero if it is missing.
func (v *Values) ID(name string) trace.ID {
	id, _ := trace.ParseID(v.get(name, TraceID)) // it was checked
	return id
}

// Number returns a number; 0 if it is missing and nothing counts then.
func (v *Values) Number(name string) int {
	n, _ := strconv.Atoi(v.get(name, Number)) // it was checked
	return n
}

// Duration returns a duration; 0 if it is missing and nothing counts then.
func (v *Values) Duration(name string) time.Duration {
	d, _ := time.ParseDuration(v.get(name, Duration)) // it was checked
	return d
}

// Time returns a time in Unix nanoseconds; 0 if it is missing.
func (v *Values) Time(name string) uint64 {
	ns, _ := strconv.ParseUint(v.get(name, Time), 10, 63) // it was checked
	return ns
}

// Is returns a flag.
func (v *Values) Is(name string) bool { return v.get(name, Flag) == "true" }

// Range returns the range of the parameters from and to.
func (v *Values) Range() (r trace.Range, err error) {
	r = trace.Range{From: v.Time("from"), To: v.Time("to")}
	if r.To != 0 && r.From > r.To {
		return r, trace.Errorf(trace.Invalid, "from is later than to")
	}
	return r, nil
}

// Handler answers a request whose parameters were read.
type Handler func(r *http.Request, v *Values) (api.Answer, error)

// Handler returns a handler that reads a request's parameters before h answers.
func (c *Call) Handler(h Handler) api.Handler {
	return func(r *http.Request) (api.Answer, error) {
		v, err := c.Read(r)
		if err != nil {
			return api.Answer{}, err
		}
		return h(r, v)
	}
}
