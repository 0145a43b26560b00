// Package thrift reads and writes Apache Thrift's binary and compact protocols, in one pass over bytes and without objects.
//
// Sources: Thrift's documents thrift-binary-protocol.md, thrift-compact-protocol.md and thrift-rpc.md. All numbers of the binary protocol
// are big-endian and of fixed size; those of the compact one are varints, zigzag if signed, and its doubles are little-endian. A message:
//
//	binary, strict   | 0x8001, 2 bytes | 0 | type | name: length, 4 bytes, and text | sequence, 4 bytes | struct |
//	binary, old      | name: length, 4 bytes, and text | type | sequence, 4 bytes | struct |
//	compact          | 0x82 | type<<5 + 1 | sequence, varint | name: length, varint, and text | struct |
//
// and a struct is its fields, each with its type, number and value, and a zero byte.
package thrift

// Type is the type of a value, with the binary protocol's numbers.
type Type uint8

// The types. They have no Go type of their own, so that a field's number and its type make a constant, for a switch over Reader.Field:
//
//	case 3<<8 | thrift.I64: // field 3, if it is an i64
const (
	Stop   = 0 // the end of a struct
	Bool   = 2
	Byte   = 3 // i8
	Double = 4
	I16    = 6
	I32    = 8
	I64    = 10
	String = 11 // binary, too
	Struct = 12
	Map    = 13
	Set    = 14
	List   = 15
	UUID   = 16
)

// Field is a field's number, shifted by 8 bits, and its type.
type Field uint32

// ID returns the field's number.
func (f Field) ID() int16 { return int16(f >> 8) }

// Type returns the type of the field's value.
func (f Field) Type() Type { return Type(f) }

// MessageType says what a message is.
type MessageType uint8

// The types of messages.
const (
	Call MessageType = iota + 1
	Reply
	Exception
	Oneway // a call without an answer
)

// Message is what stands at the head of a message; the struct of the arguments, or of the answer, follows.
type Message struct {
	Type MessageType
	Name []byte // of the method; a part of what is read
	Seq  int32  // which the answer repeats
}

// The types of a TApplicationException, the answer to a call that the server does not do.
const (
	UnknownMethod      = 1
	InvalidMessageType = 2
	InternalError      = 6
	ProtocolError      = 7
)

// maxDepth bounds structs, lists and maps inside one another, as in Thrift's own libraries.
const maxDepth = 64

// The types of the compact protocol. A field that is a boolean has its value in its type.
const (
	compactTrue  = 1
	compactFalse = 2
	compactID    = 0x82 // the first byte of a message
)

// fromCompact is the type for each of the compact protocol's.
var fromCompact = [14]Type{Stop, Bool, Bool, Byte, I16, I32, I64, Double, String, List, Set, Map, Struct, UUID}

// toCompact is the compact protocol's type for each type; of booleans it is that of a list's elements.
var toCompact = [17]byte{
	Bool: compactTrue, Byte: 3, I16: 4, I32: 5, I64: 6, Double: 7, String: 8, List: 9, Set: 10, Map: 11, Struct: 12, UUID: 13,
}

// fixed is the size of each type's values in the binary protocol, where it is always the same.
var fixed = [17]int{Bool: 1, Byte: 1, Double: 8, I16: 2, I32: 4, I64: 8, UUID: 16}

// atLeast is the size of each type's smallest value in the binary protocol; 0: there is no such type.
var atLeast = [17]int{Bool: 1, Byte: 1, Double: 8, I16: 2, I32: 4, I64: 8, String: 4, Struct: 1, Map: 6, Set: 5, List: 5, UUID: 16}

// atLeastCompact is the size of each type's smallest value in the compact protocol; 0: there is no such type.
var atLeastCompact = [17]int{Bool: 1, Byte: 1, Double: 8, I16: 1, I32: 1, I64: 1, String: 1, Struct: 1, Map: 1, Set: 1, List: 1, UUID: 16}
