package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unfinished is the folder in a new data folder that a restore fills, so that no server takes a part for the whole.
const unfinished = "restore.tmp"

// Pick returns the newest backup in a folder that is not newer than at, which is a name or its beginning; empty: the newest.
func Pick(dir, at string) (*Manifest, error) {
	names, err := List(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no backups", dir)
	}
	if at == "" {
		return Load(dir, names[len(names)-1])
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, at) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%d backups are named %s…; there are %s", len(found), at, strings.Join(names, ", "))
	}
	return Load(dir, found[0])
}

// Restoration is which backup is made a data folder, and where.
type Restoration struct {
	Dir    string // backup folder
	Backup *Manifest
	Data   string // data folder: empty, or not there
	Watch  func(Progress)
}

// Run makes the data folder. All is checked as it is copied; what is not whole does not become a data folder.
func (r *Restoration) Run(ctx context.Context) error {
	src, m, data := r.Dir, r.Backup, r.Data
	if err := vacant(data); err != nil {
		return err
	}
	for i := range m.Files { // before hours of copying
		f := &m.Files[i]
		if err := f.measure(src); err != nil {
			return err
		}
	}
	work := filepath.Join(data, unfinished)
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	for _, dir := range append(m.folders(), "blocks") {
		if err := os.MkdirAll(filepath.Join(work, filepath.FromSlash(dir)), 0o750); err != nil {
			return err
		}
	}
	var p Progress
	p.Total, _ = m.Totals()
	for i := range m.Files {
		f := &m.Files[i]
		if err := write(filepath.Join(work, filepath.FromSlash(f.Name)), func(to *os.File) error { return f.copyTo(ctx, src, to) }); err != nil {
			return errors.Join(err, os.RemoveAll(work))
		}
		p.Done += f.Bytes
		r.Watch(p)
	}
	return settle(work, data, m)
}

// folders returns those that the files are in.
func (m *Manifest) folders() (dirs []string) {
	for _, f := range m.Files {
		if dir := path.Dir(f.Name); dir != "." && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// settle gives the files their places, the blocks last, in one step: before it the folder has nothing, after it everything.
func settle(work, data string, m *Manifest) error {
	if err := vacant(data); err != nil { // a server may have been started on it
		return err
	}
	names := []string{"blocks"}
	for _, f := range m.Files {
		top, _, _ := strings.Cut(f.Name, "/")
		if !slices.Contains(names, top) {
			names = append(names, top)
		}
	}
	for _, name := range slices.Backward(names) {
		if err := os.Rename(filepath.Join(work, name), filepath.Join(data, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(work); err != nil {
		return err
	}
	return errors.Join(syncDir(data), syncDir(filepath.Dir(filepath.Clean(data))))
}

// vacant refuses a folder that has anything but what a restore left that was cut short, or a file system of its own.
func vacant(data string) error {
	entries, err := os.ReadDir(data)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != unfinished && e.Name() != "lost+found" {
			return fmt.Errorf("%s is not empty: it has %s; restore to a folder that is empty or not there", data, e.Name())
		}
	}
	return nil
}

// measure finds out whether the file is in a backup folder, and of the right length.
func (f *File) measure(dir string) error {
	st, err := os.Stat(f.path(dir))
	if err != nil {
		return fmt.Errorf("a file of the backup is missing: %w", err)
	}
	if st.Size() != f.Bytes {
		return fmt.Errorf("%s is damaged: it has %d bytes; want %d", f.path(dir), st.Size(), f.Bytes)
	}
	return nil
}

// copyTo copies the file out of a backup folder and checks it.
func (f *File) copyTo(ctx context.Context, dir string, to io.Writer) error {
	from, err := os.Open(f.path(dir))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // only read
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, sum), during(ctx, from)); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.Sum {
		return fmt.Errorf("%s is damaged: its checksum is wrong", f.path(dir))
	}
	return nil
}

// Checked is what a check of a backup folder found.
type Checked struct {
	Backups, Files int
	Bytes          int64
	Wrong          []error
}

// Verify reads all that the backups in a folder name, each file once.
func Verify(ctx context.Context, dir string, watch func(Progress)) (*Checked, error) {
	names, err := List(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no backups", dir)
	}
	c := &Checked{}
	seen := map[string]bool{} // by path and sum
	var files []File
	var p Progress
	for _, name := range names {
		m, err := Load(dir, name)
		if err != nil {
			c.Wrong = append(c.Wrong, err)
			continue
		}
		c.Backups++
		for _, f := range m.Files {
			if key := f.path(dir) + f.Sum; !seen[key] {
				seen[key] = true
				files = append(files, f)
				p.Total += f.Bytes
			}
		}
	}
	for i := range files {
		f := &files[i]
		err := f.measure(dir)
		if err == nil {
			err = f.copyTo(ctx, dir, io.Discard)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			c.Wrong = append(c.Wrong, err)
		}
		c.Files++
		c.Bytes += f.Bytes
		p.Done += f.Bytes
		watch(p)
	}
	return c, nil
}
