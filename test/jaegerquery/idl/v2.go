package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"google.golang.org/grpc"
)

// gogo encodes messages that gogo/protobuf generated, with its own types in them, as Jaeger does.
type gogo struct{}

// Name returns the name that is in the content type.
func (gogo) Name() string { return "proto" }

// Marshal encodes a message.
func (gogo) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	return proto.Marshal(m)
}

// Unmarshal decodes a message.
func (gogo) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	return proto.Unmarshal(b, m)
}

// askV2 calls the generated client.
func askV2(ctx context.Context, conn *grpc.ClientConn, c *call, a *answer) error {
	client := api_v2.NewQueryServiceClient(conn)
	switch c.Call {
	case "v2/GetTrace":
		return stream(c, a, &api_v2.GetTraceRequest{}, func(r *api_v2.GetTraceRequest) (chunks, error) { return client.GetTrace(ctx, r) })
	case "v2/FindTraces":
		return stream(c, a, &api_v2.FindTracesRequest{}, func(r *api_v2.FindTracesRequest) (chunks, error) { return client.FindTraces(ctx, r) })
	case "v2/ArchiveTrace":
		return unary(c, a, &api_v2.ArchiveTraceRequest{}, func(r *api_v2.ArchiveTraceRequest) (proto.Message, error) { return client.ArchiveTrace(ctx, r) })
	case "v2/GetServices":
		return unary(c, a, &api_v2.GetServicesRequest{}, func(r *api_v2.GetServicesRequest) (proto.Message, error) { return client.GetServices(ctx, r) })
	case "v2/GetOperations":
		return unary(c, a, &api_v2.GetOperationsRequest{}, func(r *api_v2.GetOperationsRequest) (proto.Message, error) { return client.GetOperations(ctx, r) })
	case "v2/GetDependencies":
		return unary(c, a, &api_v2.GetDependenciesRequest{}, func(r *api_v2.GetDependenciesRequest) (proto.Message, error) { return client.GetDependencies(ctx, r) })
	}
	return fmt.Errorf("there is no call %s", c.Call)
}

type chunks interface {
	Recv() (*api_v2.SpansResponseChunk, error)
}

func read(c *call, into proto.Message) error {
	if len(c.Request) == 0 {
		return nil
	}
	return jsonpb.Unmarshal(bytes.NewReader(c.Request), into)
}

func note(a *answer, m proto.Message) error {
	var b bytes.Buffer
	if err := (&jsonpb.Marshaler{}).Marshal(&b, m); err != nil {
		return err
	}
	a.add(b.Bytes(), proto.Size(m))
	return nil
}

func unary[T proto.Message](c *call, a *answer, request T, do func(T) (proto.Message, error)) error {
	if err := read(c, request); err != nil {
		return err
	}
	m, err := do(request)
	if err != nil {
		return err
	}
	return note(a, m)
}

func stream[T proto.Message](c *call, a *answer, request T, do func(T) (chunks, error)) error {
	if err := read(c, request); err != nil {
		return err
	}
	s, err := do(request)
	if err != nil {
		return err
	}
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = note(a, m)
		}
		if err != nil || c.Stop > 0 && len(a.Messages) == c.Stop {
			return err
		}
	}
}
