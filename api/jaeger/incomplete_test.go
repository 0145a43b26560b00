package jaeger

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/api"
	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/query"
	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/trace"
)

// damaged is a store that could not read all that it has.
type damaged struct{ *spool.Spool }

func (d damaged) Scan(ctx context.Context, sc trace.Scan, rep *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	rep.Incomplete = "a part is damaged"
	return d.Spool.Scan(ctx, sc, rep)
}

// TestIncomplete asks for lists of traces where a part of the store cannot be read: a header says so.
func TestIncomplete(t *testing.T) {
	store := filled(t, t.TempDir(), testkit.Sample())
	mux := http.NewServeMux()
	New(api.NewGate(4, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), query.New(damaged{store}), kept{store}).Register(mux)
	when := time.Unix(0, testkit.SampleTime)
	v3 := "?query.start_time_min=" + when.UTC().Format(time.RFC3339Nano) + "&query.start_time_max=" + when.Add(time.Second).UTC().Format(time.RFC3339Nano)
	names, err := store.Services(t.Context())
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, path := range []string{"/api/traces?service=" + names[0] + sampleRange, "/api/v3/traces" + v3, "/api/v3/trace-summaries" + v3, "/api/quality-metrics?service=" + names[0]} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if got := w.Header().Get("X-Clew-Incomplete"); w.Code != http.StatusOK || got != "a part is damaged" {
			t.Errorf("GET %s: %d, incomplete %q, %.200s", path, w.Code, got, w.Body)
		}
	}
}
