// Package archive keeps chosen traces for ever, beside a store whose retention deletes all others in time.
//
// What is archived is a copy, in a store of its own in a folder of the data folder, with each tenant's in a spool of its own as well:
//
//	DATA/archive/wal, DATA/archive/blocks, …    default
//	DATA/archive/tenants/NAME/wal, …            NAME
//
// It is read when the store itself has a trace no longer: searches do not look there.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/store/tenants"
	"github.com/clewtrace/clew/trace"
)

const (
	folder    = "archive"
	headBytes = 1 << 20 // of each tenant: traces are archived by hand, one by one
	// recordSpans and recordBytes bound what is written at once, so that a trace of a million spans is not in memory a second time.
	recordSpans = 4096
	recordBytes = 8 << 20
)

// Store is a store with an archive. Its methods may be called at the same time.
type Store struct {
	*tenants.Store

	cfg  spool.Config
	list []tenants.Tenant
	log  *slog.Logger

	mu       sync.Mutex                    // of who opens or closes it
	kept     atomic.Pointer[tenants.Store] // nil: nothing was ever archived
	closed   bool
	archived prometheus.Counter
}

// Open adds an archive to a store, of which the configuration is given. Its folder is made when a trace is archived first.
func Open(s *tenants.Store, cfg spool.Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	a := &Store{Store: s, cfg: cfg, log: log.With("store", folder)}
	a.cfg.Dir, a.cfg.Retention, a.cfg.RetentionBytes = filepath.Join(cfg.Dir, folder), 0, 0
	for _, name := range s.Names() {
		a.list = append(a.list, tenants.Tenant{Name: name})
	}
	a.cfg.HeadBytes = headBytes * int64(1+len(a.list))
	a.archived = prometheus.NewCounter(prometheus.CounterOpts{Name: "clew_archive_traces_total", Help: "Traces that were archived."})
	reg.MustRegister(a.archived, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clew_archive_bytes", Help: "Bytes of archived traces on disk."}, a.bytes))
	if _, err := os.Stat(a.cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	_, err := a.open()
	return a, err
}

// open returns the archive, which it makes if need be.
func (a *Store) open() (*tenants.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, trace.Errorf(trace.Busy, "the store is being closed")
	}
	if kept := a.kept.Load(); kept != nil {
		return kept, nil
	}
	// Its metrics would be those of the store a second time, under the same names.
	kept, err := tenants.Open(a.cfg, a.list, a.log, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	a.kept.Store(kept)
	return kept, nil
}

// bytes returns how much all tenants' archived traces take.
func (a *Store) bytes() (sum float64) {
	kept := a.kept.Load()
	if kept == nil {
		return 0
	}
	for _, t := range append([]tenants.Tenant{{Name: trace.DefaultTenant}}, a.list...) {
		st, err := kept.Stats(trace.WithTenant(context.Background(), t.Name))
		if err == nil { // a tenant that is not there cannot be in the list
			sum += float64(st.Bytes)
		}
	}
	return sum
}

// Close closes the archive and the store.
func (a *Store) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	var err error
	if kept := a.kept.Load(); kept != nil {
		err = kept.Close()
	}
	return errors.Join(err, a.Store.Close())
}

// Trace returns a trace of the tenant's, from the archive if the store has none of its spans any more; see query.Traces.
func (a *Store) Trace(ctx context.Context, id trace.ID, r trace.Range) (*trace.Trace, error) {
	t, err := a.Store.Trace(ctx, id, r)
	if kept := a.kept.Load(); kept != nil && trace.KindOf(err) == trace.NotFound {
		return kept.Trace(ctx, id, r)
	}
	return t, err
}

// Archive keeps a trace of the tenant's as it is now: when it returns nil, that is on disk. A trace may be archived again, with what came of
// it since. The error is of kind NotFound when there is no such trace.
func (a *Store) Archive(ctx context.Context, id trace.ID) error {
	t, err := a.Store.Trace(ctx, id, trace.Range{})
	kept := a.kept.Load()
	if kept != nil {
		old, oldErr := kept.Trace(ctx, id, trace.Range{})
		if oldErr == nil && (trace.KindOf(err) == trace.NotFound || err == nil && len(old.Spans) >= len(t.Spans)) {
			return nil // it is there already
		}
	}
	if err != nil {
		return err
	}
	if kept == nil {
		if kept, err = a.open(); err != nil {
			return err
		}
	}
	for spans := range slices.Chunk(t.Spans, recordSpans) {
		if err := write(ctx, kept, spans); err != nil {
			return err
		}
	}
	a.archived.Inc()
	return nil
}

// write appends spans to the archive, in halves if they are too large for one record.
func write(ctx context.Context, kept *tenants.Store, spans []trace.Span) error {
	raw := trace.AppendTraces(nil, spans)
	if half := len(spans) / 2; half > 0 && len(raw) > recordBytes {
		if err := write(ctx, kept, spans[:half]); err != nil {
			return err
		}
		return write(ctx, kept, spans[half:])
	}
	var b trace.Batch
	if err := b.Index(raw, trace.Limits{SpanBytes: 1 << 30, Depth: 1 << 10}); err != nil { // the store took them with other limits once
		return fmt.Errorf("archive %d spans: %w", len(spans), err)
	}
	if n := b.Refused.Total(); n > 0 {
		return fmt.Errorf("archive %d spans: %d of them are refused", len(spans), n)
	}
	return kept.Append(ctx, &b)
}

// Delete deletes traces of the tenant's, from the archive as well; see spool.Spool.
func (a *Store) Delete(ctx context.Context, ids []trace.ID) (int, error) {
	if kept := a.kept.Load(); kept != nil {
		var there []trace.ID
		for _, id := range ids {
			_, err := kept.Trace(ctx, id, trace.Range{})
			if err == nil {
				there = append(there, id)
			} else if trace.KindOf(err) != trace.NotFound {
				return 0, err
			}
		}
		if _, err := kept.Delete(ctx, there); err != nil {
			return 0, err
		}
	}
	return a.Store.Delete(ctx, ids)
}
