package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// learn asks a server which services it has and how each looks, as grpcurl does, by a version of the protocol: v1 or v1alpha. Each message of the
// answer is a method: "service/method input output".
func learn(ctx context.Context, conn *grpc.ClientConn, version string, a *answer) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
	if err != nil {
		return err
	}
	ask := func(q *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
		var r reflectionv1.ServerReflectionResponse
		return &r, errors.Join(stream.SendMsg(q), stream.RecvMsg(&r))
	}
	list, err := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		return err
	}
	set, names := &descriptorpb.FileDescriptorSet{}, []string{}
	for _, s := range list.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
		r, err := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: s.GetName()}})
		if err != nil {
			return err
		}
		if e := r.GetErrorResponse(); e != nil {
			return fmt.Errorf("%s: %s", s.GetName(), e.GetErrorMessage())
		}
		for _, raw := range r.GetFileDescriptorResponse().GetFileDescriptorProto() {
			var f descriptorpb.FileDescriptorProto
			if err := proto.Unmarshal(raw, &f); err != nil {
				return err
			}
			set.File = append(set.File, &f)
		}
	}
	none, err := ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: "none.proto"}})
	if err != nil || none.GetErrorResponse().GetErrorCode() != 5 {
		return fmt.Errorf("a file that is none: %v, %v", none, err)
	}
	if err := errors.Join(stream.CloseSend(), ended(stream)); err != nil {
		return err
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		d, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return err
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			m := methods.Get(i)
			a.add(fmt.Appendf(nil, `"%s/%s %s %s"`, name, m.Name(), m.Input().FullName(), m.Output().FullName()), 0)
		}
	}
	return nil
}

// ended holds that the server ends a stream when the client has.
func ended(stream grpc.ClientStream) error {
	if err := stream.RecvMsg(&reflectionv1.ServerReflectionResponse{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream goes on: %w", err)
	}
	return nil
}
