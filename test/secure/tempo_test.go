package secure_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// TestTempo opens streams of Tempo's API as Grafana does, over TLS with a token, and sees its own tenant's spans alone.
func TestTempo(t *testing.T) {
	t.Parallel()
	s := start(t)
	span := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"pay","startTimeUnixNano":"1763885409000000123","endTimeUnixNano":"1763885409000000124"}]}]}]}`
	post, err := http.NewRequest(http.MethodPost, s.https("otlp_http")+"/v1/traces", strings.NewReader(span))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Authorization", "Bearer "+ingestToken)
	tr := &http.Transport{TLSClientConfig: s.pool(s.ours.CAFile)}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(post)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, c := range []struct {
		name, authorization, tenant string
		code                        codes.Code
		found                       bool
	}{
		{"with a token, for its tenant", "Bearer " + queryToken, "", codes.OK, true},
		{"with a token, naming its tenant", "Bearer " + queryToken, "payments", codes.OK, true},
		{"with a password, for the default", basic("alice", password), "", codes.OK, false},
		{"with a password, for a tenant", basic("alice", password), "payments", codes.OK, true},
		{"for another's tenant", "Bearer " + queryToken, "default", codes.PermissionDenied, false},
		{"for a tenant that there is not", basic("alice", password), "nobody", codes.PermissionDenied, false},
		{"with a token that may only send", "Bearer " + ingestToken, "", codes.PermissionDenied, false},
		{"with a wrong token", "Bearer wrong", "", codes.Unauthenticated, false},
		{"without a credential", "", "", codes.Unauthenticated, false},
	} {
		got, err := search(t, s.Address("tempo"), s.pool(s.ours.CAFile), map[string]string{"authorization": c.authorization, "x-scope-orgid": c.tenant})
		if found := strings.Contains(got, "till"); status.Code(err) != c.code || found != c.found {
			t.Errorf("%s: found %v, %v; want %v, %v", c.name, found, err, c.found, c.code)
		}
	}
}

// search asks for all traces, and returns the bytes of the answer.
func search(t *testing.T, address string, cfg *tls.Config, headers map[string]string) (string, error) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx := t.Context()
	for k, v := range headers {
		if v != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, k, v)
		}
	}
	question := &emptypb.Empty{} // what is unknown to a message is sent along with it, and kept of what is received
	question.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 8, protowire.BytesType), "{ }"))
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/Search")
	if err != nil {
		return "", err
	}
	if err := errors.Join(stream.SendMsg(question), stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	all := ""
	for {
		var answer emptypb.Empty
		if err := stream.RecvMsg(&answer); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all += string(answer.ProtoReflect().GetUnknown())
	}
}
