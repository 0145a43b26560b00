package overload

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/trace"
	"github.com/clewtrace/clew/wire/jaeger"
)

// packetSpans is how many spans a packet has.
const packetSpans = 40

// packets sends packets to the agent's port, of which nobody says what became of them, until it is stopped.
type packets struct {
	conn       net.Conn
	spans      []trace.Span // of a packet
	stop, done chan struct{}
	sent       int
}

func newPackets(t *testing.T, s *testkit.Server) *packets {
	t.Helper()
	conn, err := net.Dial("udp", s.Address("jaeger_compact"))
	if err != nil {
		t.Fatal(err)
	}
	p := &packets{conn: conn, spans: batch(1 << 40)[:packetSpans], stop: make(chan struct{}), done: make(chan struct{})}
	resource := &trace.Resource{Attrs: []trace.Attr{{Key: "service.name", Value: trace.String("packets")}}}
	for i := range p.spans {
		p.spans[i].Resource = resource
	}
	go func() {
		defer close(p.done)
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			for range 60 { // 120,000 spans a second, when there is time for it
				p.send()
			}
		}
	}()
	return p
}

func (p *packets) send() {
	for i := range p.spans {
		binary.BigEndian.PutUint64(p.spans[i].TraceID[:], uint64(p.sent+1))
	}
	if _, err := p.conn.Write(jaeger.AppendEmitBatch(nil, p.spans)); err == nil {
		p.sent++
	}
}

// end stops, and holds that each packet is counted: read, or dropped; and each span of those that were read: stored, refused, or in a packet that was dropped.
func (p *packets) end(t *testing.T, s *testkit.Server) {
	t.Helper()
	close(p.stop)
	<-p.done
	const of = `protocol="jaeger/compact"`
	var read, lost, queue, spans float64
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		p.send() // the system tells with the next packet how many it dropped
		read, lost = metric(t, s, "clew_received_packets_total", of), metric(t, s, "clew_dropped_packets_total{"+of, `reason="socket_full"`)
		queue, spans = metric(t, s, "clew_dropped_packets_total{"+of, `reason="queue_full"`), metric(t, s, "clew_received_spans_total", of)
		if int(read+lost) == p.sent && spans == (read-queue)*packetSpans {
			break
		}
	}
	t.Logf("%d packets sent, %.0f read, %.0f dropped by the system, %.0f by Clew", p.sent, read, lost, queue)
	if int(read+lost) != p.sent {
		t.Errorf("%.0f packets are counted as read, %.0f as dropped by the system; %d were sent", read, lost, p.sent)
	}
	if spans != (read-queue)*packetSpans {
		t.Errorf("%.0f spans are counted as received; want %.0f", spans, (read-queue)*packetSpans)
	}
	_ = p.conn.Close()
}
