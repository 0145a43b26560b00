package wal

import (
	"errors"
	"io/fs"
	"os"
)

// Disk is the file system as the store uses it. In tests its calls fail, and a crash may come between any two of them.
type Disk struct {
	Fault func(op, path string) error // asked before each call that can fail; nil: none does
}

func (d *Disk) ask(op, path string) error {
	if d.Fault == nil {
		return nil
	}
	if err := d.Fault(op, path); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

// File is an open file.
type File struct {
	*os.File
	disk *Disk
}

// Open opens a file to read.
func (d *Disk) Open(path string) (*File, error) { return d.OpenFile(path, os.O_RDONLY) }

// Create makes a file, or an empty one of what is there.
func (d *Disk) Create(path string) (*File, error) {
	return d.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
}

// OpenFile opens a file with the flags of os.OpenFile, making it for its owner and group.
func (d *Disk) OpenFile(path string, flag int) (*File, error) {
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	if err := d.ask(op, path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flag, 0o640)
	if err != nil {
		return nil, err
	}
	return &File{f, d}, nil
}

// Remove deletes a file.
func (d *Disk) Remove(path string) error {
	if err := d.ask("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}

// Rename gives a file another name, which may be taken.
func (d *Disk) Rename(from, to string) error {
	if err := d.ask("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// ReadDir lists a folder, sorted by name.
func (d *Disk) ReadDir(dir string) ([]os.DirEntry, error) {
	if err := d.ask("readdir", dir); err != nil {
		return nil, err
	}
	return os.ReadDir(dir)
}

// SyncDir makes the names in a folder durable.
func (d *Disk) SyncDir(dir string) error {
	if err := d.ask("syncdir", dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Write writes all of b. A call that fails in a test leaves half of it, as a full disk does.
func (f *File) Write(b []byte) (int, error) {
	if err := f.disk.ask("write", f.Name()); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

// Sync makes the file's bytes durable.
func (f *File) Sync() error {
	if err := f.disk.ask("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// Truncate changes the file's size.
func (f *File) Truncate(size int64) error {
	if err := f.disk.ask("truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Seek sets where the next Write goes.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if err := f.disk.ask("seek", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Seek(offset, whence)
}

// Read reads on.
func (f *File) Read(b []byte) (int, error) {
	if err := f.disk.ask("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

// ReadAt reads at an offset.
func (f *File) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.disk.ask("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

// Stat says how long the file is.
func (f *File) Stat() (os.FileInfo, error) {
	if err := f.disk.ask("stat", f.Name()); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

// Close closes the file, also where it is to fail: a failed close leaves none open.
func (f *File) Close() error {
	return errors.Join(f.disk.ask("close", f.Name()), f.File.Close())
}

// FileHeader returns the 8 bytes that a file begins with. The version's complement follows it, so that a damaged byte is not
// taken for a version that is yet to come.
func FileHeader(magic string, version byte) []byte {
	return append([]byte(magic), version, ^version, 0, 0)
}

// HeaderVersion returns the version in a header, or false when that is damaged.
func HeaderVersion(magic string, h []byte) (version byte, ok bool) {
	if len(h) < len(magic)+4 || string(h[:len(magic)]) != magic || h[4] != ^h[5] {
		return 0, false
	}
	return h[4], h[4] > 0
}
