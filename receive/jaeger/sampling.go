package jaeger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	wire "github.com/clewtrace/clew/wire/jaeger"
)

// Sampling answers clients that ask how to sample: from a strategies file, which is read again when it changes.
type Sampling struct {
	path     string // empty: there is none
	standard float64
	log      *slog.Logger
	now      atomic.Pointer[strategies]
	seen     os.FileInfo // of the file that was read last
	reloads  *prometheus.CounterVec
}

// maxStrategies bounds the file.
const maxStrategies = 16 << 20

// OpenSampling reads a strategies file; an empty path is none, and every client is told the standard rate. Errors name file, line and key.
func OpenSampling(path string, standard float64, log *slog.Logger) (*Sampling, error) {
	s := &Sampling{path: path, standard: standard, log: log, reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "clew_sampling_reloads_total", Help: "Times that a changed strategies file was read; after a failure the strategies before it hold.",
	}, []string{"result"})}
	s.reloads.WithLabelValues("ok")
	s.reloads.WithLabelValues("failed")
	s.now.Store(&strategies{standard: wire.Strategy{Rate: standard}})
	if path == "" {
		return s, nil
	}
	return s, s.load()
}

func (s *Sampling) load() error {
	in, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if s.seen, err = in.Stat(); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(in, maxStrategies+1))
	if err != nil {
		return err
	}
	if len(b) > maxStrategies {
		return fmt.Errorf("%s: is larger than %d bytes", s.path, maxStrategies)
	}
	parsed, err := parseStrategies(b, s.standard, s.log)
	if err != nil {
		return fmt.Errorf("%s:%w", s.path, err)
	}
	s.now.Store(parsed)
	return nil
}

// Watch reads the file again when it changes, until ctx is done. A file that is broken, or gone, is logged and counted once, and what was
// read before holds.
func (s *Sampling) Watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	gone := false
	for s.path != "" {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		st, err := os.Stat(s.path)
		switch {
		case err != nil && gone:
		case err != nil:
			gone = true
			s.failed(err)
		case gone || !os.SameFile(st, s.seen) || !st.ModTime().Equal(s.seen.ModTime()) || st.Size() != s.seen.Size():
			gone = false
			if err := s.load(); err != nil {
				s.seen = st // not again before it changes again
				s.failed(err)
				continue
			}
			s.reloads.WithLabelValues("ok").Inc()
			s.log.Info("sampling strategies were read again", "file", s.path)
		}
	}
	return nil
}

func (s *Sampling) failed(err error) {
	s.reloads.WithLabelValues("failed").Inc()
	s.log.Warn("sampling strategies cannot be read; those read before hold", "err", err)
}

func (s *Sampling) strategy(service string) *wire.Strategy { return s.now.Load().of(service) }

// ServeHTTP answers on port 5778, as Jaeger's agent did: at / as the oldest clients expect it, elsewhere as those of today do.
func (s *Sampling) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/baggageRestrictions":
		baggageRestrictions(w, req)
	case "/", "":
		s.answer(w, req, true)
	default:
		s.answer(w, req, false)
	}
}

func (s *Sampling) current(w http.ResponseWriter, req *http.Request) { s.answer(w, req, false) }

func (s *Sampling) answer(w http.ResponseWriter, req *http.Request, classic bool) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "ask with GET", http.StatusMethodNotAllowed)
		return
	}
	services := req.URL.Query()["service"]
	if len(services) != 1 {
		http.Error(w, "'service' parameter must be provided once", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.strategy(services[0]).JSON(classic))
}

// baggageRestrictions answers as Jaeger's agent does with its collector: with an error, upon which clients restrict no baggage. A list
// without entries would forbid all.
func baggageRestrictions(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "baggage restrictions are not implemented", http.StatusNotImplemented)
}
