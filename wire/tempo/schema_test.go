package tempo

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/clewtrace/clew/internal/tempopb"
)

// messages returns the messages that Grafana knows.
func messages(t testing.TB) protoreflect.MessageDescriptors {
	t.Helper()
	m, err := tempopb.Messages()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// both decodes a message in both of its forms, of which neither may have a field that is not in the schema, and holds that they say the same.
func both(t testing.TB, name string, inProto, inJSON []byte) proto.Message {
	t.Helper()
	d := messages(t).ByName(protoreflect.Name(name))
	fromProto, fromJSON := dynamicpb.NewMessage(d), dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(inProto, fromProto); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := tempopb.Known(fromProto); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := protojson.Unmarshal(inJSON, fromJSON); err != nil { // it refuses fields that it does not know
		t.Fatalf("%s: %v\n%s", name, err, inJSON)
	}
	if !proto.Equal(fromProto, fromJSON) {
		t.Errorf("%s: protobuf says\n%v\nand JSON\n%v", name, fromProto, fromJSON)
	}
	return fromProto
}
