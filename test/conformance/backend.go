package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/clewtrace/clew/internal/tempopb"
)

// backend is a running server: where it takes spans, and where it is asked in each dialect, by the dialect's name. What it has not is "".
type backend struct {
	otlp string            // URL, to which /v1/traces is appended
	at   map[string]string // URL; host:port of those over gRPC
}

// answer is what came back for a question.
type answer struct {
	status, contentType string
	body                []byte
	header              http.Header
}

// send posts a body, and fails unless it is taken.
func send(ctx context.Context, to, contentType string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	a, err := do(req)
	if err == nil && a.status != "200" && a.status != "202" {
		err = fmt.Errorf("POST %s: %s %.500s", to, a.status, a.body)
	}
	return err
}

// load sends the spans that the questions are about: OTLP, and Zipkin's own form to what speaks Zipkin.
func (b *backend) load(ctx context.Context, o occasion) error {
	for _, c := range []struct{ file, to string }{{"otlp", b.otlp + "/v1/traces"}, {"zipkin", b.at["zipkin"] + "/api/v2/spans"}} {
		if strings.HasPrefix(c.to, "/") {
			continue
		}
		raw, err := files.ReadFile("data/" + c.file + ".json")
		if err != nil {
			return err
		}
		if err := send(ctx, c.to, "application/json", []byte(o.fill(string(raw)))); err != nil {
			return err
		}
	}
	return nil
}

// do makes a request, follows no redirect, and reads the answer.
func do(req *http.Request) (answer, error) {
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{status: fmt.Sprint(resp.StatusCode), contentType: resp.Header.Get("Content-Type"), body: body, header: resp.Header}, err
}

// asker asks one backend; it holds what the ways to ask need.
type asker struct {
	backend  *backend
	occasion occasion
	tempo    protoreflect.MessageDescriptors
	jaeger   *jaegerClient // nil unless Jaeger's gRPC is asked
}

// ask asks a question, and returns how the answer differs from what is expected: "" if it does not.
func (a *asker) ask(ctx context.Context, q *question) (string, error) {
	if q.method == "CALL" {
		return a.call(ctx, q)
	}
	got, err := a.http(ctx, q)
	if err != nil {
		return "", err
	}
	if got.status != q.status {
		return fmt.Sprintf("got status %s, want %s: %.300q", got.status, q.status, got.body), nil
	}
	if !strings.HasPrefix(got.contentType, q.contentType) {
		return fmt.Sprintf("got content type %q, want %q", got.contentType, q.contentType), nil
	}
	body := got.body
	if q.message != "" {
		if body, err = a.decoded(q.message, got); err != nil {
			return fmt.Sprintf("not a %s: %v: %.300q", q.message, err, got.body), nil
		}
	}
	return compare(a.occasion.fill(q.answer), body), nil
}

func (a *asker) http(ctx context.Context, q *question) (answer, error) {
	base := a.backend.at[q.dialect]
	path, query, _ := strings.Cut(q.target, "?")
	if strings.Contains(query, " ") { // in files conditions are legible
		query = strings.NewReplacer(" ", "%20", `"`, "%22", "{", "%7B", "}", "%7D", "|", "%7C", "<", "%3C", ">", "%3E", "&&", "%26%26", "&>", "%26%3E").Replace(query)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, base, strings.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	// As it is written, as that which is escaped in it is a part of the question.
	req.URL = &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Opaque: strings.TrimSuffix(req.URL.Path, "/") + path, RawQuery: query}
	for _, h := range q.headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return do(req)
}

// decoded decodes an answer as Grafana decodes Tempo's, which takes no field that it does not know, and returns it as JSON.
func (a *asker) decoded(message string, got answer) ([]byte, error) {
	m := dynamicpb.NewMessage(a.tempo.ByName(protoreflect.Name(message)))
	if !strings.HasPrefix(got.contentType, "application/protobuf") {
		return got.body, protojson.Unmarshal(got.body, m)
	}
	return inJSON(m, got.body)
}

func inJSON(m *dynamicpb.Message, body []byte) ([]byte, error) {
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, err
	}
	if err := tempopb.Known(m); err != nil {
		return nil, err
	}
	return protojson.Marshal(m)
}

// compare compares a body with what is expected: as JSON if that is, else as text.
func compare(want string, body []byte) string {
	expected, err := decode([]byte(want))
	if err != nil {
		if text := strings.TrimSpace(string(body)); !glob(want, text) {
			return fmt.Sprintf("got %.300q, want %q", text, want)
		}
		return ""
	}
	got, err := decode(body)
	if err != nil {
		return fmt.Sprintf("not JSON: %v: %.300q", err, body)
	}
	return differs("", expected, got)
}

// result is how a question ended.
type result struct {
	question
	diff string // "" if it passed
}

// run asks questions, those that do not pass again until wait is over: a backend may take a while until it shows what it was sent. Questions that
// are known to differ, as dialect/name, are not waited for.
func (a *asker) run(ctx context.Context, list []question, wait time.Duration, known map[string]string) ([]result, error) {
	out := make([]result, len(list))
	for i, q := range list {
		q.target, q.body = a.occasion.fill(q.target), a.occasion.fill(q.body)
		out[i] = result{q, "not asked"}
	}
	for end := time.Now().Add(wait); ; {
		for i := range out {
			if out[i].diff == "" {
				continue
			}
			var err error
			if out[i].diff, err = a.ask(ctx, &out[i].question); err != nil {
				return nil, fmt.Errorf("%s, %q: %w", out[i].dialect, out[i].name, err)
			}
		}
		if time.Now().After(end) || !slices.ContainsFunc(out, func(r result) bool { return r.diff != "" && known[r.dialect+"/"+r.name] == "" }) {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), context.Cause(ctx))
		case <-time.After(300 * time.Millisecond):
		}
	}
}
