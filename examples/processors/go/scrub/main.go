// Scrub is an example of a processor: it drops health checks, takes e-mail addresses out of what spans say, and marks the spans of the
// services that matter most.
//
// Its configuration is the names of those services, with commas between them: "checkout, payment".
package main

import (
	"errors"
	"strings"

	"example.com/processors/clew"
)

// hidden takes the place of an e-mail address.
const hidden = "[e-mail]"

var gold = map[string]bool{}

func init() {
	clew.Configure(func(config string) error {
		for name := range strings.SplitSeq(config, ",") {
			if name = strings.TrimSpace(name); strings.ContainsAny(name, " \n\"") {
				return errors.New("want the names of services, with commas between them; " + name + " is no name")
			}
			gold[name] = true
		}
		return nil
	})
	clew.Process(process)
}

func main() {}

func process(s *clew.Span) {
	if path, ok := s.Attr("url.path"); ok && path.Text() == "/healthz" || strings.HasSuffix(s.Name(), " /healthz") {
		s.Drop()
		return
	}
	for key, value := range s.Attrs() {
		if text := value.Text(); strings.Contains(text, "@") {
			if scrubbed := scrub(text); scrubbed != text {
				s.SetText(key, scrubbed)
			}
		}
	}
	if service, _ := s.Resource().Attr("service.name"); gold[service.Text()] {
		s.SetText("tier", "gold")
	}
}

// scrub replaces the e-mail addresses in a text.
func scrub(text string) string {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		from, to := at, at+1
		for from > 0 && inAddress(text[from-1]) {
			from--
		}
		for to < len(text) && inAddress(text[to]) {
			to++
		}
		if from == at || to == at+1 {
			out.WriteString(text[:to]) // an @ alone
		} else {
			out.WriteString(text[:from] + hidden)
		}
		text = text[to:]
	}
}

func inAddress(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._%+-", c) >= 0
}
