package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	_ "github.com/google/gnostic-models/openapiv3" // which the definitions import
	_ "go.opentelemetry.io/proto/otlp/trace/v1"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// service is jaeger.api_v3.QueryService, as its .proto file has it.
type service struct {
	protoreflect.ServiceDescriptor
	files []protoreflect.FileDescriptor // of both versions
}

// compile compiles the definitions that are in the source of jaeger-idl's module.
func compile() (*service, error) {
	dirs := map[string]string{}
	for _, module := range []string{"github.com/jaegertracing/jaeger-idl", "github.com/google/gnostic-models", "github.com/gogo/protobuf"} {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			return nil, fmt.Errorf("go list -m %s: %w", module, err)
		}
		dirs[module] = strings.TrimSpace(string(out))
	}
	resolver := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		if d, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
			return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(d)}, nil
		}
		file := filepath.Join(dirs["github.com/jaegertracing/jaeger-idl"], "proto", path)
		if path == "model.proto" {
			file = filepath.Join(dirs["github.com/jaegertracing/jaeger-idl"], "proto", "api_v2", path)
		} else if strings.HasPrefix(path, "gogoproto/") {
			file = filepath.Join(dirs["github.com/gogo/protobuf"], path)
		} else if rest, ok := strings.CutPrefix(path, "gnostic/"); ok {
			file = filepath.Join(dirs["github.com/google/gnostic-models"], rest)
		} else if strings.HasPrefix(path, "openapiv3/") {
			file = filepath.Join(dirs["github.com/google/gnostic-models"], path)
		}
		f, err := os.Open(file)
		return protocompile.SearchResult{Source: f}, err
	})
	files, err := (&protocompile.Compiler{Resolver: protocompile.WithStandardImports(resolver)}).Compile(context.Background(), "api_v3/query_service.proto", "api_v2/query.proto")
	if err != nil {
		return nil, err
	}
	return &service{files[0].Services().ByName("QueryService"), []protoreflect.FileDescriptor{files[1], files[0]}}, nil
}

// ask calls a method by its name.
func (s *service) ask(ctx context.Context, conn *grpc.ClientConn, c *call, a *answer) error {
	m := s.Methods().ByName(protoreflect.Name(c.Call[3:]))
	if m == nil {
		return fmt.Errorf("there is no call %s", c.Call)
	}
	request := dynamicpb.NewMessage(m.Input())
	if len(c.Request) > 0 {
		if err := protojson.Unmarshal(c.Request, request); err != nil {
			return err
		}
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, fmt.Sprintf("/%s/%s", s.FullName(), m.Name()))
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(request), stream.CloseSend()); err != nil {
		return err
	}
	for {
		answer := dynamicpb.NewMessage(m.Output())
		if err := stream.RecvMsg(answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := known(answer); err != nil {
			return err
		}
		raw, err := protojson.Marshal(answer)
		if err != nil {
			return err
		}
		a.add(raw, proto.Size(answer))
		if c.Stop > 0 && len(a.Messages) == c.Stop {
			return nil
		}
	}
}

// known holds that the definitions have every field of a message.
func known(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%s has fields that its definition has not: %x", m.Descriptor().FullName(), m.GetUnknown())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				err = errors.Join(err, known(v.List().Get(i).Message()))
			}
		default:
			err = errors.Join(err, known(v.Message()))
		}
		return err == nil
	})
	return err
}
