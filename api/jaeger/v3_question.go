package jaeger

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clewtrace/clew/trace"
)

// parameters are those of a request to api/v3. Their names are as the .proto file has them, query.start_time_min, or as protobuf's JSON does,
// query.startTimeMin.
type parameters url.Values

func parametersOf(r *http.Request) (parameters, error) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, trace.Errorf(trace.Invalid, "the query string is broken: %v", err)
	}
	return parameters(form), nil
}

// find returns a parameter's value, and its name as it was given.
func (p parameters) find(names ...string) (name, value string) {
	for _, snake := range names {
		for _, name := range []string{snake, camel(snake)} {
			if v := url.Values(p).Get(name); v != "" {
				return name, v
			}
		}
	}
	return names[0], ""
}

// camel returns a name of a field as protobuf's JSON has it.
func camel(snake string) string {
	words := strings.Split(snake, "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

func malformed(name, format string, args ...any) error {
	e := trace.Errorf(trace.Invalid, format, args...)
	e.Msg = "malformed parameter " + name + ": " + e.Msg
	return e
}

func (p parameters) text(names ...string) string {
	_, v := p.find(names...)
	return v
}

// time reads a time in RFC 3339, in which a "+" may be as it is: clients that do not escape it mean no space.
func (p parameters) time(name string) (ns uint64, ok bool, err error) {
	name, v := p.find(name)
	if v == "" {
		return 0, false, nil
	}
	at, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(v, " ", "+"))
	if err != nil {
		return 0, false, malformed(name, "%.60q is no time such as 2006-01-02T15:04:05.999Z", v)
	}
	if y := at.UTC().Year(); y < 1970 || y > 2261 { // in ns
		return 0, false, malformed(name, "%.60q is not between 1970 and 2261", v)
	}
	return uint64(at.UnixNano()), true, nil
}

func (p parameters) duration(name string) (time.Duration, error) {
	name, v := p.find(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, malformed(name, "%.60q is no duration such as 1.2s or 100ms", v)
	}
	return d, nil
}

func (p parameters) boolean(name string) (bool, error) {
	name, v := p.find(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, malformed(name, "%.40q is neither true nor false", v)
	}
	return b, nil
}

// questionOf reads a search, from the URL or, with POST, from a body {"query": {…}}.
func questionOf(r *http.Request) (*question, error) {
	p, err := parametersOf(r)
	if err == nil && r.Method == http.MethodPost {
		p, err = bodyParameters(r)
	}
	if err != nil {
		return nil, err
	}
	q := &question{v3: true, tags: map[string]string{}}
	q.service = p.text("query.service_name")
	q.operation = p.text("query.operation_name", "query.span_name")
	if name, v := p.find("query.attributes"); v != "" {
		if err := json.Unmarshal([]byte(v), &q.tags); err != nil {
			return nil, malformed(name, `want a JSON object of texts, such as {"http.status_code":"200"}: %v`, err)
		}
	}
	if p.text("query.filter") != "" {
		return nil, errFilter
	}
	if name, v := p.find("query.search_depth", "query.num_traces"); v != "" {
		if q.depth, err = strconv.ParseInt(v, 10, 32); err != nil || q.depth < 0 || q.depth > maxLimit {
			return nil, malformed(name, "%.40q is not a number from 1 to %d", v, maxLimit)
		}
	}
	var errs [5]error
	q.min, _, errs[0] = p.time("query.start_time_min")
	q.max, _, errs[1] = p.time("query.start_time_max")
	q.shortest, errs[2] = p.duration("query.duration_min")
	q.longest, errs[3] = p.duration("query.duration_max")
	q.raw, errs[4] = p.boolean("query.raw_traces")
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

// maxQuestion is how large the body of a search may be.
const maxQuestion = 1 << 20

// bodyParameters reads a body as if each of its fields were a parameter.
func bodyParameters(r *http.Request) (parameters, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxQuestion))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, trace.Errorf(trace.TooLarge, "the body is larger than %d MiB", maxQuestion>>20)
	}
	if err != nil {
		return nil, trace.Errorf(trace.Invalid, "the body is cut off")
	}
	var body struct {
		Query map[string]json.RawMessage `json:"query"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, trace.Errorf(trace.Invalid, "the body is not JSON such as {\"query\": {\"service_name\": \"shop\"}}: %v", err)
	}
	p := parameters{}
	for k, v := range body.Query {
		var text string
		if string(v) == "null" {
			continue
		}
		if json.Unmarshal(v, &text) != nil { // a number, a boolean or an object
			text = string(v)
		}
		p["query."+k] = []string{text}
	}
	return p, nil
}

// parseIDV3 reads a trace ID in hexadecimal, or the 16 bytes in base64, as protobuf's JSON has bytes.
func parseIDV3(s string) (trace.ID, error) {
	id, err := trace.ParseID(s)
	if err == nil {
		return id, nil
	}
	text := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(s), "=")
	raw, base64Err := base64.RawStdEncoding.DecodeString(text)
	if base64Err != nil || len(raw) != len(id) || trace.ID(raw).IsZero() {
		return id, malformed("trace_id", "%s", trace.ErrorOf(err).Msg)
	}
	return trace.ID(raw), nil
}
