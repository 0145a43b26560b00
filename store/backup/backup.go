// Package backup copies the files of a running server's store into a folder, each once, and back into a new data folder.
//
// A backup folder has a manifest for each backup, named by its time, and in files/ what they name. A file appears under its name when it
// is whole and synced, and a manifest when all its files are there: a backup that is cut short leaves nothing that counts, and the next
// one goes on with what is there.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	format     = 1 // of a manifest
	fileDir    = "files"
	tmpSuffix  = ".tmp"
	manifest   = ".json"
	timeLayout = "20060102T150405.000Z"
)

// Manifest is one backup.
type Manifest struct {
	Name    string    `json:"-"` // its time, as the file is named
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	Files   []File    `json:"files"`
	Sum     string    `json:"sha256"` // of this, as compact JSON without the sum
}

// File is a file of a data folder.
type File struct {
	Name  string `json:"name"` // in the data folder, with slashes
	ID    string `json:"id"`   // what the server tells files of the same name apart by
	Bytes int64  `json:"bytes"`
	Spans int64  `json:"spans"`
	Sum   string `json:"sha256"`
}

// Totals returns the bytes and spans of a backup's files.
func (m *Manifest) Totals() (bytes, spans int64) {
	for _, f := range m.Files {
		bytes += f.Bytes
		spans += f.Spans
	}
	return bytes, spans
}

// path returns where in a backup folder the file lies.
func (f *File) path(dir string) string {
	return filepath.Join(dir, fileDir, f.ID+"-"+f.Name[strings.LastIndex(f.Name, "/")+1:])
}

// check refuses what no store names so: a manifest must not reach other files than those of a data folder.
func (f *File) check() error {
	name := regexp.MustCompile(`^(archive/)?(blocks/[0-9]{12}\.blk|[a-z]{1,32})$`)
	id := regexp.MustCompile(`^[0-9a-f]{32}$`)
	if !name.MatchString(f.Name) || !id.MatchString(f.ID) || f.Bytes < 0 {
		return fmt.Errorf("%q is no file of a data folder", f.Name)
	}
	return nil
}

func (m *Manifest) sum() (string, error) {
	c := *m
	c.Sum = ""
	raw, err := json.Marshal(&c)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), err
}

// List returns the names of the backups in a folder, oldest first.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), manifest)
		if _, err := time.Parse(timeLayout, name); ok && err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// Load reads a manifest and checks it.
func Load(dir, name string) (*Manifest, error) {
	path := filepath.Join(dir, name+manifest)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Name: name}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if m.Format > format {
		return nil, fmt.Errorf("%s has format %d; this version of clew reads up to %d", path, m.Format, format)
	}
	if sum, err := m.sum(); err != nil || sum != m.Sum {
		return nil, fmt.Errorf("%s is damaged: its checksum is wrong", path)
	}
	for i := range m.Files {
		if err := m.Files[i].check(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return m, nil
}

// loadAll returns the manifests that are whole, oldest first, and what is wrong with the others.
func loadAll(dir string) (all []*Manifest, err error) {
	names, err := List(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range names {
		m, err := Load(dir, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, m)
	}
	return all, errors.Join(errs...)
}

func (m *Manifest) save(dir string) error {
	m.Name = m.Created.UTC().Format(timeLayout)
	var err error
	if m.Sum, err = m.sum(); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, m.Name+manifest), func(f *os.File) error {
		_, err := f.Write(append(raw, '\n'))
		return err
	})
}

// write makes a file that appears whole and synced, or not at all.
func write(path string, fill func(f *os.File) error) error {
	f, err := os.OpenFile(path+tmpSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first fault is the one to tell
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Progress is how far a backup, a check or a restore is, in bytes.
type Progress struct{ Done, Total int64 }

// Taken is what a backup did.
type Taken struct {
	Manifest           *Manifest
	NewFiles, Removed  int
	NewBytes, Released int64 // copied; freed by removing old backups
	Damaged            error // older manifests that cannot be read; with them, nothing is removed
}

// Options is where a backup is taken from and to.
type Options struct {
	Admin string // the server's admin port, a URL or host:port
	Dir   string // backup folder; made if it is not there
	Keep  int    // newest backups that are kept; 0: all
	Watch func(Progress)

	Headers map[string]string // of each request, such as the one that names a tenant
	Client  *http.Client      // which calls the server; nil: http.DefaultClient
}

// Take backs a running server up. It copies the files that the folder does not have, and writes the manifest when all are there.
func Take(ctx context.Context, o Options) (*Taken, error) {
	s, err := dial(o)
	if err != nil {
		return nil, err
	}
	unlock, err := open(o.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	old, damaged := loadAll(o.Dir)
	files, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(ctx)
	known := map[string]string{} // sums by path
	for _, m := range old {
		for _, f := range m.Files {
			known[f.path(o.Dir)] = f.Sum
		}
	}
	t := &Taken{Damaged: damaged, Manifest: &Manifest{Format: format, Created: s.created, Files: files}}
	var p Progress
	p.Total, _ = t.Manifest.Totals()
	for i := range files {
		f := &files[i]
		fresh, err := s.obtain(ctx, f, o.Dir, known)
		if err != nil {
			return nil, err
		}
		if fresh {
			t.NewFiles++
			t.NewBytes += f.Bytes
		}
		p.Done += f.Bytes
		o.Watch(p)
	}
	if err := t.Manifest.save(o.Dir); err != nil {
		return nil, err
	}
	if o.Keep > 0 && damaged == nil {
		t.Removed, t.Released, err = prune(o.Dir, append(old, t.Manifest), o.Keep)
	}
	return t, err
}

// open makes a backup folder, locks it, and removes what was left unfinished.
func open(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(dir, fileDir), 0o750); err != nil {
		return nil, fmt.Errorf("make backup folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another backup to %s is under way", dir), lock.Close())
	}
	unlock = func() { _ = lock.Close() }
	for _, pattern := range []string{"*" + tmpSuffix, filepath.Join(fileDir, "*"+tmpSuffix)} {
		left, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is right
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				unlock()
				return nil, err
			}
		}
	}
	return unlock, nil
}

// obtain makes sure that a file is in the folder, and says whether it had to be copied.
func (s *server) obtain(ctx context.Context, f *File, dir string, known map[string]string) (fresh bool, err error) {
	path := f.path(dir)
	if st, err := os.Stat(path); err == nil && st.Size() == f.Bytes {
		if f.Sum = known[path]; f.Sum != "" {
			return false, nil
		}
		f.Sum, err = sumOf(ctx, path) // of a backup that was cut short
		return false, err
	}
	if err := write(path, func(to *os.File) error { return s.fetch(ctx, f, to) }); err != nil {
		return false, fmt.Errorf("copy %s: %w", f.Name, err)
	}
	return true, nil
}

// sumOf reads a file and returns its SHA-256 in hexadecimal.
func sumOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(sum, during(ctx, f)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// during returns a reader that ends with ctx.
func during(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readerFunc func(b []byte) (int, error)

// Read calls the function.
func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// prune removes all backups, which are in the order in which they were taken, but the last, and the files that only they have.
func prune(dir string, all []*Manifest, keep int) (removed int, released int64, err error) {
	old := all[:max(0, len(all)-keep)]
	needed := map[string]bool{}
	for _, m := range all[len(old):] {
		for _, f := range m.Files {
			needed[f.path(dir)] = true
		}
	}
	for _, m := range old { // first, so that no manifest names what is not there
		if err := os.Remove(filepath.Join(dir, m.Name+manifest)); err != nil {
			return removed, released, err
		}
		removed++
	}
	if err := syncDir(dir); err != nil {
		return removed, released, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, fileDir))
	if err != nil {
		return removed, released, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, fileDir, e.Name())
		info, err := e.Info()
		if needed[path] || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, released, err
		}
		if err := os.Remove(path); err != nil {
			return removed, released, err
		}
		released += info.Size()
	}
	return removed, released, nil
}
