package jaeger

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

// TestSystemDrops: packets that the system had no room for are counted as soon as one comes behind them.
func TestSystemDrops(t *testing.T) {
	f := newFixture(t)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	countDrops(conn) // as Serve does it; here it comes late, after more than there is room for
	if err := conn.SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	to, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	sent := 50
	for range sent {
		send(t, to, packet(true, 0, 0, strings.Repeat("x", 30_000)))
	}
	a := f.Agent(conn, true, roomy)
	done := make(chan error, 1)
	go func() { done <- a.Serve(t.Context()) }()
	await(t, "a packet that comes later", func() bool { // the first may find no room, either
		send(t, to, packet(true, 0, 0, "later"))
		sent++
		return strings.Contains(f.sink.stored(), "later")
	})
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	stored := len(strings.Fields(f.sink.stored()))
	f.expect(t, `received_packets_total{protocol="jaeger/compact"} `+strconv.Itoa(stored), `received_spans_total{protocol="jaeger/compact"} `+strconv.Itoa(stored),
		`stored_spans_total{protocol="jaeger/compact"} `+strconv.Itoa(stored), `dropped_packets_total{protocol="jaeger/compact",reason="socket_full"} `+strconv.Itoa(sent-stored))
}
