package main

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// TestDrainLateHTTP2: a client that connects before a stop and begins to speak HTTP/2 after it does not hold the stop up.
func TestDrainLateHTTP2(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, stopping := make(chan struct{}), make(chan struct{}, 100)
	s := &http.Server{Handler: http.NotFoundHandler(), Protocols: new(http.Protocols), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			close(accepted)
		}
	}}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.RegisterOnShutdown(func() { stopping <- struct{}{} })
	go func() { _ = s.Serve(l) }() // drain ends it
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-accepted
	done := make(chan bool)
	go func() { done <- drain(t.Context(), s) }()
	<-stopping
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	if !<-done {
		t.Error("the stop waited for the connection until its time was over")
	}
}
