package jaeger

import (
	"errors"
	"io"
	"net/http"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
	"github.com/clewtrace/clew/wire/otlp"
)

// maxTransform is how large a file may be that is to be shown: it is held as it came, in its binary form, and as spans.
const maxTransform = 32 << 20

// transform turns OTLP/JSON, which a person has opened as a file in Jaeger's page, into Jaeger's form. Nothing is stored. One file is worked on
// at a time.
func (a *API) transform(r *http.Request) (api.Answer, error) {
	select {
	case a.transforming <- struct{}{}:
		defer func() { <-a.transforming }()
	case <-r.Context().Done():
		return api.Answer{}, r.Context().Err()
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxTransform))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return api.Answer{}, trace.Errorf(trace.TooLarge, "the file is larger than %d MiB", maxTransform>>20)
	}
	if err != nil {
		return api.Answer{}, trace.Errorf(trace.Invalid, "the body is cut off")
	}
	raw, err := otlp.AppendBinary(nil, body)
	if err != nil {
		return api.Answer{}, err
	}
	var b trace.Batch
	if err := b.Index(raw, trace.DefaultLimits()); err != nil {
		return api.Answer{}, err
	}
	if n := b.Refused.Total(); n > 0 {
		return api.Answer{}, trace.Errorf(trace.Invalid, "%d of %d spans cannot be shown: %s", n, n+len(b.Spans), b.Refused.First)
	}
	spans, err := b.Decode()
	if err != nil {
		return api.Answer{}, err
	}
	out := &traces{encoder: wire.Encoder{Raw: true}}
	for _, t := range byTrace(spans) {
		if err := out.add(t); err != nil {
			return api.Answer{}, err
		}
	}
	return framed(out, nil), nil
}

// byTrace returns the traces that spans are of, in the order of their first spans.
func byTrace(spans []trace.Span) (list []*trace.Trace) {
	byID := map[trace.ID]*trace.Trace{}
	for i := range spans {
		t := byID[spans[i].TraceID]
		if t == nil {
			t = &trace.Trace{ID: spans[i].TraceID}
			byID[t.ID] = t
			list = append(list, t)
		}
		t.Spans = append(t.Spans, spans[i])
	}
	return list
}

// archive keeps a trace for ever.
func (a *API) archive(r *http.Request) (api.Answer, error) {
	id, err := trace.ParseID(r.PathValue("id"))
	if err == nil {
		err = hints(r.URL.Query())
	}
	if err != nil {
		return api.Answer{}, err
	}
	if err := a.keeper.Archive(r.Context(), id); err != nil {
		return api.Answer{}, notFound(err)
	}
	return api.Answer{Value: body{Data: []string{}, Errors: []errorBody{}}}, nil
}
