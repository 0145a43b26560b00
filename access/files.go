package access

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Files reads files again when what is in them changes: certificates, authorities and credentials are renewed by others, who replace
// files, or, as Kubernetes does, the link by which they are reached. What is in them is looked at, so that any way of replacing will do.
type Files struct {
	log *slog.Logger
	mu  sync.Mutex
	all []*fileSet
}

// fileSet is files that belong together: of a certificate without its key nothing can be made.
type fileSet struct {
	paths    []string
	use      func(contents [][]byte) error // makes use of them, or says what is wrong and changes nothing
	failures prometheus.Counter
	what     []any // attributes of the log's lines

	seen  [sha256.Size]byte // of what was used or refused last
	state string            // what was wrong with it; empty: it is in use
}

// NewFiles returns a set of no files.
func NewFiles(log *slog.Logger) *Files { return &Files{log: log} }

// add reads a set of files for the first time, and has it looked at from now on. An error is of this first time.
func (f *Files) add(s *fileSet) error {
	contents, sum, err := s.read()
	if err == nil {
		err = s.use(contents)
	}
	if err != nil {
		return err
	}
	s.seen = sum
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, s)
	return nil
}

// Run looks at all files every so often, until ctx is done.
func (f *Files) Run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.Look()
		}
	}
}

// Look reads those files again that have changed. Where what is new is no good, what was there before stays in use.
func (f *Files) Look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.all {
		s.look(f.log)
	}
}

// look reads a set. It is tried twice: a set may be replaced while it is read.
func (s *fileSet) look(log *slog.Logger) {
	var sum [sha256.Size]byte
	var err error
	for range 2 {
		var contents [][]byte
		if contents, sum, err = s.read(); err == nil {
			if sum == s.seen && s.state == "" {
				return
			}
			err = s.use(contents)
		}
		if err == nil {
			s.seen, s.state = sum, ""
			log.Info("files were read again", s.what...)
			return
		}
	}
	if sum == s.seen && s.state == err.Error() {
		return // as it was said
	}
	s.seen, s.state = sum, err.Error()
	s.failures.Inc()
	log.Error("files have changed and are no good; what they had before stays in use", append([]any{"err", err}, s.what...)...)
}

// read returns what is in the files, and a hash of it.
func (s *fileSet) read() (contents [][]byte, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, path := range s.paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, sum, err
		}
		one := sha256.Sum256(raw)
		h.Write(one[:])
		contents = append(contents, raw)
	}
	return contents, [sha256.Size]byte(h.Sum(nil)), nil
}
