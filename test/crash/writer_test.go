package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/clewtrace/clew/internal/testkit"
)

// target is the server that the writers send to at the moment, with connections to it.
type target struct {
	url   string
	https *http.Client
	conns []*grpc.ClientConn
}

func newTarget(s *testkit.Server) (*target, error) {
	t := &target{url: s.URL("otlp_http") + "/v1/traces", https: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, Timeout: 10 * time.Second}}
	for range 2 {
		c, err := grpc.NewClient(s.Address("otlp_grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
		if err != nil {
			return nil, err
		}
		t.conns = append(t.conns, c)
	}
	return t, nil
}

func (t *target) close() {
	t.https.CloseIdleConnections()
	for _, c := range t.conns {
		_ = c.Close() // the server is gone already, mostly
	}
}

// post sends a batch by OTLP/HTTP; nil says that it was acknowledged whole.
func (t *target) post(raw []byte) error {
	resp, err := t.https.Post(t.url, "application/x-protobuf", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var reply coltracepb.ExportTraceServiceResponse
	if err := proto.Unmarshal(body, &reply); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %w: %.200s", resp.StatusCode, err, body)
	}
	return whole(&reply)
}

// export sends a batch by OTLP/gRPC.
func (t *target) export(conn int, raw []byte) error {
	var req coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &req); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := coltracepb.NewTraceServiceClient(t.conns[conn%len(t.conns)]).Export(ctx, &req)
	if err != nil {
		return err
	}
	return whole(reply)
}

func whole(reply *coltracepb.ExportTraceServiceResponse) error {
	if p := reply.GetPartialSuccess(); p.GetRejectedSpans() != 0 {
		return fmt.Errorf("%d spans rejected: %s", p.GetRejectedSpans(), p.GetErrorMessage())
	}
	return nil
}

// writers send batches until they are stopped; those that failed again, three times out of four.
type writers struct {
	book   *book
	target atomic.Pointer[target] // nil: there is no server
	stop   chan struct{}
	end    sync.WaitGroup
}

func startWriters(t testing.TB, b *book, seed uint64, n int) *writers {
	w := &writers{book: b, stop: make(chan struct{})}
	for i := range n {
		w.end.Go(func() { w.run(i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	t.Cleanup(w.finish)
	return w
}

// finish stops the writers and waits for them.
func (w *writers) finish() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.end.Wait()
}

func (w *writers) stopped(pause time.Duration) bool {
	select {
	case <-w.stop:
		return true
	case <-time.After(pause):
		return false
	}
}

func (w *writers) run(i int, r *rand.Rand) {
	for !w.stopped(time.Duration(r.IntN(120)) * time.Millisecond) { // in all a hundred a second, about: every one must be looked at
		n := w.book.next()
		raw := batch(n, time.Now())
		tried := false
		for {
			if t := w.target.Load(); t != nil {
				var err error
				if i%2 == 0 {
					err = t.post(raw)
				} else {
					err = t.export(i/2, raw)
				}
				if err == nil {
					w.book.ack(n, tried)
					break
				}
				tried = true
				if r.IntN(4) == 0 { // its fate stays unknown
					break
				}
			}
			if w.stopped(time.Duration(5+r.IntN(20)) * time.Millisecond) {
				return
			}
		}
	}
}
