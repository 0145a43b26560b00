package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clewtrace/clew/internal/testkit"
	"github.com/clewtrace/clew/load"
)

// TestStopUnderFullLoad stops the server while a sender gives all it can, by each protocol: what the sender was told is stored, is stored, and
// nothing is there that it did not send.
func TestStopUnderFullLoad(t *testing.T) {
	for protocol, listener := range map[string]string{"otlp/grpc": "otlp_grpc", "otlp/http": "otlp_http"} {
		t.Run(protocol, func(t *testing.T) {
			s := testkit.Start(t, "--log.level", "info")
			cfg := load.Default()
			cfg.Endpoint, cfg.Protocol, cfg.Rate, cfg.Batch, cfg.Patience = s.Address(listener), protocol, 0, 200, time.Millisecond
			sender, err := load.NewSender(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- sender.Run(ctx) }()
			deadline := time.Now().Add(time.Minute)
			for sender.Report().Accepted < 10_000 {
				if time.Now().After(deadline) {
					t.Fatalf("%+v", sender.Report())
				}
				time.Sleep(time.Millisecond)
			}
			if err := s.Stop(); err != nil {
				t.Errorf("ends with %v", err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Log("the sender ended with", err) // as it should, its server gone
			}
			sent := sender.Report()
			r, err := http.Get(testkit.StartIn(t, s.Dir).URL("query") + "/api/v1/status")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Body.Close() }()
			var status struct{ Store struct{ Spans int64 } }
			if err := json.NewDecoder(r.Body).Decode(&status); err != nil {
				t.Fatal(err)
			}
			t.Logf("sent %d, acknowledged %d, stored %d", sent.Spans, sent.Accepted, status.Store.Spans)
			if status.Store.Spans < sent.Accepted || status.Store.Spans > sent.Spans {
				t.Errorf("%d spans are stored; %d were acknowledged, %d sent", status.Store.Spans, sent.Accepted, sent.Spans)
			}
		})
	}
}

// TestLoadProtocols sends the load over each protocol: all that it says was accepted is stored, and counted for one protocol.
func TestLoadProtocols(t *testing.T) {
	s := testkit.Start(t, "--log.level", "info")
	stored := uint64(0)
	for _, protocol := range load.Protocols() {
		cfg := load.Default()
		cfg.Endpoint, cfg.Protocol, cfg.Rate, cfg.Batch, cfg.Spans = s.Address(load.Listener(protocol)), protocol, 20_000, 200, 3000
		sender, err := load.NewSender(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.Run(t.Context()); err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		r := sender.Report()
		if r.Accepted != r.Spans || r.Spans < cfg.Spans {
			t.Errorf("%s: %d of %d spans were accepted: %v", protocol, r.Accepted, r.Spans, r.Reasons)
		}
		stored += uint64(r.Spans)
		for deadline := time.Now().Add(30 * time.Second); counted(t, s) < stored && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond) // nobody tells who sends packets when they are taken
		}
		if got := counted(t, s); got != stored {
			t.Errorf("after %s, %d spans are stored; want %d", protocol, got, stored)
		}
	}
	lines := s.Logged(`"level":"ERROR"`)
	for _, line := range lines {
		t.Error(line)
	}
}

// counted returns how many spans a server says it has stored.
func counted(t *testing.T, s *testkit.Server) (n uint64) {
	t.Helper()
	_, families := scrape(t, s)
	for _, series := range families["clew_stored_spans_total"].series {
		_, value, _ := strings.Cut(series, " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += uint64(v)
	}
	return n
}

// TestHTTP2 sends OTLP/HTTP over HTTP/2 without TLS, in JSON with a charset, many requests at once over one connection.
func TestHTTP2(t *testing.T) {
	s := testkit.Start(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var work errgroup.Group
	for i := range 20 {
		work.Go(func() error {
			body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"00000000000000aa","name":"h2","startTimeUnixNano":"%d"}]}]}]}`, i+1, time.Now().UnixNano())
			a, err := client.Post(s.URL("otlp_http")+"/v1/traces", "application/json; charset=utf-8", strings.NewReader(body))
			if err != nil {
				return err
			}
			defer func() { _ = a.Body.Close() }()
			if a.StatusCode != http.StatusOK || a.ProtoMajor != 2 {
				return fmt.Errorf("answered %s over %s", a.Status, a.Proto)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := counted(t, s); n != 20 {
		t.Errorf("%d spans are stored; want 20", n)
	}
}
