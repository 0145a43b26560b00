package clew

import (
	"context"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/query"
)

// foundRow is a span that a query with spans() found.
type foundRow struct {
	TraceID string `json:"traceId" form:"trace"`
	foundSpan
}

// spans answers a query that finds spans.
func (a *API) spans(ctx context.Context, req query.SpansRequest) (api.Answer, error) {
	found, err := a.engine.Spans(ctx, req)
	if err != nil {
		return api.Answer{}, err
	}
	out := queryAnswer{Plan: found.Plan, Cursor: found.Cursor, Scanned: scannedOf(&found.Report)}
	if out.Plan != nil {
		return api.Answer{Value: out}, nil
	}
	out.Columns, out.Spans = make([]string, len(found.Columns)), make([]foundRow, len(found.Spans))
	for i, f := range found.Columns {
		out.Columns[i] = f.String()
	}
	for i := range found.Spans {
		out.Spans[i] = foundRow{found.Spans[i].TraceID.String(), spanOf(&found.Spans[i].FoundSpan)}
	}
	return api.Answer{Value: out}, nil
}
