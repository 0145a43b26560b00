package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// descriptors returns a FileDescriptorSet of files and all that they import: names, numbers and types alone, without what other systems' options say.
func descriptors(files []protoreflect.FileDescriptor) ([]byte, error) {
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			if in := f.Imports().Get(i); !foreign(in.Path()) {
				add(in)
			}
		}
		set.File = append(set.File, bare(protodesc.ToFileDescriptorProto(f)))
	}
	for _, f := range files {
		add(f)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// foreign reports whether a file has options alone.
func foreign(path string) bool {
	return slices.ContainsFunc([]string{"gogoproto/", "google/api/", "protoc-gen-openapiv2/", "openapiv3/", "gnostic/"}, func(p string) bool { return strings.HasPrefix(path, p) })
}

func bare(f *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	f.SourceCodeInfo, f.Options, f.Extension, f.PublicDependency, f.WeakDependency = nil, nil, nil, nil, nil
	f.Dependency = slices.DeleteFunc(f.Dependency, foreign)
	for _, m := range f.MessageType {
		bareMessage(m)
	}
	for _, e := range f.EnumType {
		bareEnum(e)
	}
	for _, s := range f.Service {
		s.Options = nil
		for _, m := range s.Method {
			m.Options = nil
		}
	}
	return f
}

func bareMessage(m *descriptorpb.DescriptorProto) {
	if m.GetOptions().GetMapEntry() {
		m.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	} else {
		m.Options = nil
	}
	for _, f := range m.Field {
		f.Options = nil
	}
	for _, o := range m.OneofDecl {
		o.Options = nil
	}
	for _, n := range m.NestedType {
		bareMessage(n)
	}
	for _, e := range m.EnumType {
		bareEnum(e)
	}
}

func bareEnum(e *descriptorpb.EnumDescriptorProto) {
	aliases := e.GetOptions().GetAllowAlias()
	if e.Options = nil; aliases {
		e.Options = &descriptorpb.EnumOptions{AllowAlias: proto.Bool(true)}
	}
	for _, v := range e.Value {
		v.Options = nil
	}
}
