package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clewtrace/clew/trace"
)

// dial serves a handler over HTTP/2 without TLS, and returns gRPC's own client of it.
func dial(t *testing.T, h http.Handler) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP1(true)
	go func() { _ = s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = s.Close()
	})
	return conn
}

// ask makes a call with a text and returns the texts that come back, and how it ended.
func ask(ctx context.Context, conn *grpc.ClientConn, method, text string, opts ...grpc.CallOption) (got []string, err error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, opts...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.SendMsg(wrapperspb.String(text)), s.CloseSend()); err != nil {
		return nil, err
	}
	for {
		var m wrapperspb.StringValue
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
			return got, nil
		} else if err != nil {
			return got, err
		}
		got = append(got, m.GetValue())
	}
}

// TestGRPC has gRPC's own client make calls: of streams, of one message, of none, and of those that fail before or behind messages.
func TestGRPC(t *testing.T) {
	g := NewGate(2, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	mux := http.NewServeMux()
	mux.Handle("/test.Echo/Thrice", g.GRPC("test", "thrice", func(_ context.Context, m []byte, send func([]byte) error) error {
		return errors.Join(send(m), send(m), send(m))
	}))
	mux.Handle("/test.Echo/Never", g.GRPC("test", "never", func(context.Context, []byte, func([]byte) error) error { return nil }))
	mux.Handle("/test.Echo/Breaks", g.GRPC("test", "breaks", func(_ context.Context, m []byte, send func([]byte) error) error {
		return errors.Join(send(m), trace.Errorf(trace.TooLarge, "50%% of it – no more"))
	}))
	mux.Handle("/test.Echo/Panics", g.GRPC("test", "panics", func(context.Context, []byte, func([]byte) error) error { panic("oh") }))
	waits := func(ctx context.Context, _ []byte, _ func([]byte) error) error {
		<-ctx.Done()
		return ctx.Err()
	}
	mux.Handle("/test.Echo/Waits", g.GRPC("test", "waits", waits))
	hurried := NewGate(2, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	hurried.Timeout = time.Millisecond
	mux.Handle("/test.Echo/Hurries", hurried.GRPC("test", "hurries", waits))
	for kind := trace.Internal; kind <= trace.UnknownTenant; kind++ {
		mux.Handle("/test.Fails/"+kind.String(), g.GRPC("test", "fails", func(context.Context, []byte, func([]byte) error) error {
			return trace.Errorf(kind, "that is why")
		}))
	}
	conn := dial(t, mux)
	long := strings.Repeat("many words ", 50_000)
	for _, c := range []struct {
		method, text string
		want         []string
		code         codes.Code
		message      string
	}{
		{"/test.Echo/Thrice", "ä", []string{"ä", "ä", "ä"}, codes.OK, ""},
		{"/test.Echo/Thrice", long, []string{long, long, long}, codes.OK, ""},
		{"/test.Echo/Never", "x", nil, codes.OK, ""},
		{"/test.Echo/Breaks", "x", []string{"x"}, codes.ResourceExhausted, "50% of it – no more"},
		{"/test.Echo/Panics", "x", nil, codes.Internal, "internal error; see Clew's log"},
		{"/test.Echo/Thrice", strings.Repeat("x", maxQuestion), nil, codes.ResourceExhausted, "the message has 1048580 bytes; at most 1048576"},
		{"/test.Fails/invalid", "x", nil, codes.InvalidArgument, "that is why"},
		{"/test.Fails/not_found", "x", nil, codes.NotFound, "that is why"},
		{"/test.Fails/too_large", "x", nil, codes.ResourceExhausted, "that is why"},
		{"/test.Fails/busy", "x", nil, codes.Unavailable, "that is why"},
		{"/test.Fails/unknown_tenant", "x", nil, codes.PermissionDenied, "that is why"},
		{"/test.Fails/internal", "x", nil, codes.Internal, "internal error; see Clew's log"},
		{"/test.Fails/corrupt", "x", nil, codes.Internal, "that is why"},
	} {
		for name, opts := range map[string][]grpc.CallOption{"plain": nil, "gzip": {grpc.UseCompressor(gzip.Name)}} {
			if name == "gzip" && c.code == codes.ResourceExhausted { // it is small then
				continue
			}
			got, err := ask(t.Context(), conn, c.method, c.text, opts...)
			if s := status.Convert(err); !slices.Equal(got, c.want) || s.Code() != c.code || s.Message() != c.message {
				t.Errorf("%s, %s: %d messages, %v; want %d, %v %q", c.method, name, len(got), err, len(c.want), c.code, c.message)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, conn, "/test.Echo/Waits", ""); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call that takes too long: %v", err)
	}
	if n := testutil.ToFloat64(g.errors.WithLabelValues("test", "fails", "busy")); n != 2 {
		t.Errorf("%v calls are counted as busy; want 2", n)
	}
	if _, err := ask(t.Context(), conn, "/test.Echo/Hurries", ""); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "longer than the time") {
		t.Errorf("a call that takes longer than it may: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, leave)
	if _, err := ask(gone, conn, "/test.Echo/Waits", ""); status.Code(err) != codes.Canceled {
		t.Errorf("a call whose client leaves: %v", err)
	}
	for range 2 { // as many as there are, also those of calls that were left
		if err := g.slots.take(t.Context(), nil, time.Minute); err != nil {
			t.Errorf("slots were not given back: %v", err)
		}
	}
}

// TestNoCall asks for calls that there are not, and makes requests that are no calls.
func TestNoCall(t *testing.T) {
	g := NewGate(2, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	mux := http.NewServeMux()
	mux.Handle("/test.Echo/Never", g.GRPC("test", "never", func(context.Context, []byte, func([]byte) error) error { return nil }))
	mux.Handle("/", NoCall(http.NotFoundHandler()))
	if _, err := ask(t.Context(), dial(t, mux), "/test.Echo/Other", ""); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "/test.Echo/Other") {
		t.Errorf("a call that there is not: %v", err)
	}
	for path, want := range map[string]int{"/test.Echo/Never": http.StatusUnsupportedMediaType, "/other": http.StatusNotFound} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d; want %d", path, w.Code, want)
		}
	}
	for name, body := range map[string]string{"nothing": "", "a broken head": "\x00\x00", "too little": "\x00\x00\x00\x00\x05abc", "an unknown flag": "\x02\x00\x00\x00\x00", "no gzip": "\x01\x00\x00\x00\x03abc"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Grpc-Encoding", "gzip")
		if _, err := question(r); trace.KindOf(err) != trace.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
