// Package openapi is what a call takes and answers, in one table: requests are read by it, and the document that describes Clew's own API is written from it.
//
// What a handler reads and what the document says cannot differ: a parameter that is not in the table is refused in a request, and one that a handler
// asks for panics.
package openapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Call is one call of the own API.
type Call struct {
	Method  string // GET if empty
	Path    string // as http.ServeMux has it, with wildcards
	Name    string // of the call in metrics, and of the operation in the document
	Tag     string // what it belongs to
	Summary string // a line without a full stop
	Text    string // more, in Markdown
	Admin   bool   // answered on the admin port
	Foreign bool   // read by a handler that is not ours: what it does not know it ignores
	Open    bool   // asks for no credential and no tenant
	Params  []Param

	Status int    // of the answer; 200 if 0
	Type   string // content type of the answer; application/json if empty
	Answer any    // a value of the answer's type, for its schema; nil: none, or bytes if there is a Type
	Header map[string]string
	Errors []Refusal // apart from those of all calls
}

// Refusal is a status with which a call may refuse, and when.
type Refusal struct {
	Status int
	When   string
	Type   string // content type; application/json if empty: the own form of errors
}

// Kind is what a parameter's text must be.
type Kind uint8

// The kinds of parameters.
const (
	Text     Kind = iota // anything, or one of Param.OneOf
	TraceID              // 1 to 32 hexadecimal digits
	Number               // a whole number of Param.Min to Param.Max
	Duration             // as Go writes it, of Param.Min to Param.Max nanoseconds
	Time                 // nanoseconds since 1970
	Flag                 // true or false
)

// Param is a parameter of a call.
type Param struct {
	Name     string
	In       string // query if empty; path
	Kind     Kind
	Text     string
	Example  string
	Missing  string // what counts when it is missing, as text; empty: nothing
	OneOf    []string
	Min, Max int64 // Max 0: no bound
	Many     bool  // may be given several times
	Required bool
	Filled   bool // an empty text is refused; else it counts as missing
}

// Pattern returns the call as http.ServeMux takes it.
func (c *Call) Pattern() string { return c.method() + " " + c.Path }

func (c *Call) method() string { return cmp.Or(c.Method, http.MethodGet) }

// param returns the parameter of a name.
func (c *Call) param(name string) *Param {
	if i := slices.IndexFunc(c.Params, func(p Param) bool { return p.Name == name }); i >= 0 {
		return &c.Params[i]
	}
	return nil
}

// names returns the names of the parameters that are no part of the path.
func (c *Call) names() []string {
	var out []string
	for i := range c.Params {
		if c.Params[i].In == "" {
			out = append(out, c.Params[i].Name)
		}
	}
	return out
}

// documented returns the path as the document has it: a wildcard that takes the rest is one like others there.
func (c *Call) documented() string {
	return strings.ReplaceAll(strings.ReplaceAll(c.Path, "...}", "}"), "{$}", "")
}

// status returns that of an answer.
func (c *Call) status() int { return cmp.Or(c.Status, http.StatusOK) }
