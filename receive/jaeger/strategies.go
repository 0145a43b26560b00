package jaeger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"

	wire "github.com/clewtrace/clew/wire/jaeger"
)

// strategies are what a strategies file says.
type strategies struct {
	standard wire.Strategy // for services that are not named
	services map[string]*wire.Strategy
}

func (s *strategies) of(service string) *wire.Strategy {
	if one, ok := s.services[service]; ok {
		return one
	}
	return &s.standard
}

// fileService is a strategy in the file: of a service, of an operation, or of all others.
type fileService struct {
	line               int
	service, operation string
	kind               string
	param              float64
	operations         []fileService
}

// parseStrategies reads a file in Jaeger's format:
//
//	{
//	  "default_strategy": {"type": "probabilistic", "param": 0.5, "operation_strategies": [{"operation": "/health", "type": "probabilistic", "param": 0}]},
//	  "service_strategies": [{"service": "shop", "type": "ratelimiting", "param": 5}]
//	}
//
// Where the file says nothing, the standard rate counts. What Jaeger would ignore with a warning, or in silence, is an error that names
// the line and the key, but for one thing: a rate limit of an operation, which clients cannot be told, is left out with a warning.
func parseStrategies(b []byte, standard float64, log *slog.Logger) (*strategies, error) {
	f := file{in: b, d: json.NewDecoder(bytes.NewReader(b))}
	var all *fileService
	var services []fileService
	f.object("", func(key string) {
		switch key {
		case "default_strategy":
			s := f.strategy(key, "")
			all = &s
		case "service_strategies":
			services = f.list(key, "service")
		default:
			f.fail(key, "there is no such key; want default_strategy or service_strategies")
		}
	})
	if _, err := f.d.Token(); f.err == nil && !errors.Is(err, io.EOF) {
		f.fail("", "there is something behind the end")
	}
	if f.err != nil {
		return nil, f.err
	}
	out := &strategies{standard: wire.Strategy{Rate: standard}, services: map[string]*wire.Strategy{}}
	if all != nil {
		out.standard = all.strategy(standard, log)
	}
	for i := range services {
		s := services[i].strategy(standard, log)
		s.Operations = merged(&s, out.standard.Operations)
		out.services[services[i].service] = &s
	}
	return out, nil
}

// strategy returns what clients are told. Of operations that are not named, the service's own rate counts, if it has one.
func (s *fileService) strategy(standard float64, log *slog.Logger) wire.Strategy {
	out := wire.Strategy{Rate: s.param}
	if s.kind == "ratelimiting" {
		out = wire.Strategy{RateLimiting: true, PerSecond: int32(s.param)}
	}
	if len(s.operations) == 0 {
		return out
	}
	out.Operations = &wire.Operations{Default: standard}
	if !out.RateLimiting {
		out.Operations.Default = out.Rate
	}
	for _, op := range s.operations {
		if op.kind == "ratelimiting" {
			log.Warn("the rate limit of an operation is left out: clients know only probabilities of operations", "line", op.line, "operation", op.operation)
			continue
		}
		out.Operations.List = append(out.Operations.List, wire.Operation{Name: op.operation, Rate: op.param})
	}
	return out
}

// merged returns a service's operations together with those of the default strategy, as Jaeger merges them: the service's own come first
// and count; without any, the service's own rate, if it has one, stands for the operations that the default strategy does not name.
func merged(s *wire.Strategy, all *wire.Operations) *wire.Operations {
	switch {
	case all == nil:
		return s.Operations
	case s.Operations == nil:
		out := *all
		if !s.RateLimiting {
			out.Default = s.Rate
		}
		return &out
	}
	for _, op := range all.List {
		if !slices.ContainsFunc(s.Operations.List, func(own wire.Operation) bool { return own.Name == op.Name }) {
			s.Operations.List = append(s.Operations.List, op)
		}
	}
	return s.Operations
}

// file reads JSON token by token, so that an error can say where.
type file struct {
	in  []byte
	d   *json.Decoder
	err error
}

func (f *file) line() int { return 1 + bytes.Count(f.in[:f.d.InputOffset()], []byte("\n")) }

func (f *file) fail(key, format string, args ...any) {
	if f.err == nil {
		at := fmt.Sprintf("%d: ", f.line())
		if key != "" {
			at += key + ": "
		}
		f.err = errors.New(at + fmt.Sprintf(format, args...))
	}
}

func (f *file) token(key, want string) json.Token {
	if f.err != nil {
		return nil
	}
	t, err := f.d.Token()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		f.err = fmt.Errorf("%d: not JSON: %w", 1+bytes.Count(f.in[:min(int(syntax.Offset), len(f.in))], []byte("\n")), err)
	case err != nil:
		f.fail(key, "the file ends; want %s", want)
	}
	return t
}

// object calls member for each key of an object.
func (f *file) object(key string, member func(key string)) {
	const want = "an object, in braces"
	if t := f.token(key, want); t != json.Delim('{') {
		f.fail(key, "want %s", want)
		return
	}
	for f.err == nil && f.d.More() {
		name, _ := f.token(key, "a key").(string)
		if key != "" {
			name = key + "." + name
		}
		if f.err == nil {
			member(name)
		}
	}
	f.token(key, "}")
}

// list reads a list of strategies, each of a service or an operation, as of says.
func (f *file) list(key, of string) (out []fileService) {
	const want = "a list, in brackets"
	if t := f.token(key, want); t != json.Delim('[') {
		f.fail(key, "want %s", want)
		return nil
	}
	for f.err == nil && f.d.More() {
		out = append(out, f.strategy(fmt.Sprintf("%s[%d]", key, len(out)), of))
	}
	f.token(key, "]")
	return out
}

// strategy reads one strategy. of: the key that names what it is for, or nothing.
func (f *file) strategy(key, of string) (s fileService) {
	params := false
	f.object(key, func(name string) {
		switch name[len(key)+1:] {
		case "service":
			s.service = f.text(name)
		case "operation":
			s.operation = f.text(name)
		case "type":
			s.kind = f.text(name)
			if f.err == nil && s.kind != "probabilistic" && s.kind != "ratelimiting" {
				f.fail(name, "is %q; want probabilistic or ratelimiting", s.kind)
			}
		case "param":
			s.param, params = f.number(name), true
		case "operation_strategies":
			if of == "operation" {
				f.fail(name, "an operation has none")
				return
			}
			s.operations = f.list(name, "operation")
		default:
			f.fail(name, "there is no such key; want service, operation, type, param or operation_strategies")
		}
	})
	if s.line = f.line(); f.err != nil {
		return s
	}
	switch {
	case of == "service" && s.service == "", of == "operation" && s.operation == "":
		f.fail(key, "has no %s", of)
	case s.kind == "" || !params:
		f.fail(key, "want a type, probabilistic or ratelimiting, and a param")
	case s.kind == "probabilistic" && (s.param < 0 || s.param > 1):
		f.fail(key+".param", "is %v; a probability is from 0 to 1", s.param)
	case s.param < 0 || s.param > math.MaxInt32:
		f.fail(key+".param", "is %v; want traces a second, 0 or more", s.param)
	}
	return s
}

func (f *file) text(key string) string {
	s, ok := f.token(key, "a text").(string)
	if !ok {
		f.fail(key, "want a text, in quotes")
	}
	return s
}

func (f *file) number(key string) float64 {
	n, ok := f.token(key, "a number").(float64)
	if !ok {
		f.fail(key, "want a number")
	}
	return n
}
