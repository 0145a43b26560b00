package jaeger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewtrace/clew/receive"
	"github.com/clewtrace/clew/trace"
	wire "github.com/clewtrace/clew/wire/jaeger"
)

// packetBytes is more than any UDP packet has; Jaeger's clients send at most 65,000 bytes in one.
const packetBytes = 1 << 16

// Agent takes spans in packets, as Jaeger's agent does: each is a oneway call of emitBatch. Nobody is told when one cannot be taken; that is
// counted, with its reason.
type Agent struct {
	in      receive.Inlet
	r       *Receiver
	conn    *net.UDPConn
	compact bool
	queue   *queue
	socket  int           // bytes that the system should keep for it
	done    chan struct{} // closed when all packets are stored

	packets, full, kernel prometheus.Counter
}

// Buffers are how many bytes of packets may wait.
type Buffers struct {
	Socket int64 // in the system, for an agent that is not at it; the system may allow fewer
	Queue  int64 // in memory, for the store
}

type packetCounts struct{ packets, dropped *prometheus.CounterVec }

func newPacketCounts(reg prometheus.Registerer) packetCounts {
	p := packetCounts{
		packets: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clew_received_packets_total", Help: "UDP packets that were read."}, []string{"protocol"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "clew_dropped_packets_total", Help: "UDP packets dropped unread: by Clew, whose queue was full, or by the system, whose buffer was.",
		}, []string{"protocol", "reason"}),
	}
	reg.MustRegister(p.packets, p.dropped)
	return p
}

// Agent returns an agent that reads from a socket, for Thrift's compact protocol or for the binary one.
func (r *Receiver) Agent(conn *net.UDPConn, compact bool, b Buffers) *Agent {
	a := &Agent{in: r.inlet, r: r, conn: conn, compact: compact, queue: newQueue(int(b.Queue), r.bodies.Hold), socket: int(b.Socket), done: make(chan struct{})}
	a.in.Protocol, a.in.Alone = "jaeger/binary", true
	if compact {
		a.in.Protocol = "jaeger/compact"
	}
	a.in.Meter.Announce(a.in.Protocol)
	a.packets = r.packets.packets.WithLabelValues(a.in.Protocol)
	a.full, a.kernel = r.packets.dropped.WithLabelValues(a.in.Protocol, "queue_full"), r.packets.dropped.WithLabelValues(a.in.Protocol, "socket_full")
	return a
}

// Serve reads packets until Shutdown or Close, and returns when all that were read are stored. ctx says for which tenant.
func (a *Agent) Serve(ctx context.Context) error {
	defer close(a.done)
	ctx = context.WithoutCancel(ctx) // what has come is stored after its end, too
	a.prepare()
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) { // while one waits for the disk, another decodes
		work.Go(func() { a.work(ctx) })
	}
	err := a.read()
	_ = a.conn.Close() // it may be closed
	a.queue.close()
	work.Wait()
	return err
}

// lastPackets is how long an agent that is to stop reads on: the packets that have come are in the system's buffer.
const lastPackets = 100 * time.Millisecond

// Shutdown has Serve take what has come, and end. It returns when that is stored, or ctx is done.
func (a *Agent) Shutdown(ctx context.Context) error {
	_ = a.conn.SetReadDeadline(time.Now().Add(lastPackets)) // if it is closed, that is what is wanted
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends Serve at once, but for what waits in memory.
func (a *Agent) Close() error { return a.conn.Close() }

// prepare makes the system's buffer as large as it is wanted.
func (a *Agent) prepare() {
	countDrops(a.conn)
	_ = a.conn.SetReadBuffer(a.socket) // what came of it is seen next
	if got, ok := readBuffer(a.conn); ok && got < a.socket {
		a.r.log.Info("the system allows a smaller buffer for UDP packets than wanted; they may be dropped in bursts (sysctl net.core.rmem_max)",
			"protocol", a.in.Protocol, "bytes", got, "wanted", a.socket)
	}
}

func (a *Agent) read() error {
	buf, control := make([]byte, packetBytes), make([]byte, 64)
	dropped := uint32(0) // by the system, of this socket; it counts from 0 again after 2^32
	for {
		n, c, flags, _, err := a.conn.ReadMsgUDPAddrPort(buf, control)
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("read packets of %s: %w", a.in.Protocol, err)
		}
		a.packets.Inc()
		if now, ok := dropsOf(control[:c]); ok {
			a.kernel.Add(float64(now - dropped))
			dropped = now
		}
		switch {
		case isCut(flags):
			a.in.Meter.RefuseRequest(a.in.Protocol, trace.TooLarge.String())
		case !a.queue.put(buf[:n]):
			a.full.Inc()
		}
	}
}

// work stores packets, as many at once as have come.
func (a *Agent) work(ctx context.Context) {
	w := new(work)
	for c := a.queue.take(); c != nil; c = a.queue.take() {
		a.store(ctx, w, c)
		a.queue.done(c)
	}
}

// store stores the packets of a chunk as one batch. It waits for its turn for as long as it takes: the packets that come meanwhile are in
// the queue, or find it full.
func (a *Agent) store(ctx context.Context, w *work, c *chunk) {
	for err := a.in.Turns.Take(ctx); err != nil; err = a.in.Turns.Take(ctx) {
		a.r.log.Debug("packets wait", "protocol", a.in.Protocol, "err", err)
	}
	ready := a.index(ctx, w, c)
	a.in.Turns.Done()
	if !ready {
		return
	}
	if err := a.in.Write(ctx, &w.batch); err != nil {
		a.r.log.Debug("packets could not be stored", "protocol", a.in.Protocol, "err", err)
	}
}

// index makes one batch of a chunk's packets, and returns false if it is empty. Packets that are broken are left out.
func (a *Agent) index(ctx context.Context, w *work, c *chunk) bool {
	w.out = w.out[:0]
	begin, good, now := 0, 0, time.Now()
	for _, end := range c.ends {
		packet := c.bytes[begin:end]
		begin = end
		w.decoder.Limit = len(w.out) + 4*len(packet) + packetBytes
		var err error
		if w.out, err = w.decoder.AppendMessage(w.out, packet, a.compact); err != nil {
			a.in.Meter.RefuseRequest(a.in.Protocol, packetReason(err))
			a.r.log.Debug("packet refused", "protocol", a.in.Protocol, "err", err)
			continue
		}
		good++
		a.r.clients.count(&w.decoder.Client, now)
	}
	if len(w.out) == 0 {
		return false
	}
	err := w.batch.Index(w.out, a.in.Limits(ctx))
	if err == nil {
		return true
	}
	a.r.log.Error("packets are lost", "protocol", a.in.Protocol, "packets", good, "err", err) // a fault of the decoder's
	for range good {
		a.in.Meter.RefuseRequest(a.in.Protocol, trace.KindOf(err).String())
	}
	return false
}

// packetReason returns the reason for which a packet that is no batch is counted.
func packetReason(err error) string {
	switch {
	case errors.Is(err, error(wire.ZipkinBatch)):
		return "zipkin_batch"
	case errors.Is(err, error(wire.OtherCall)):
		return "method"
	}
	return trace.KindOf(err).String()
}
