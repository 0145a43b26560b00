// Package tenants keeps the traces of each tenant in a spool of its own and hands each call to that of the tenant in its context.
//
// The tenant trace.DefaultTenant has the data folder itself, as if there were no others; each other one a folder in it:
//
//	DATA/wal, DATA/blocks, …    default
//	DATA/tenants/NAME/wal, …    NAME
//
// Nothing but the processor is shared: a tenant's log, heads, blocks, deletions and retention are its own, so that no fault can mix
// the data of two. There are those tenants that are configured and no others: who sends names cannot make folders.
package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/store/spool"
	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// Tenant is one beside the default, and what is kept of it.
type Tenant struct {
	Name           string
	Retention      time.Duration // as spool.Config has it: 0: for ever
	RetentionBytes int64         // 0: no limit
}

// maxName is how long a name may be: one of a folder, and of a label of metrics.
const maxName = 64

// CheckName says what is wrong with a tenant's name, if anything is.
func CheckName(name string) error {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}
	switch {
	case name == "" || len(name) > maxName || strings.ContainsFunc(name, strange) || name == "." || name == "..":
		return fmt.Errorf("%.80q is no tenant's name; want 1 to %d letters, digits, and -_. without others", name, maxName)
	case name == trace.DefaultTenant:
		return fmt.Errorf("there is always a tenant %s, whose retention is that of store; want another name", name)
	}
	return nil
}

// Store is the spools of all tenants. Its methods may be called at the same time. The error is of kind UnknownTenant when a context's
// tenant is not configured.
type Store struct {
	spools map[string]*spool.Spool
	keep   map[string]Tenant
}

// Open opens the default tenant's spool in cfg.Dir, and those of the others in folders of it: each with cfg's settings, its own retention,
// and an equal share of cfg.HeadBytes. It replays their logs and says what it found. Metrics have a label "tenant" when there are others.
func Open(cfg spool.Config, others []Tenant, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	s := &Store{spools: map[string]*spool.Spool{}, keep: map[string]Tenant{}}
	dir := filepath.Join(cfg.Dir, "tenants")
	cfg.HeadBytes /= int64(1 + len(others))
	all := append([]Tenant{{trace.DefaultTenant, cfg.Retention, cfg.RetentionBytes}}, others...)
	for i, t := range all {
		log, reg := log, reg
		if len(others) > 0 {
			log, reg = log.With("tenant", t.Name), prometheus.WrapRegistererWith(prometheus.Labels{"tenant": t.Name}, reg)
		}
		cfg := cfg
		var err error
		if i > 0 { // the default's lock is held: nobody else is in its folder
			cfg.Dir, cfg.Retention, cfg.RetentionBytes = filepath.Join(dir, t.Name), t.Retention, t.RetentionBytes
			err = errors.Join(CheckName(t.Name), makeFolder(dir))
		}
		if err == nil {
			s.spools[t.Name], err = spool.Open(cfg, log, reg)
		}
		if err != nil {
			if i > 0 {
				err = fmt.Errorf("tenant %s: %w", t.Name, err)
			}
			delete(s.spools, t.Name) // a nil pointer
			return nil, errors.Join(err, s.Close())
		}
		s.keep[t.Name] = t
	}
	return s, s.lookForOthers(dir, log)
}

// makeFolder makes the folder of tenants, durably (as a spool does with its own).
func makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o750); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("make the folder of tenants: %w", err)
	}
	return (&wal.Disk{}).SyncDir(filepath.Dir(dir))
}

// lookForOthers says which data there is that nobody can ask for, and no retention deletes.
func (s *Store) lookForOthers(dir string, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("read the folder of tenants: %w", err), s.Close())
	}
	for _, e := range entries {
		if s.spools[e.Name()] == nil {
			log.Warn("a tenant that is not configured has data: nobody can ask for it, and it is kept for ever; configure the tenant, or delete the folder",
				"tenant", e.Name(), "folder", filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

// Close closes all spools.
func (s *Store) Close() error {
	var errs []error
	for name, p := range s.spools {
		if err := p.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the store of tenant %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// of returns the spool of a context's tenant. A name is one exactly, or none.
func (s *Store) of(ctx context.Context) (*spool.Spool, error) {
	name := trace.TenantOf(ctx)
	if p := s.spools[name]; p != nil {
		return p, nil
	}
	return nil, trace.Errorf(trace.UnknownTenant, "there is no tenant %.80q; Clew's setting tenants.list says which there are", name)
}

// Append stores a batch of the tenant's; see spool.Spool.
func (s *Store) Append(ctx context.Context, b *trace.Batch) error {
	p, err := s.of(ctx)
	if err != nil {
		return err
	}
	return p.Append(ctx, b)
}

// Delete deletes traces of the tenant's; see spool.Spool.
func (s *Store) Delete(ctx context.Context, ids []trace.ID) (int, error) {
	p, err := s.of(ctx)
	if err != nil {
		return 0, err
	}
	return p.Delete(ctx, ids)
}

// Deleted returns what tells whether a trace of the tenant's was deleted; nil when none was.
func (s *Store) Deleted(ctx context.Context) func(trace.ID) bool {
	if p := s.spools[trace.TenantOf(ctx)]; p != nil {
		return p.Deleted()
	}
	return nil
}

// Deletions returns a number that grows with each deletion of any tenant.
func (s *Store) Deletions() (n uint64) {
	for _, p := range s.spools {
		n += p.Deletions()
	}
	return n
}

// Names returns the names of all tenants but the default, sorted.
func (s *Store) Names() []string {
	names := slices.Sorted(maps.Keys(s.keep))
	return slices.DeleteFunc(names, func(n string) bool { return n == trace.DefaultTenant })
}

// Retention returns how long, and how much, is kept of the tenant's; 0 is no limit.
func (s *Store) Retention(ctx context.Context) (age time.Duration, bytes int64) {
	t := s.keep[trace.TenantOf(ctx)]
	return t.Retention, t.RetentionBytes
}

// Snapshot returns the files of the tenant's spool; see spool.Spool.
func (s *Store) Snapshot(ctx context.Context) ([]spool.File, error) {
	p, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return p.Snapshot(ctx)
}

// Trace returns a trace of the tenant's; see query.Traces.
func (s *Store) Trace(ctx context.Context, id trace.ID, r trace.Range) (*trace.Trace, error) {
	p, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return p.Trace(ctx, id, r)
}

// Scan yields traces of the tenant's; see query.Traces.
func (s *Store) Scan(ctx context.Context, sc trace.Scan, rep *trace.ScanReport) iter.Seq2[*trace.Trace, error] {
	p, err := s.of(ctx)
	if err != nil {
		return func(yield func(*trace.Trace, error) bool) { yield(nil, err) }
	}
	return p.Scan(ctx, sc, rep)
}

// Tables hands out spans of the tenant's as columns; see query.Traces.
func (s *Store) Tables(ctx context.Context, sc trace.Scan, rep *trace.ScanReport, v trace.Visitor) error {
	p, err := s.of(ctx)
	if err != nil {
		return err
	}
	return p.Tables(ctx, sc, rep, v)
}

// Services returns the tenant's services; see query.Catalog.
func (s *Store) Services(ctx context.Context) ([]string, error) {
	p, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return p.Services(ctx)
}

// Operations returns the operations of a service of the tenant's; see query.Catalog.
func (s *Store) Operations(ctx context.Context, service string) ([]trace.Operation, error) {
	p, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return p.Operations(ctx, service)
}

// Attributes returns statistics of the tenant's attributes; see query.Catalog.
func (s *Store) Attributes(ctx context.Context, q trace.AttrQuery) (*trace.AttrStats, error) {
	p, err := s.of(ctx)
	if err != nil {
		return nil, err
	}
	return p.Attributes(ctx, q)
}

// Stats says what is there of the tenant's.
func (s *Store) Stats(ctx context.Context) (trace.Stats, error) {
	p, err := s.of(ctx)
	if err != nil {
		return trace.Stats{}, err
	}
	return p.Stats(ctx)
}
