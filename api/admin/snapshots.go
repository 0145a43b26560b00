package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/clewtrace/clew/api/openapi"
	"github.com/clewtrace/clew/trace"
)

// File is a file of a snapshot, as the store has it.
type File struct {
	Name    string      `json:"name" doc:"in the data folder, with slashes"`
	ID      string      `json:"id" doc:"equal where name and bytes are equal: the same file"`
	Bytes   int64       `json:"bytes"`
	Spans   int64       `json:"spans"`
	Content io.ReaderAt `json:"-"`
}

const (
	// snapshotIdle is how long a snapshot is kept that nobody reads from: the disk keeps its files, also deleted ones.
	snapshotIdle = time.Hour
	// maxSnapshots bounds them. One backup needs one; a backup that was killed leaves one.
	maxSnapshots = 4
	// snapshotQuiet is how long nobody must have read from a snapshot that is to make room for another.
	snapshotQuiet = time.Minute
)

// snapshots keeps consistent sets of files of the store for as long as somebody copies them. None outlives the process.
type snapshots struct {
	log         *slog.Logger
	idle, quiet time.Duration
	take        func(ctx context.Context) ([]File, error)

	mu   sync.Mutex
	kept map[string]*snapshot
	next int // snapshots being taken
}

type snapshot struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created" form:"date"`
	Files   []File    `json:"files"`
	end     *time.Timer
	used    time.Time // when it was last read from
	readers int
}

// RegisterSnapshots adds the calls of backups to the admin port's handler; take takes a snapshot of the store.
func RegisterSnapshots(mux *http.ServeMux, log *slog.Logger, take func(ctx context.Context) ([]File, error)) {
	newSnapshots(log, take).register(mux)
}

func newSnapshots(log *slog.Logger, take func(ctx context.Context) ([]File, error)) *snapshots {
	return &snapshots{log: log, take: take, idle: snapshotIdle, quiet: snapshotQuiet, kept: map[string]*snapshot{}}
}

func (s *snapshots) register(mux *http.ServeMux) {
	handlers, calls := map[string]http.HandlerFunc{"snapshot": s.create, "snapshot_file": s.read, "drop_snapshot": s.drop}, snapshotCalls()
	wrapped := map[string]http.Handler{}
	for i := range calls {
		wrapped[calls[i].Name] = sameOrigin(checked(&calls[i], handlers[calls[i].Name]))
	}
	register(mux, calls, wrapped)
}

// checked lets requests through whose parameters are right.
func checked(c *openapi.Call, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := c.Read(r); err != nil {
			refuse(w, http.StatusBadRequest, trace.Invalid.String(), trace.ErrorOf(err).Msg)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// sameOrigin refuses what a page of another origin sends that a browser has open.
func sameOrigin(h http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "forbidden", "a page of another origin may not do that")
	}))
	return guard.Handler(h)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	var e openapi.Error
	e.Error.Kind, e.Error.Message = kind, message
	_ = json.NewEncoder(w).Encode(e) // the client may be gone
}

// reserve reports whether there may be another snapshot now; its place is taken then.
func (s *snapshots) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept)+s.next >= maxSnapshots && !s.makeRoom() {
		return false
	}
	s.next++
	return true
}

// makeRoom drops the snapshot that was left longest, if one was left. The caller holds s.mu.
func (s *snapshots) makeRoom() bool {
	var left *snapshot
	for _, shot := range s.kept {
		if shot.readers == 0 && time.Since(shot.used) >= s.quiet && (left == nil || shot.used.Before(left.used)) {
			left = shot
		}
	}
	if left == nil {
		return false
	}
	s.remove(left)
	return true
}

// remove drops a snapshot that was not given back. The caller holds s.mu.
func (s *snapshots) remove(shot *snapshot) {
	shot.end.Stop()
	delete(s.kept, shot.ID)
	s.log.Warn("snapshot dropped: nobody has read from it for long", "id", shot.ID)
}

func (s *snapshots) create(w http.ResponseWriter, r *http.Request) {
	if !s.reserve() {
		w.Header().Set("Retry-After", "60")
		refuse(w, http.StatusServiceUnavailable, "busy", "there are 4 snapshots already, and all are in use")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a block takes as long as it takes; the deadline is of the request
	shot := &snapshot{ID: rand.Text(), Created: time.Now().UTC()}
	var err error
	shot.Files, err = s.take(r.Context())
	s.mu.Lock()
	if s.next--; err == nil {
		s.kept[shot.ID], shot.used = shot, time.Now()
		shot.end = time.AfterFunc(s.idle, func() { s.expire(shot) })
	}
	s.mu.Unlock()
	if e, ok := errors.AsType[*trace.Error](err); ok && e.Kind == trace.Busy {
		refuse(w, http.StatusServiceUnavailable, "busy", e.Msg)
		return
	}
	if trace.KindOf(err) == trace.UnknownTenant {
		refuse(w, http.StatusForbidden, trace.UnknownTenant.String(), trace.ErrorOf(err).Msg)
		return
	}
	if err != nil {
		s.log.Error("snapshot cannot be taken", "err", err)
		refuse(w, http.StatusInternalServerError, "internal", "internal error; see Clew's log")
		return
	}
	s.log.Info("snapshot taken", "id", shot.ID, "files", len(shot.Files))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(shot) // a client that is gone lets it expire
}

// expire drops a snapshot that nobody has read from for long.
func (s *snapshots) expire(shot *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shot.readers > 0 || s.kept[shot.ID] != shot {
		return
	}
	s.remove(shot)
}

// find returns a file of a snapshot, which stays until done is called.
func (s *snapshots) find(id, name string) (f *File, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shot := s.kept[id]
	if shot == nil {
		return nil, nil
	}
	for i := range shot.Files { // there is no other way to a file: a name is compared, and never a path
		if shot.Files[i].Name != name {
			continue
		}
		shot.readers++
		return &shot.Files[i], func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			shot.readers--
			shot.used = time.Now()
			shot.end.Reset(s.idle)
		}
	}
	return nil, nil
}

// read sends a file, or a range of it, with the sum of all of it.
func (s *snapshots) read(w http.ResponseWriter, r *http.Request) {
	f, done := s.find(r.PathValue("id"), r.PathValue("name"))
	if f == nil {
		refuse(w, http.StatusNotFound, "not_found", "there is no such snapshot, any more, or no such file in it")
		return
	}
	defer done()
	content := io.NewSectionReader(f.Content, 0, f.Bytes)
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		s.log.Error("file of a snapshot cannot be read", "file", f.Name, "err", err)
		refuse(w, http.StatusInternalServerError, "internal", "the file cannot be read; see Clew's log")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum.Sum(nil))+":")
	h.Set("ETag", `"`+f.ID+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
}

func (s *snapshots) drop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	shot := s.kept[id]
	delete(s.kept, id)
	s.mu.Unlock()
	if shot == nil {
		refuse(w, http.StatusNotFound, "not_found", "there is no such snapshot, any more")
		return
	}
	shot.end.Stop()
	w.WriteHeader(http.StatusNoContent)
}
