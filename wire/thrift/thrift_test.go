package thrift

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func reader(b []byte, compact bool) Reader {
	if compact {
		return NewCompact(b)
	}
	return NewBinary(b)
}

// both runs a test for each protocol.
func both(t *testing.T, fn func(t *testing.T, compact bool)) {
	t.Run("binary", func(t *testing.T) { fn(t, false) })
	t.Run("compact", func(t *testing.T) { fn(t, true) })
}

// TestKnownBytes holds the protocols' documents: bytes worked out by hand.
func TestKnownBytes(t *testing.T) {
	for _, c := range []struct {
		name    string
		b       string
		compact bool
		want    Message
	}{
		{"strict", "\x80\x01\x00\x01\x00\x00\x00\x03Log\x00\x00\x00\x05", false, Message{Call, []byte("Log"), 5}},
		{"old", "\x00\x00\x00\x03Log\x01\x00\x00\x00\x05", false, Message{Call, []byte("Log"), 5}},
		{"compact", "\x82\x81\x05\x09emitBatch", true, Message{Oneway, []byte("emitBatch"), 5}},
		{"compact, negative sequence", "\x82\x21\xff\xff\xff\xff\x0f\x01x", true, Message{Call, []byte("x"), -1}},
	} {
		r := reader([]byte(c.b), c.compact)
		m := r.Message()
		if r.Err() != nil || m.Type != c.want.Type || !bytes.Equal(m.Name, c.want.Name) || m.Seq != c.want.Seq || r.At() != len(c.b) {
			t.Errorf("%s: %+v, %v; want %+v", c.name, m, r.Err(), c.want)
		}
		w := Writer{Compact: c.compact}
		if w.Message(c.want); c.name != "old" && string(w.Out) != c.b {
			t.Errorf("%s: written as %q; want %q", c.name, w.Out, c.b)
		}
	}
	// Fields 1 (true), 2 (false), 20 (i16 -1), 3 (i64 150), in both protocols.
	for compact, want := range map[bool]string{
		false: "\x02\x00\x01\x01" + "\x02\x00\x02\x00" + "\x06\x00\x14\xff\xff" + "\x0a\x00\x03\x00\x00\x00\x00\x00\x00\x00\x96" + "\x00",
		true:  "\x11" + "\x12" + "\x04\x28\x01" + "\x06\x06\xac\x02" + "\x00",
	} {
		w := Writer{Compact: compact}
		w.Struct()
		w.Field(1<<8 | Bool)
		w.Bool(true)
		w.Field(2<<8 | Bool)
		w.Bool(false)
		w.Field(20<<8 | I16)
		w.I16(-1)
		w.Field(3<<8 | I64)
		w.I64(150)
		if w.End(); string(w.Out) != want {
			t.Errorf("written as %q; want %q", w.Out, want)
		}
	}
}

// everything writes a struct that has a value of each type, at field numbers from 1 on, and then field 30000, the i32 7.
func everything(w *Writer) {
	w.Struct()
	w.Field(1<<8 | Bool)
	w.Bool(true)
	w.Field(2<<8 | Byte)
	w.Byte(-3)
	w.Field(3<<8 | I16)
	w.I16(math.MinInt16)
	w.Field(4<<8 | I32)
	w.I32(math.MinInt32)
	w.Field(5<<8 | I64)
	w.I64(math.MinInt64)
	w.Field(6<<8 | Double)
	w.Double(-0.5)
	w.Field(7<<8 | String)
	w.String("täxt")
	w.Field(8<<8 | List)
	w.List(Bool, 20)
	for i := range 20 {
		w.Bool(i%2 == 0)
	}
	w.Field(9<<8 | Set)
	w.List(Struct, 2)
	for range 2 {
		w.Struct()
		w.Field(40<<8 | Bool)
		w.Bool(false)
		w.End()
	}
	w.Field(10<<8 | Map)
	if w.Compact {
		w.Out = append(w.Out, 2, toCompact[String]<<4|toCompact[List])
	} else {
		w.Out = append(w.Out, String, List, 0, 0, 0, 2)
	}
	for range 2 {
		w.Bytes([]byte("key"))
		w.List(I64, 3)
		for i := range 3 {
			w.I64(int64(i))
		}
	}
	w.Field(11<<8 | UUID)
	w.Out = append(w.Out, "0123456789abcdef"...)
	w.Field(30000<<8 | I32)
	w.I32(7)
	w.End()
}

func TestRoundTrip(t *testing.T) {
	both(t, func(t *testing.T, compact bool) {
		w := Writer{Compact: compact}
		everything(&w)
		r := reader(w.Out, compact)
		check := func(ok bool) {
			t.Helper()
			if !ok || r.Err() != nil {
				t.Fatalf("field %d read wrongly: %v", r.Field.ID(), r.Err())
			}
		}
		seen := 0
		for r.Struct(); r.Next(); seen++ {
			switch r.Field {
			case 1<<8 | Bool:
				check(r.Bool())
			case 2<<8 | Byte:
				check(r.Byte() == -3)
			case 3<<8 | I16:
				check(r.I16() == math.MinInt16)
			case 4<<8 | I32:
				check(r.I32() == math.MinInt32)
			case 5<<8 | I64:
				check(r.I64() == math.MinInt64)
			case 6<<8 | Double:
				check(r.Double() == -0.5)
			case 7<<8 | String:
				check(string(r.Bytes()) == "täxt")
			case 8<<8 | List:
				n := r.List(Bool)
				check(n == 20)
				for i := range n {
					check(r.Bool() == (i%2 == 0))
				}
			case 30000<<8 | I32:
				check(r.I32() == 7)
			default:
				r.Skip()
			}
		}
		if r.Err() != nil || seen != 12 || r.At() != len(w.Out) {
			t.Errorf("%d fields, %d of %d bytes, %v", seen, r.At(), len(w.Out), r.Err())
		}
	})
}

// TestSkip skips every value, and cuts the bytes off at every place: that is an error, each time.
func TestSkip(t *testing.T) {
	both(t, func(t *testing.T, compact bool) {
		w := Writer{Compact: compact}
		everything(&w)
		for n := range len(w.Out) + 1 {
			r := reader(w.Out[:n], compact)
			for r.Struct(); r.Next(); {
				r.Skip()
			}
			if whole := n == len(w.Out); (r.Err() == nil) != whole || whole && r.At() != n {
				t.Fatalf("%d of %d bytes: read %d, %v", n, len(w.Out), r.At(), r.Err())
			}
		}
	})
}

// TestHostile reads what promises more than there is, or lies deeper than any honest sender's. It must cost nothing.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name, b, want string
		compact       bool
	}{
		{"string of 2 GiB", "\x0b\x00\x01\x7f\xff\xff\xff", "string of 2147483647 bytes, but 0 bytes are left", false},
		{"string of negative size", "\x0b\x00\x01\xff\xff\xff\xff", "string of -1 bytes", false},
		{"list of 2^31 elements", "\x0f\x00\x01\x0c\x7f\xff\xff\xff\x00", "list of 2147483647 elements", false},
		{"list of negative size", "\x0f\x00\x01\x0c\x80\x00\x00\x00\x00", "list of -2147483648 elements", false},
		{"list of i64 with a byte each", "\x0f\x00\x01\x0a\x00\x00\x00\x0812345678", "list of 8 elements, but 8 bytes are left", false},
		{"map", "\x0d\x00\x01\x08\x08\x10\x00\x00\x00", "map of 268435456 pairs", false},
		{"map of negative size", "\x0d\x00\x01\x08\x08\xff\x00\x00\x00", "map of -16777216 pairs", false},
		{"list of stops", "\x0f\x00\x01\x00\x00\x00\x00\x01\x00", "value of type 0", false},
		{"type 1", "\x01\x00\x01", "field 1 is of type 1", false},
		{"type 99", "\x63\x00\x01", "field 1 is of type 99", false},
		{"string of 4 GiB", "\x18\xff\xff\xff\xff\x0f", "string of -1 bytes", true},
		{"string of 2^62 bytes", "\x18\xff\xff\xff\xff\xff\xff\xff\xff\x3f", "string of -1 bytes", true},
		{"string of 2 GiB", "\x18\xff\xff\xff\xff\x07", "string of 2147483647 bytes, but 0", true},
		{"varint without end", "\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "broken varint", true},
		{"list", "\x19\xfc\xff\xff\xff\xff\x07", "list of 2147483647 elements", true},
		{"short list", "\x19\xec\x00", "list of 14 elements, but 1 bytes are left", true},
		{"map", "\x1b\xff\xff\xff\xff\x07\x55", "map of 2147483647 pairs", true},
		{"map of stops", "\x1b\x01\x00\x00\x00", "value of type 0", true},
		{"type 15", "\x1f", "field 1 is of type 15", true},
		{"structs in structs", strings.Repeat("\x0c\x00\x01", 1<<20), "nested deeper than 64", false},
		{"structs in structs", strings.Repeat("\x1c", 1<<20), "nested deeper than 64", true},
		{"lists in lists", "\x0f\x00\x01" + strings.Repeat("\x0f\x00\x00\x00\x01", 1<<20), "nested deeper than 64", false},
		{"lists in lists", "\x19" + strings.Repeat("\x19", 1<<20), "nested deeper than 64", true},
		{"maps in maps", "\x1b" + strings.Repeat("\x01\x3b\x00", 1<<20), "nested deeper than 64", true},
	} {
		skip := func() error {
			r := reader([]byte(c.b), c.compact)
			for r.Struct(); r.Next(); {
				r.Skip()
			}
			return r.Err()
		}
		if err := skip(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s (compact: %v): %v; want %q", c.name, c.compact, err, c.want)
		}
		b := []byte(c.b)
		if n := testing.AllocsPerRun(10, func() {
			r := reader(b, c.compact)
			for r.Struct(); r.Next(); {
				r.Skip()
			}
		}); n > 12 { // the error's own, of which the race detector needs some more
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// TestWrongElements refuses a list of something else: what it means cannot be known.
func TestWrongElements(t *testing.T) {
	both(t, func(t *testing.T, compact bool) {
		w := Writer{Compact: compact}
		w.Struct()
		w.Field(1<<8 | List)
		w.List(I32, 1)
		w.I32(1)
		w.End()
		r := reader(w.Out, compact)
		if r.Struct(); !r.Next() || r.List(Struct) != 0 || r.Err() == nil {
			t.Errorf("a list of i32 read as one of structs: %v", r.Err())
		}
		if r.Next() || r.I64() != 0 || r.Bytes() != nil || r.Bool() || r.Double() != 0 || r.Byte() != 0 || r.I16() != 0 {
			t.Error("something read after an error")
		}
	})
}

func TestException(t *testing.T) {
	var w Writer
	w.Exception(Message{Call, []byte("f"), 9}, UnknownMethod, "no")
	r := NewBinary(w.Out)
	if m := r.Message(); m.Type != Exception || string(m.Name) != "f" || m.Seq != 9 {
		t.Errorf("head is %+v", m)
	}
	var text string
	var kind int32
	for r.Struct(); r.Next(); {
		switch r.Field {
		case 1<<8 | String:
			text = string(r.Bytes())
		case 2<<8 | I32:
			kind = r.I32()
		}
	}
	if text != "no" || kind != UnknownMethod || r.Err() != nil {
		t.Errorf("exception %q of kind %d, %v", text, kind, r.Err())
	}
}

func TestNoAllocation(t *testing.T) {
	both(t, func(t *testing.T, compact bool) {
		w := Writer{Compact: compact}
		everything(&w)
		if n := testing.AllocsPerRun(100, func() {
			r := reader(w.Out, compact)
			for r.Struct(); r.Next(); {
				r.Skip()
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// FuzzSkip reads any bytes: never a crash, never more read than there is, and none without an end.
func FuzzSkip(f *testing.F) {
	for _, compact := range []bool{false, true} {
		w := Writer{Compact: compact}
		w.Message(Message{Oneway, []byte("emitBatch"), 1})
		everything(&w)
		f.Add(w.Out, compact)
	}
	f.Fuzz(func(t *testing.T, b []byte, compact bool) {
		r := reader(b, compact)
		r.Message()
		for r.Struct(); r.Next(); {
			switch r.Field.Type() {
			case List:
				for n := r.List(Struct); n > 0 && r.Err() == nil; n-- {
					for r.Struct(); r.Next(); {
						r.Skip()
					}
				}
			case String:
				r.Bytes()
			default:
				r.Skip()
			}
		}
		if r.At() > len(b) {
			t.Fatalf("read %d of %d bytes", r.At(), len(b))
		}
	})
}
