package forward

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clewtrace/clew/store/spool/wal"
	"github.com/clewtrace/clew/trace"
)

// ViaHeader lists the Clews that the spans of a request have been at, by their IDs, with commas between them, the last one last. In gRPC it is
// metadata. A Clew sends on nothing that was at it before, so that two that forward to each other do not do so for ever.
const ViaHeader = "X-Clew-Via"

// maxVia is how many Clews spans may have been at and still be sent on. It ends loops, too, in which a header is cut short on the way.
const maxVia = 8

// serverID is the ID of one Clew: random, and kept with its queues.
type serverID [8]byte

func (id serverID) String() string { return hex.EncodeToString(id[:]) }

// via is where spans have been, in order.
type via []serverID

func (v via) String() string {
	all := make([]string, len(v))
	for i, id := range v {
		all[i] = id.String()
	}
	return strings.Join(all, ", ")
}

// parseVia reads a ViaHeader. Of what makes no sense each part counts as a server, so that a loop through what garbles it has an end.
func parseVia(values []string) (v via) {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if len(v) == maxVia {
				return v
			}
			var id serverID
			if part = strings.TrimSpace(part); len(part) == hex.EncodedLen(len(id)) {
				_, _ = hex.Decode(id[:], []byte(part)) // an ID of zeros is as good as any
			}
			v = append(v, id)
		}
	}
	return v
}

// round reports whether spans must not be sent on by a server: they have been there, or at too many others.
func (v via) round(id serverID) bool { return len(v) >= maxVia || slices.Contains(v, id) }

type viaKey struct{}

// Marked returns a handler that notes where the spans of a request have been, for Append to see.
func Marked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values := r.Header.Values(ViaHeader); len(values) > 0 {
			r = r.WithContext(context.WithValue(r.Context(), viaKey{}, parseVia(values)))
		}
		h.ServeHTTP(w, r)
	})
}

func viaOf(ctx context.Context) via {
	v, _ := ctx.Value(viaKey{}).(via)
	return v
}

// readID returns the ID in a folder, and makes one where there is none.
func readID(d *wal.Disk, dir string) (id serverID, err error) {
	path := filepath.Join(dir, "id")
	text, err := os.ReadFile(path)
	if err == nil {
		if n, err := hex.Decode(id[:], []byte(strings.TrimSpace(string(text)))); err != nil || n != len(id) {
			return id, trace.Errorf(trace.Corrupt, "%s is not 16 hexadecimal digits; delete it to get another ID", path)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	_, _ = rand.Read(id[:]) // which never fails
	return id, replaceFile(d, path, []byte(id.String()+"\n"))
}

// replaceFile writes a small file, so that it is there as a whole or as it was.
func replaceFile(d *wal.Disk, path string, content []byte) error {
	f, err := d.Create(path + ".tmp")
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.Rename(path+".tmp", path); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}
