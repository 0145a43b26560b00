// Package archive keeps chosen traces for ever, beside a store whose retention deletes all others in time.
//
// What is archived is a copy, in a spool of its own in the folder of its tenant:
//
//	DATA/archive/wal, DATA/archive/blocks, …    default
//	DATA/tenants/NAME/archive/wal, …            NAME
//
// It is read when the store itself has a trace no longer: searches do not look there.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
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
	log  *slog.Logger
	dirs map[string]string // of archives, by tenant

	mu       sync.Mutex                              // of who opens or closes one
	kept     atomic.Pointer[map[string]*spool.Spool] // by tenant: those of which something was ever archived; replaced, but not changed
	closed   bool
	archived prometheus.Counter
}

// Open adds an archive to a store, of which the configuration is given. A tenant's folder is made when the first of its traces is archived.
func Open(s *tenants.Store, cfg spool.Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	a := &Store{Store: s, cfg: cfg, log: log.With("store", folder), dirs: map[string]string{trace.DefaultTenant: filepath.Join(cfg.Dir, folder)}}
	a.cfg.Retention, a.cfg.RetentionBytes, a.cfg.HeadBytes = 0, 0, headBytes
	a.kept.Store(&map[string]*spool.Spool{})
	for _, name := range s.Names() {
		a.dirs[name] = filepath.Join(cfg.Dir, "tenants", name, folder)
	}
	a.archived = prometheus.NewCounter(prometheus.CounterOpts{Name: "clew_archive_traces_total", Help: "Traces that were archived."})
	reg.MustRegister(a.archived, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clew_archive_bytes", Help: "Bytes of archived traces on disk."}, a.bytes))
	for name, dir := range a.dirs {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if _, err := a.open(name); err != nil {
			return nil, errors.Join(err, a.closeKept())
		}
	}
	return a, nil
}

// of returns the archive of the context's tenant; nil if there is none.
func (a *Store) of(ctx context.Context) *spool.Spool { return (*a.kept.Load())[trace.TenantOf(ctx)] }

// open returns a tenant's archive, which it makes if need be. The tenant is one of those configured.
func (a *Store) open(name string) (*spool.Spool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, trace.Errorf(trace.Busy, "the store is being closed")
	}
	if kept := (*a.kept.Load())[name]; kept != nil {
		return kept, nil
	}
	cfg := a.cfg
	cfg.Dir = a.dirs[name]
	// Its metrics would be those of the store a second time, under the same names.
	kept, err := spool.Open(cfg, a.log.With("tenant", name), prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("open the archive of tenant %s: %w", name, err)
	}
	next := maps.Clone(*a.kept.Load())
	next[name] = kept
	a.kept.Store(&next)
	return kept, nil
}

// bytes returns how much all archived traces take.
func (a *Store) bytes() (sum float64) {
	for _, kept := range *a.kept.Load() {
		if st, err := kept.Stats(context.Background()); err == nil { // it has no other error than that of the context
			sum += float64(st.Bytes)
		}
	}
	return sum
}

// Close closes the archive and the store.
func (a *Store) Close() error { return errors.Join(a.closeKept(), a.Store.Close()) }

func (a *Store) closeKept() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	var errs []error
	for name, kept := range *a.kept.Load() {
		if err := kept.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the archive of tenant %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Trace returns a trace of the tenant's: what the store has of it, and what was archived and is gone from there; see query.Traces.
func (a *Store) Trace(ctx context.Context, id trace.ID, r trace.Range) (*trace.Trace, error) {
	t, err := a.Store.Trace(ctx, id, r)
	kept := a.of(ctx)
	if kept == nil || err != nil && trace.KindOf(err) != trace.NotFound {
		return t, err
	}
	old, oldErr := kept.Trace(ctx, id, r)
	switch {
	case trace.KindOf(oldErr) == trace.NotFound:
		return t, err
	case oldErr != nil:
		return nil, oldErr
	case t == nil:
		return old, nil
	}
	t.Spans = append(t.Spans, beyond(t.Spans, old.Spans)...)
	return t, nil
}

// beyond returns those of more that are not in spans.
func beyond(spans, more []trace.Span) (out []trace.Span) {
	both := slices.Concat(spans, more)
	for _, i := range trace.Distinct(both) {
		if i >= len(spans) {
			out = append(out, both[i])
		}
	}
	return out
}

// Archive keeps a trace of the tenant's as it is now: when it returns nil, that is on disk. A trace may be archived again, with what came of
// it since. The error is of kind NotFound when there is no such trace.
func (a *Store) Archive(ctx context.Context, id trace.ID) error {
	t, err := a.Store.Trace(ctx, id, trace.Range{})
	if err != nil && trace.KindOf(err) != trace.NotFound {
		return err
	}
	kept := a.of(ctx)
	if kept != nil {
		old, oldErr := kept.Trace(ctx, id, trace.Range{})
		switch {
		case oldErr == nil && t == nil:
			return nil // it is there already
		case oldErr == nil:
			t.Spans = beyond(old.Spans, t.Spans)
		case trace.KindOf(oldErr) != trace.NotFound:
			return oldErr
		}
	}
	if err != nil {
		return err
	}
	if kept == nil {
		if kept, err = a.open(trace.TenantOf(ctx)); err != nil {
			return err
		}
	}
	for spans := range slices.Chunk(t.Spans, recordSpans) {
		if err := write(ctx, kept, spans); err != nil {
			return err
		}
	}
	if len(t.Spans) > 0 {
		a.archived.Inc()
	}
	return nil
}

// write appends spans to the archive, in halves if they are too large for one record.
func write(ctx context.Context, kept *spool.Spool, spans []trace.Span) error {
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
	if kept := a.of(ctx); kept != nil {
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

// Snapshot returns the files of the tenant's store and, in the folder archive, those of what was archived of it; see spool.Spool.
func (a *Store) Snapshot(ctx context.Context) ([]spool.File, error) {
	files, err := a.Store.Snapshot(ctx)
	kept := a.of(ctx)
	if err != nil || kept == nil {
		return files, err
	}
	more, err := kept.Snapshot(ctx)
	for _, f := range more {
		f.Name = folder + "/" + f.Name
		files = append(files, f)
	}
	return files, err
}
