package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/clewtrace/clew/internal/testkit"
)

// call asks a question over gRPC. The answer is the list of the messages that came, or the text of a refusal.
func (a *asker) call(ctx context.Context, q *question) (string, error) {
	var messages []json.RawMessage
	var code, text string
	var err error
	if q.dialect == "tempo-grpc" {
		messages, code, text, err = a.stream(ctx, q)
	} else {
		messages, code, text, err = a.jaeger.ask(q.target, q.body)
	}
	if err != nil {
		return "", err
	}
	if code != q.status {
		return fmt.Sprintf("got code %s (%s), want %s", code, text, q.status), nil
	}
	if code != "OK" {
		return compare(a.occasion.fill(q.answer), []byte(text)), nil
	}
	got, err := json.Marshal(slices.Concat([]json.RawMessage{}, messages))
	if err != nil {
		return "", err
	}
	if string(got) == "null" {
		got = []byte("[]")
	}
	return compare(a.occasion.fill(q.answer), got), nil
}

// stream makes a call of Tempo's StreamingQuerier, whose messages it decodes strictly. Of a stream's messages the last says all.
func (a *asker) stream(ctx context.Context, q *question) (messages []json.RawMessage, code, text string, err error) {
	conn, err := grpc.NewClient(a.backend.at[q.dialect], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(testkit.RawCodec{})))
	if err != nil {
		return nil, "", "", err
	}
	defer func() { _ = conn.Close() }()
	name := strings.NewReplacer("Metrics", "").Replace(q.target)
	in, out := name+"Request", name+"Response"
	if strings.HasPrefix(name, "SearchTag") {
		in = strings.TrimSuffix(name, "V2") + "Request"
	}
	request := dynamicpb.NewMessage(a.tempo.ByName(protoreflect.Name(in)))
	if err := protojson.Unmarshal([]byte(q.body), request); err != nil {
		return nil, "", "", fmt.Errorf("%s %s: %w", q.target, q.body, err)
	}
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, "", "", err
	}
	last, err := lastOf(ctx, conn, q.target, body)
	if err != nil {
		s, ok := status.FromError(err)
		if !ok {
			return nil, "", "", err
		}
		return nil, s.Code().String(), s.Message(), nil
	}
	m, err := inJSON(dynamicpb.NewMessage(a.tempo.ByName(protoreflect.Name(out))), last)
	if err != nil {
		return nil, "OK, but with another message than " + out, err.Error(), nil
	}
	return []json.RawMessage{m}, "OK", "", nil
}

// lastOf calls a method and returns the last message of the stream.
func lastOf(ctx context.Context, conn *grpc.ClientConn, method string, question []byte) (last []byte, err error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/tempopb.StreamingQuerier/"+method)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.SendMsg(question), s.CloseSend()); err != nil {
		return nil, err
	}
	for {
		if err := s.RecvMsg(&last); errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// jaegerClient is the program in test/jaegerquery/idl, which has the clients that Jaeger's own definitions generate.
type jaegerClient struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// jaegerDir is where it is, from the root of the repository.
const jaegerDir = "test/jaegerquery/idl"

// connect starts the program in its folder, where its module's dependencies are found. Close ends it.
func connect(program, dir, address string) (*jaegerClient, error) {
	cmd := exec.Command(program, address)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &jaegerClient{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// Close ends the program.
func (c *jaegerClient) Close() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

func (c *jaegerClient) ask(call, request string) (messages []json.RawMessage, code, text string, err error) {
	if request == "" {
		request = "{}"
	}
	var line bytes.Buffer
	if err := json.Compact(&line, []byte(request)); err != nil {
		return nil, "", "", fmt.Errorf("%s %s: %w", call, request, err)
	}
	if _, err := fmt.Fprintf(c.in, `{"call": %q, "request": %s}`+"\n", call, line.String()); err != nil {
		return nil, "", "", err
	}
	reply, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, "", "", fmt.Errorf("the client of Jaeger's gRPC: %w", err)
	}
	var a struct {
		Code, Text string
		Messages   []json.RawMessage
	}
	err = json.Unmarshal(reply, &a)
	return a.Messages, a.Code, a.Text, err
}
