package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/clewtrace/clew/trace"
)

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
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	}))
}
