package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health/grpc_health_v1" // its description
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/clewtrace/clew/trace"
)

// ReflectionMethods are the paths of what grpcurl and its like call to learn which services there are and what their messages have. Both versions
// have the same messages.
//
// Source: gRPC's "GRPC Server Reflection Protocol".
var ReflectionMethods = []string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

// Reflection describes services by a FileDescriptorSet, and gRPC's health beside them. It takes no turn: it asks no store.
func Reflection(set []byte, services ...string) (http.Handler, error) {
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &files); err != nil {
		return nil, err
	}
	own, err := protodesc.NewFiles(&files)
	if err != nil {
		return nil, err
	}
	described := serviceNames{"grpc.health.v1.Health": {}, "grpc.reflection.v1.ServerReflection": {}}
	for _, name := range services {
		described[name] = grpc.ServiceInfo{}
	}
	server := reflection.NewServerV1(reflection.ServerOptions{Services: described, DescriptorResolver: resolvers{own, protoregistry.GlobalFiles}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isCall(w, r) {
			return
		}
		s := newStream(w)
		defer s.end()
		in := bufio.NewReader(r.Body)
		r.Body = io.NopCloser(in)
		if err := server.ServerReflectionInfo(&reflecting{r: r, in: in, out: s}); err != nil {
			s.fail(codes.InvalidArgument, trace.ErrorOf(err).Msg)
			return
		}
		s.succeed()
	}), nil
}

type serviceNames map[string]grpc.ServiceInfo

// GetServiceInfo returns the services.
func (n serviceNames) GetServiceInfo() map[string]grpc.ServiceInfo { return n }

// resolvers find descriptions in the first that has them.
type resolvers []*protoregistry.Files

// FindFileByPath returns a file.
func (rs resolvers) FindFileByPath(path string) (d protoreflect.FileDescriptor, err error) {
	for _, r := range rs {
		if d, err = r.FindFileByPath(path); err == nil {
			return d, nil
		}
	}
	return nil, err
}

// FindDescriptorByName returns what has a name.
func (rs resolvers) FindDescriptorByName(name protoreflect.FullName) (d protoreflect.Descriptor, err error) {
	for _, r := range rs {
		if d, err = r.FindDescriptorByName(name); err == nil {
			return d, nil
		}
	}
	return nil, err
}

// reflecting is a stream of questions, each answered before the next is read.
type reflecting struct {
	r   *http.Request
	in  *bufio.Reader // r's body
	out *stream
}

// Recv reads a question; its error is io.EOF when there are no more.
func (s *reflecting) Recv() (*reflectionv1.ServerReflectionRequest, error) {
	if _, err := s.in.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	message, err := question(s.r)
	if err != nil {
		return nil, err
	}
	var out reflectionv1.ServerReflectionRequest
	if err := proto.Unmarshal(message, &out); err != nil {
		return nil, trace.Errorf(trace.Invalid, "broken message")
	}
	return &out, nil
}

// Send sends an answer.
func (s *reflecting) Send(m *reflectionv1.ServerReflectionResponse) error { return s.SendMsg(m) }

// Context is that of the request.
func (s *reflecting) Context() context.Context { return s.r.Context() }

// SendMsg sends a message.
func (s *reflecting) SendMsg(m any) error {
	b, err := proto.Marshal(m.(proto.Message))
	if err != nil {
		return err
	}
	return s.out.send(b)
}

// RecvMsg is not called: there is Recv.
func (s *reflecting) RecvMsg(any) error { return io.EOF }

// SetHeader does nothing: no header is set.
func (s *reflecting) SetHeader(metadata.MD) error { return nil }

// SendHeader does nothing.
func (s *reflecting) SendHeader(metadata.MD) error { return nil }

// SetTrailer does nothing.
func (s *reflecting) SetTrailer(metadata.MD) {}
