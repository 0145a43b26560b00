package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os/exec"
	"sync"

	"github.com/clewtrace/clew/trace"
)

// walker is this program, run as the server that only reads and indexes.
type walker struct {
	cmd     *exec.Cmd
	address string
}

func startWalk() (*walker, error) { return startSelf("walk") }

func (w *walker) stop() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait() // killed
}

// walkServer takes OTLP/HTTP requests, reads and indexes them, and forgets them: what no store can do without. It prints its address.
func walkServer() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	type buffers struct {
		raw   []byte
		batch trace.Batch
	}
	pool := sync.Pool{New: func() any { return &buffers{} }}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/v1/traces", func(w http.ResponseWriter, r *http.Request) {
		b := pool.Get().(*buffers)
		defer pool.Put(b)
		if n := int(r.ContentLength); cap(b.raw) < n {
			b.raw = make([]byte, n)
		}
		b.raw = b.raw[:r.ContentLength]
		if _, err := io.ReadFull(r.Body, b.raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := b.batch.Index(b.raw, trace.DefaultLimits()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	return http.Serve(l, mux)
}
