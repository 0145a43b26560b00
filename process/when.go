package process

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/trace"
)

// When says which batches, and which resources of them, a step is for. An empty list is all.
type When struct {
	Tenants, Services []trace.Glob
}

func matchAny(globs []trace.Glob, name []byte) bool {
	for _, g := range globs {
		if g.Match(name) {
			return true
		}
	}
	return len(globs) == 0
}

// how many of a batch's resources a step is for.
type which uint8

const (
	none which = iota
	some
	all
)

func (w *When) tenant(name string) bool {
	return len(w.Tenants) == 0 || matchAny(w.Tenants, []byte(name))
}

func (w *When) service(b *trace.Batch, resource int) bool {
	return matchAny(w.Services, Service(b.Bytes(b.Resources[resource].Body)))
}

func (w *When) resources(b *trace.Batch) which {
	if len(w.Services) == 0 {
		return all
	}
	n := 0
	for i := range b.Resources {
		if w.service(b, i) {
			n++
		}
	}
	switch n {
	case 0:
		return none
	case len(b.Resources):
		return all
	}
	return some
}

// Service returns the service.name that the body of a Resource message has, as trace.Resource.Service does; it may lie in body.
func Service(body []byte) []byte {
	for rest := body; len(rest) > 0; {
		f, after := next(rest)
		rest = after
		if f.num != 1 || f.wire != protowire.BytesType {
			continue
		}
		key, value := keyValue(f.body)
		if string(key) != "service.name" {
			continue
		}
		if text, ok := textOf(value); ok && len(text) > 0 {
			return text
		}
		return otherService(body)
	}
	return []byte(trace.UnknownService)
}

// otherService returns a name that is no text.
func otherService(body []byte) []byte {
	r, err := trace.DecodeResource(body)
	if err != nil {
		return []byte(trace.UnknownService)
	}
	return []byte(r.Service())
}

// limitedLog warns of the same thing now and then.
type limitedLog struct {
	mu    sync.Mutex
	last  time.Time
	since int // errors that were not logged since
}

const quietFor = 10 * time.Second

func (l *limitedLog) warn(log *slog.Logger, step string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < quietFor {
		l.since++
		return
	}
	log.LogAttrs(context.Background(), slog.LevelWarn, "processing step did not succeed; its batch went on without it", slog.String("step", step),
		slog.Any("err", err), slog.Int("others_since_last", l.since))
	l.last, l.since = time.Now(), 0
}
