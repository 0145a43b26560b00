package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// About is what the document says apart from calls.
type About struct {
	Version string // of the program
	Base    string // where the query port's paths begin, as a browser has it: "", or a path without a slash at its end
	Also    []any  // values of types that are described without being a whole answer
}

// byHand are the schemas of what is no Go type, by name: OTLP/JSON as Clew writes it, and this document.
//
//go:embed schemas.json
var byHand []byte

const intro = "What Clew's page, `clew query`, `clew delete` and `clew backup` ask. Times are Unix nanoseconds, as decimal texts in JSON; durations are nanoseconds as numbers, and texts such as `1.5s` in parameters. " +
	"IDs are lower-case hexadecimal.\n\nA parameter that a call does not have is refused with 400, as is one that is given twice; an empty one counts as missing, unless it says otherwise. " +
	"Answers are compressed with gzip for clients that accept it. Clew answers the APIs of Jaeger, Zipkin and Tempo, too: they are described by their projects."

var tags = []object{
	{"name": "process", "description": "What this process is and how it is"},
	{"name": "names", "description": "What there is to ask for"},
	{"name": "search", "description": "Finding traces, and numbers over time"},
	{"name": "traces", "description": "One trace"},
	{"name": "delete", "description": "Deleting, on the admin port"},
	{"name": "backup", "description": "Backups, on the admin port"},
	{"name": "profiles", "description": "Profiles of the process, on the admin port, where `admin.pprof` is on"},
}

// Document returns the OpenAPI document, version 3.1, of calls.
//
// Source: the OpenAPI Specification 3.1.1.
func Document(about About, calls []Call) ([]byte, error) {
	s := &schemas{named: object{}, types: map[string]reflect.Type{}}
	paths := object{}
	for i := range calls {
		c := &calls[i]
		path, _ := paths[c.documented()].(object)
		if path == nil {
			path = object{}
			paths[c.documented()] = path
		}
		path[strings.ToLower(c.method())] = c.operation(s)
	}
	for _, v := range about.Also {
		s.of(reflect.TypeOf(v))
	}
	s.of(reflect.TypeFor[Error]())
	var named map[string]any
	if err := json.Unmarshal(byHand, &named); err != nil {
		return nil, fmt.Errorf("read schemas.json: %w", err)
	}
	maps.Copy(s.named, named)
	return json.MarshalIndent(object{
		"openapi": "3.1.1",
		"info": object{
			"title": "Clew", "version": about.Version, "description": intro,
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []object{{"url": about.Base + "/", "description": "the query port, 16686 unless `listen.query` says otherwise"}},
		"tags":    tags, "paths": paths,
		"security": []object{{}, {"token": []string{}}, {"password": []string{}}, {"certificate": []string{}}},
		"components": object{
			"schemas":    s.named,
			"parameters": object{"tenant": tenant()},
			"securitySchemes": object{
				"token":       object{"type": "http", "scheme": "bearer", "description": "where `auth.token_file` is set"},
				"password":    object{"type": "http", "scheme": "basic", "description": "where `auth.password_file` is set"},
				"certificate": object{"type": "mutualTLS", "description": "where `tls.client_ca_file` is set"},
			},
		},
	}, "", "  ")
}

// Error is the own form of errors.
type Error struct {
	Error struct {
		Kind    string `json:"kind" enum:"invalid,not_found,too_large,busy,unknown_tenant,forbidden,internal" doc:"for programs"`
		Message string `json:"message" doc:"for people: what was wrong, with the parameter's name, and what would be right"`
	} `json:"error"`
}

func tenant() object {
	return object{
		"name": "X-Scope-OrgID", "in": "header", "schema": object{"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"},
		"description": "the tenant that is asked, of those in `tenants.list`, under the header's name in `tenants.header`; without it that of the credential, or `default`",
	}
}

func (c *Call) operation(s *schemas) object {
	out := object{"operationId": c.Name, "tags": []string{c.Tag}, "summary": c.Summary, "responses": c.responses(s)}
	if c.Text != "" {
		out["description"] = c.Text
	}
	parameters := []any{}
	for i := range c.Params {
		parameters = append(parameters, c.Params[i].describe())
	}
	if c.Open {
		out["security"] = []object{}
	} else {
		parameters = append(parameters, object{"$ref": "#/components/parameters/tenant"})
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	if c.Admin {
		out["servers"] = []object{{
			"url": "http://{address}", "description": "the admin port, `listen.admin`",
			"variables": object{"address": object{"default": "127.0.0.1:14269"}},
		}}
	}
	return out
}

// errorsOfAll are the refusals of every call that is ours.
func (c *Call) errorsOfAll() []Refusal {
	var out []Refusal
	if !c.Foreign {
		out = append(out,
			Refusal{Status: 400, When: "a parameter is wrong, or there is none of that name: the message names it, and says what would be right"},
			Refusal{Status: 500, When: "it is Clew's fault; its log says more"})
	}
	if !c.Open {
		out = append(out,
			Refusal{Status: 401, When: "there is no credential, or not a right one", Type: "text/plain"},
			Refusal{Status: 403, When: "the credential may not do that, or not for that tenant; or the tenant is not configured", Type: "text/plain"},
			Refusal{Status: 503, When: "cannot now: `query.concurrency` questions are being answered, or the like; the header Retry-After says when to come back"})
	}
	return out
}

func (c *Call) responses(s *schemas) object {
	out := object{strconv.Itoa(c.status()): c.answer(s)}
	byStatus := map[int][]Refusal{}
	for _, e := range append(c.errorsOfAll(), c.Errors...) {
		byStatus[e.Status] = append(byStatus[e.Status], e)
	}
	for status, es := range byStatus {
		content, when := object{}, []string{}
		for _, e := range es {
			when = append(when, e.When)
			if e.Type == "text/plain" {
				content["text/plain"] = object{"schema": object{"type": "string"}}
			} else {
				content["application/json"] = object{"schema": object{"$ref": "#/components/schemas/Error"}}
			}
		}
		response := object{"description": strings.Join(when, "; or "), "content": content}
		if status == http.StatusServiceUnavailable && content["application/json"] != nil {
			response["headers"] = object{"Retry-After": object{"description": "seconds", "schema": object{"type": "integer", "minimum": 1}}}
		}
		out[strconv.Itoa(status)] = response
	}
	return out
}

func (c *Call) answer(s *schemas) object {
	out := object{"description": "the answer"}
	if c.status() == http.StatusNoContent {
		out["description"] = "done"
		return out
	}
	typ := c.Type
	if typ == "" {
		typ = "application/json"
	}
	schema := object{"type": "string"}
	switch a := c.Answer.(type) {
	case nil:
		if typ != "text/plain" {
			schema = object{"type": "string", "contentMediaType": typ}
		}
	case Ref:
		schema = object{"$ref": "#/components/schemas/" + string(a)}
	default:
		schema = s.of(reflect.TypeOf(a))
	}
	out["content"] = object{typ: object{"schema": schema}}
	if len(c.Header) > 0 {
		headers := object{}
		for name, text := range c.Header {
			headers[name] = object{"description": text, "schema": object{"type": "string"}}
		}
		out["headers"] = headers
	}
	return out
}

func (p *Param) describe() object {
	schema := p.schema()
	out := object{"name": p.Name, "in": "query", "description": p.Text}
	if p.In != "" {
		out["in"] = p.In
	}
	if p.Required || p.In == "path" {
		out["required"] = true
	}
	if p.Many {
		schema = object{"type": "array", "items": schema}
		out["style"], out["explode"] = "form", true
	}
	if p.Example != "" {
		out["example"] = p.Example
		if p.Many {
			out["example"] = []string{p.Example}
		}
	}
	out["schema"] = schema
	return out
}

// durations is the form of a duration; time.ParseDuration takes signs and fractions of all units as well.
const durations = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`

func (p *Param) schema() object {
	schema := object{"type": "string"}
	switch p.Kind {
	case TraceID:
		schema["pattern"] = "^[0-9a-fA-F]{1,32}$"
	case Number:
		schema = object{"type": "integer", "minimum": p.Min}
		if p.Max > 0 {
			schema["maximum"] = p.Max
		}
		if n, err := strconv.Atoi(p.Missing); err == nil {
			schema["default"] = n
		}
		return schema
	case Duration:
		schema["pattern"] = durations
		if p.Max > 0 {
			schema["description"] = "at most " + time.Duration(p.Max).String()
		}
	case Time:
		schema["pattern"] = "^[0-9]{1,19}$"
		schema["description"] = "Unix nanoseconds"
	case Flag:
		schema = object{"type": "boolean", "default": p.Missing == "true"}
		return schema
	case Text:
		if len(p.OneOf) > 0 {
			schema["enum"] = slices.Clone(p.OneOf)
		}
	}
	if p.Missing != "" {
		schema["default"] = p.Missing
	}
	return schema
}
