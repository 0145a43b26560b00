package thrift

import (
	"encoding/binary"
	"math"
)

// Writer appends values to Out, as Reader reads them. The zero Writer writes the binary protocol.
type Writer struct {
	Out     []byte
	Compact bool

	depth   int
	last    [maxDepth + 1]int16
	boolean struct { // compact: a field whose head is yet to be written, with its value
		waits    bool
		step, id int16
	}
}

// Message appends the head of a message.
func (w *Writer) Message(m Message) {
	if w.Compact {
		w.Out = append(w.Out, compactID, byte(m.Type)<<5|1)
		w.Out = binary.AppendUvarint(w.Out, uint64(uint32(m.Seq)))
		w.Bytes(m.Name)
		return
	}
	w.Out = binary.BigEndian.AppendUint32(w.Out, 0x8001<<16|uint32(m.Type))
	w.Bytes(m.Name)
	w.I32(m.Seq)
}

// Struct begins a struct.
func (w *Writer) Struct() {
	w.depth++
	w.last[w.depth] = 0
}

// End ends the struct that was begun last.
func (w *Writer) End() {
	w.depth--
	w.Out = append(w.Out, Stop)
}

// Field begins a field of the struct: its number, shifted by 8 bits, and its type, as in Reader.Field. Its value must follow.
func (w *Writer) Field(f Field) {
	if !w.Compact {
		w.Out = binary.BigEndian.AppendUint16(append(w.Out, byte(f)), uint16(f.ID()))
		return
	}
	step := f.ID() - w.last[w.depth]
	w.last[w.depth] = f.ID()
	if f.Type() == Bool {
		w.boolean.waits, w.boolean.step, w.boolean.id = true, step, f.ID()
		return
	}
	w.head(toCompact[f.Type()], step, f.ID())
}

// head appends a field's head of the compact protocol.
func (w *Writer) head(t byte, step, id int16) {
	if step > 0 && step < 16 {
		w.Out = append(w.Out, byte(step)<<4|t)
		return
	}
	w.Out = append(w.Out, t)
	w.I16(id)
}

// Bool appends a boolean.
func (w *Writer) Bool(v bool) {
	c := byte(0)
	if v {
		c = 1
	}
	if w.Compact && !v {
		c = compactFalse
	}
	if w.boolean.waits {
		w.boolean.waits = false
		w.head(c, w.boolean.step, w.boolean.id)
		return
	}
	w.Out = append(w.Out, c)
}

// Byte appends an i8.
func (w *Writer) Byte(v int8) { w.Out = append(w.Out, byte(v)) }

func (w *Writer) varint(v int64) { w.Out = binary.AppendVarint(w.Out, v) }

// I16 appends an i16.
func (w *Writer) I16(v int16) {
	if w.Compact {
		w.varint(int64(v))
		return
	}
	w.Out = binary.BigEndian.AppendUint16(w.Out, uint16(v))
}

// I32 appends an i32.
func (w *Writer) I32(v int32) {
	if w.Compact {
		w.varint(int64(v))
		return
	}
	w.Out = binary.BigEndian.AppendUint32(w.Out, uint32(v))
}

// I64 appends an i64.
func (w *Writer) I64(v int64) {
	if w.Compact {
		w.varint(v)
		return
	}
	w.Out = binary.BigEndian.AppendUint64(w.Out, uint64(v))
}

// Double appends a double.
func (w *Writer) Double(v float64) {
	if w.Compact {
		w.Out = binary.LittleEndian.AppendUint64(w.Out, math.Float64bits(v))
		return
	}
	w.Out = binary.BigEndian.AppendUint64(w.Out, math.Float64bits(v))
}

// Bytes appends a binary or, as bytes, a string.
func (w *Writer) Bytes(v []byte) {
	w.count(len(v))
	w.Out = append(w.Out, v...)
}

// String appends a string.
func (w *Writer) String(v string) {
	w.count(len(v))
	w.Out = append(w.Out, v...)
}

func (w *Writer) count(n int) {
	if w.Compact {
		w.Out = binary.AppendUvarint(w.Out, uint64(n))
		return
	}
	w.I32(int32(n))
}

// List begins a list or set of n elements of a type, which must follow.
func (w *Writer) List(of Type, n int) {
	switch {
	case !w.Compact:
		w.Byte(int8(of))
		w.count(n)
	case n < 15:
		w.Out = append(w.Out, byte(n)<<4|toCompact[of])
	default:
		w.Out = append(w.Out, 15<<4|toCompact[of])
		w.count(n)
	}
}

// Exception appends the answer to a call that was not done: a TApplicationException of a type such as UnknownMethod.
func (w *Writer) Exception(call Message, kind int32, text string) {
	w.Message(Message{Exception, call.Name, call.Seq})
	w.Struct()
	w.Field(1<<8 | String)
	w.String(text)
	w.Field(2<<8 | I32)
	w.I32(kind)
	w.End()
}
