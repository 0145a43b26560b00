package tempo

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewtrace/clew/internal/testkit"
)

// stream makes a call of StreamingQuerier, as Grafana does at the address that it has for HTTP, and returns the messages of its answer.
func stream(ctx context.Context, t testing.TB, at, method string, question []byte) (got [][]byte, err error) {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(testkit.RawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/"+method)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.SendMsg(question), s.CloseSend()); err != nil {
		return nil, err
	}
	for {
		var m []byte
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
			return got, nil
		} else if err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

// texts returns the texts of a field, at any depth of messages in fields 1 and 2.
func texts(b []byte) (out []string) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(num, typ, b[max(n, 0):])
		if n < 0 || size < 0 {
			return nil
		}
		if typ == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(b[n:])
			out = append(append(out, string(body)), texts(body)...)
		}
		b = b[n+size:]
	}
	return out
}

func TestHealth(t *testing.T) {
	conn, err := grpc.NewClient(server(t), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for service, want := range map[string]codes.Code{"": codes.OK, streams: codes.OK, "spam": codes.NotFound} {
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service}); status.Code(err) != want {
			t.Errorf("%q: %v; want %v", service, err, want)
		}
	}
}

func TestStreamsOfNames(t *testing.T) {
	at := server(t, testkit.Sample())
	field := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	for _, c := range []struct {
		method   string
		question []byte
		want     []string
	}{
		{"SearchTags", nil, []string{"host.name", "http.route"}},
		{"SearchTagsV2", field(1, "resource"), []string{"resource", "host.name"}},
		{"SearchTagValues", field(1, "host.name"), []string{"h1", "h2"}},
		{"SearchTagValuesV2", field(1, "span.http.status_code"), []string{"int", "200"}},
	} {
		got, err := stream(t.Context(), t, at, c.method, c.question)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d messages, %v", c.method, len(got), err)
			continue
		}
		for _, want := range c.want {
			if !slices.Contains(texts(got[0]), want) {
				t.Errorf("%s: no %q in %q", c.method, want, texts(got[0]))
			}
		}
	}
	for _, c := range []struct {
		method   string
		question []byte
		code     codes.Code
		want     string
	}{
		{"SearchTagsV2", field(1, "spam"), codes.InvalidArgument, "invalid scope"},
		{"SearchTagsV2", []byte("\xff"), codes.InvalidArgument, "broken protobuf"},
		{"SearchTagValuesV2", field(1, "nothing"), codes.InvalidArgument, "invalid tag name"},
		{"Spam", nil, codes.Unimplemented, "/tempopb.StreamingQuerier/Spam"},
	} {
		if _, err := stream(t.Context(), t, at, c.method, c.question); status.Code(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.method, err)
		}
	}
}
