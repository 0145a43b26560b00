// Tour is an example that does one of everything that the SDK can do, to copy from. It is of no other use.
package main

import (
	"errors"
	"strings"

	"example.com/processors/clew"
)

func init() {
	clew.Configure(func(config string) error {
		if config != "" {
			return errors.New("there is nothing to configure")
		}
		clew.Log(clew.Info, "the tour begins")
		return nil
	})
	clew.ProcessResource(func(r *clew.Resource) {
		if r.Delete("host.name") {
			r.SetText("host.name.was", "deleted")
		}
	})
	clew.Process(process)
}

func main() {}

func process(s *clew.Span) {
	s.SetName(strings.ToUpper(s.Name()))
	if s.Kind() == clew.Unspecified {
		s.SetKind(clew.Internal)
	}
	if status, message := s.Status(); status == clew.Failed {
		s.SetStatus(clew.Failed, "it was: "+message)
	}
	for event := range s.Events() {
		if of, ok := event.Attr("exception.type"); ok {
			s.SetText("exception.type", of.Text())
			s.Set("exception.after", clew.IntValue(int64(event.Time-s.Start())))
		}
	}
	texts := int64(0)
	for _, value := range s.Attrs() {
		if value.Type() == clew.String {
			texts++
		}
	}
	s.Set("texts", clew.IntValue(texts))
	s.Set("trace.id", clew.BytesValue(s.TraceID()))
	s.Set("root", clew.BoolValue(len(s.Parent()) == 0))
	s.Set("seconds", clew.DoubleValue(float64(int64(s.End()-s.Start()))/1e9))
	if list, ok := s.Attr("list"); ok {
		s.Set("list.copy", list)
	}
	if service, ok := s.Resource().Attr("service.name"); ok {
		s.Set("service", service)
	}
	if number, ok := s.Attr("http.status_code"); ok {
		s.Set("http.status_code", clew.IntValue(number.Int()+1))
	}
	s.Delete("empty")
	s.Delete("no.such.key")
}
