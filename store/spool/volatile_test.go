package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// volatile is a disk that knows what a loss of power would leave: of files the bytes that were synced, of folders the names. What was not synced
// may be there or not, in part, or as zeros; a file that was removed may be back until its folder is synced.
type volatile struct {
	dirs []string
	side string // keeps the removed files
	lies bool   // forgets what was synced as well: what the tests of the tests need

	mu      sync.Mutex
	synced  map[string]int64 // bytes of files
	names   map[string]bool  // that are durable
	removed map[string]string
	n       int
	fail    int // so many calls that change something will fail
	err     error
	faults  int // so many have failed
}

// newVolatile returns a disk on which all that is in dirs is durable.
func newVolatile(side string, dirs ...string) (*volatile, error) {
	v := &volatile{dirs: dirs, side: side, synced: map[string]int64{}, names: map[string]bool{}, removed: map[string]string{}}
	if err := os.MkdirAll(side, 0o750); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		entries, err := files(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			path := filepath.Join(dir, e.Name())
			v.synced[path], v.names[path] = info.Size(), true
		}
	}
	return v, nil
}

// files returns what lies in a folder, but for other folders and the lock.
func files(dir string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	return slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.IsDir() || e.Name() == "LOCK" }), err
}

// fault is asked before each call.
func (v *volatile) fault(op, path string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	changes := slices.Contains([]string{"create", "write", "sync", "truncate", "rename", "remove", "syncdir"}, op)
	if changes && v.fail > 0 {
		v.fail--
		v.faults++
		return v.err
	}
	switch op {
	case "create":
		v.synced[path] = 0
	case "sync":
		if st, err := os.Stat(path); err == nil {
			v.synced[path] = st.Size()
		}
	case "truncate": // to a size that is synced already
	case "rename":
		v.synced[path] = v.synced[path+tmpSuffix]
		return v.keep(path) // what has the name now
	case "remove":
		return v.keep(path)
	case "syncdir":
		for name := range v.names {
			if filepath.Dir(name) == path {
				delete(v.names, name)
			}
		}
		entries, err := files(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			v.names[filepath.Join(path, e.Name())] = true
		}
		for name := range v.removed {
			if filepath.Dir(name) == path {
				delete(v.removed, name)
			}
		}
	}
	return nil
}

// keep keeps a file that is about to be removed. v.mu is held.
func (v *volatile) keep(path string) error {
	if !v.names[path] {
		return nil
	}
	v.n++
	side := filepath.Join(v.side, fmt.Sprint(v.n))
	if err := os.Link(path, side); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	} else if err == nil {
		v.removed[path] = side
	}
	return nil
}

// breakDown makes the next n calls that change something fail.
func (v *volatile) breakDown(n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail, v.err = n, err
}

// broken reports whether calls are still to fail, and whether some have.
func (v *volatile) broken() (now, ever bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fail > 0, v.faults > 0
}

// losePower copies to another folder what would be there if the power went now, between two calls.
func (v *volatile) losePower(r *rand.Rand, from, to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, dir := range v.dirs {
		rel, err := filepath.Rel(from, dir)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(to, rel), 0o750); err != nil {
			return err
		}
		entries, err := files(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !v.names[path] && r.IntN(2) == 0 || v.lies && r.IntN(2) == 0 {
				continue
			}
			if err := v.survive(r, path, filepath.Join(to, rel, e.Name())); err != nil {
				return err
			}
		}
		for path, side := range v.removed {
			if filepath.Dir(path) != dir || r.IntN(2) == 0 {
				continue
			}
			if err := v.survive(r, side, filepath.Join(to, rel, filepath.Base(path))); err != nil {
				return err
			}
		}
	}
	return nil
}

// survive copies of a file what was synced, and of the rest something.
func (v *volatile) survive(r *rand.Rand, path, to string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // renamed or removed since
		return nil
	}
	if err != nil {
		return err
	}
	safe := int(min(v.synced[path], int64(len(raw))))
	if strings.HasPrefix(path, v.side) {
		safe = len(raw)
	}
	end := safe + r.IntN(len(raw)-safe+1)
	switch rest := raw[safe:end]; r.IntN(3) {
	case 0:
		end = safe
	case 1:
		clear(rest[r.IntN(len(rest)+1):])
	}
	return os.WriteFile(to, raw[:end], 0o600)
}

// errors that disks return.
var diskErrors = []error{syscall.EIO, syscall.ENOSPC}
