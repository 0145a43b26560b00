package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/clewtrace/clew/trace"
)

// File is a file of a snapshot. It can be read for as long as it is held, even when the store has deleted it: the system keeps its bytes.
type File struct {
	Name    string // in the data folder, with slashes
	ID      string // 16 bytes in hexadecimal, by which files of the same name and length with other bytes are told apart
	Bytes   int64
	Spans   int64 // 0: not a block
	Content io.ReaderAt
}

// Snapshot returns the files that, in a folder of their own, are the store with all that was acknowledged before the call. It makes a block of what
// is in memory and waits until that is written. Merges and expiry go on meanwhile and do not change it.
func (s *Spool) Snapshot(ctx context.Context) ([]File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cutDone.Broadcast()
	})()
	last := s.state.Load().open.segment
	if !s.closed && s.state.Load().open.spans() > 0 {
		s.freeze()
	}
	for {
		frozen := s.state.Load().frozen
		if s.closed || ctx.Err() != nil {
			return nil, &trace.Error{Kind: trace.Busy, Msg: "what is in memory was not made a block in time, or the store is being closed", After: 5 * time.Second, Err: ctx.Err()}
		}
		if len(frozen) == 0 || frozen[0].segment > last {
			return s.files()
		}
		s.cutDone.Wait()
	}
}

// files returns the blocks, and the deleted traces as they are now or were before: what is forgotten of them, no block has. The caller holds s.mu.
func (s *Spool) files() (files []File, err error) {
	deleted, err := os.ReadFile(filepath.Join(s.cfg.Dir, deletedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		files = append(files, File{deletedName, fileID(deleted), int64(len(deleted)), 0, bytes.NewReader(deleted)})
	}
	for _, b := range s.state.Load().blocks {
		files = append(files, File{"blocks/" + filepath.Base(b.path), b.id, b.size, b.footer.Spans, b.file})
	}
	return files, nil
}

func fileID(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
